/** Takes out a shard that owns nothing any more: its replicas first, then its primary, then its record. */
import type { Step } from '../step.ts';
import type { StepContext } from '../step-context.ts';
import { removeNode, takeOut } from './remove-node.ts';

export async function removeShard(
  context: StepContext,
  step: Extract<Step, { kind: 'remove-shard' }>,
): Promise<void> {
  const { store, cache } = context;
  if (store.shards.get(cache.id, step.shard) === undefined) return;
  const nodes = () => store.nodes(cache.id).filter((node) => node.shard === step.shard);
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
