/** Takes out a shard that owns nothing any more: its replicas first, then its primary, then its record. */
import type { Step } from '../step.ts';
import type { StepContext } from '../step-context.ts';
import { refuseIfOwner, removeNode, takeOut } from './remove-node.ts';

/** @throws NodeError NODE_IN_USE while it owns slots; then it keeps all its nodes */
export async function removeShard(
  context: StepContext,
  step: Extract<Step, { kind: 'remove-shard' }>,
): Promise<void> {
  const { store, cache } = context;
  if (store.shards.get(cache.id, step.shard) === undefined) return;
  const nodes = () => store.nodes(cache.id).filter((node) => node.shard === step.shard);
  // Before anything is taken from it: its replicas go first.
  for (const node of nodes().filter(({ role }) => role === 'primary'))
    await refuseIfOwner(context, node);
  // Nobody heals what is about to go.
  await context.drainShard(step.shard);
  const why = `shard ${step.shard} is merged into others`;
  for (const replica of nodes().filter(({ role }) => role === 'replica')) {
    await takeOut(context, replica);
  }
  for (const primary of nodes()) {
    await removeNode(context, { kind: 'remove-node', nodeId: primary.id, why });
  }
  store.shards.delete(cache.id, step.shard);
  context.publish();
  context.event('shard-removed', `shard ${step.shard} owned nothing any more and is removed`);
}
