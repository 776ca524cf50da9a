/**
 * Makes a replica the primary of its shard because the primary is certainly dead: its process has ended. That certainty
 * is what allows TAKEOVER, which asks no other node (DESIGN, "Engines on this kind of machine").
 *
 * The command and the word to the proxies go first; writing down comes after. Killed in between, the next daemon finds
 * the new primary by looking and writes it down then (`record-roles`).
 */
import { seconds } from '../seconds.ts';
import type { Step } from '../step.ts';
import type { StepContext } from '../step-context.ts';
import { becomePrimary, follow } from './hand-over.ts';
import { knowingWhatMoved } from './hear-of-moved-slots.ts';
import { recordPrimary } from './record-roles.ts';

/** A live replica answers within a millisecond; one that does not must not hold up the next best. */
const COMMAND_TIMEOUT_MS = 1_000;

export async function takeOver(
  context: StepContext,
  step: Extract<Step, { kind: 'take-over' }>,
): Promise<void> {
  const { store, fleet, cache } = context;
  const node = store.node(step.nodeId);
  if (node === undefined || !fleet.isAlive(node.id)) return;
  if (step.deadNodeId !== null && fleet.isAlive(step.deadNodeId)) return;
  if (cache.spec.sharding) {
    await knowingWhatMoved(context, node, () =>
      fleet.call(node.id, ['CLUSTER', 'FAILOVER', 'TAKEOVER'], COMMAND_TIMEOUT_MS),
    );
  } else {
    await becomePrimary(context, node, COMMAND_TIMEOUT_MS);
  }
  context.refresh();
  // Never run under its name: somebody said that the host of the one before it is dead.
  const isSaid = step.deadNodeId !== null && store.node(step.deadNodeId)?.aclVersion === 0;
  const afterMs = step.deadNodeId === null ? 0 : fleet.goneForMs(step.deadNodeId);
  recordPrimary(context, node.shard, node.id);
  context.publish();
  if (!cache.spec.sharding) {
    const others = store
      .nodes(cache.id)
      .filter((other) => other.id !== node.id && fleet.isAlive(other.id));
    // One that does not answer now is found following the wrong node at the next look.
    await Promise.allSettled(
      others.map((other) => follow(context, other, node, COMMAND_TIMEOUT_MS)),
    );
  }
  context.event(
    'failover',
    `node ${node.id} took over shard ${node.shard}${step.deadNodeId === null ? '' : isSaid ? ', whose primary was on a host that is taken as dead' : ` from ${step.deadNodeId}, which died, ${seconds(afterMs)} after that was seen`}`,
  );
}
