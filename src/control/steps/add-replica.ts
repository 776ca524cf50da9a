/**
 * Adds one node to a shard: its process and its record. The shard's own lane sees a node that does not follow the primary
 * and attaches it, as it does after every restart; it is waited for here until it has all of the primary's data.
 */
import type { Step } from '../step.ts';
import type { StepContext } from '../step-context.ts';
import { provisionNode } from './provision-node.ts';
import { waitUntil } from './wait-until.ts';

/** For the copy of a large shard. */
const SYNC_TIMEOUT_MS = 30 * 60_000;

export async function addReplica(
  context: StepContext,
  step: Extract<Step, { kind: 'add-replica' }>,
): Promise<void> {
  const { store, fleet, cache, signal } = context;
  const shard = store.shards.get(cache.id, step.shard);
  if (shard === undefined) return;
  const found = store
    .nodes(cache.id)
    .find((node) => node.id === step.nodeId || node.askedAs === step.nodeId);
  const node =
    found ??
    (await provisionNode(context, {
      id: step.nodeId,
      shard: step.shard,
      role: 'replica',
      engineLine: step.engineLine,
    }));
  context.lookAtShard(step.shard);
  await waitUntil(
    `node ${node.id} having the data of shard ${step.shard}`,
    async () => store.node(node.id) === undefined || fleet.state(node.id, 'replica') === 'online',
    { timeoutMs: SYNC_TIMEOUT_MS, everyMs: 50, signal },
  );
  context.publish();
  context.event('replica-added', `node ${node.id} is a replica of shard ${step.shard}`);
}
