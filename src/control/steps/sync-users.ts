/**
 * Makes the users of a live node those of its cache. Each is redefined whole by one ACL SETUSER, which the engine swaps
 * in at once: connections that are still allowed notice nothing. A user that is no more is deleted, which ends its
 * connections.
 */
import { DEFAULT_USER_NAME, SYSTEM_USER_NAME } from '../../model/user.ts';
import { aclLines, NO_DEFAULT_USER, nodeUserRules } from '../acl-rules.ts';
import type { Step } from '../step.ts';
import type { StepContext } from '../step-context.ts';

export async function syncUsers(
  context: StepContext,
  step: Extract<Step, { kind: 'sync-users' }>,
): Promise<void> {
  const { store, fleet } = context;
  // Read first: a change that comes while this runs makes the version higher again.
  const cache = store.cache(context.cache.id);
  if (cache === undefined || store.node(step.nodeId) === undefined) return;
  const users = store.users(cache.id);
  fleet.files.writeAcl(step.nodeId, aclLines(users, cache.systemSecret));
  if (!fleet.isAlive(step.nodeId)) return;
  const kept = new Set([SYSTEM_USER_NAME, DEFAULT_USER_NAME, ...users.map(({ name }) => name)]);
  const present = (await fleet.call(step.nodeId, ['ACL', 'USERS'])) as unknown[];
  const gone = present.map(String).filter((name) => !kept.has(name));
  await Promise.all([
    ...users.map((user) =>
      fleet.call(step.nodeId, ['ACL', 'SETUSER', user.name, ...nodeUserRules(user)]),
    ),
    ...(users.some(({ name }) => name === DEFAULT_USER_NAME)
      ? []
      : [fleet.call(step.nodeId, ['ACL', 'SETUSER', DEFAULT_USER_NAME, ...NO_DEFAULT_USER])]),
    ...(gone.length === 0 ? [] : [fleet.call(step.nodeId, ['ACL', 'DELUSER', ...gone])]),
  ]);
  store.updateNode(step.nodeId, { aclVersion: cache.aclVersion });
}
