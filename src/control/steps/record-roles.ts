/** Writes down who is the primary of a shard, and that whoever died as its primary must never come back as one. */
import type { Step } from '../step.ts';
import type { StepContext } from '../step-context.ts';

export async function recordRoles(
  context: StepContext,
  step: Extract<Step, { kind: 'record-roles' }>,
): Promise<void> {
  const node = context.store.node(step.primaryId);
  if (node === undefined || node.role === 'primary') return;
  recordPrimary(context, node.shard, node.id);
  context.refresh();
  context.publish();
  context.event('failover', `the engine made node ${node.id} the primary of shard ${node.shard}`);
}

/** The store's part alone: one transaction. */
export function recordPrimary(context: StepContext, shard: number, primaryId: string): void {
  const { store, fleet, cache } = context;
  store.transaction(() => {
    for (const node of store.nodes(cache.id)) {
      if (node.shard !== shard) continue;
      if (node.id === primaryId) {
        store.updateNode(node.id, { role: 'primary' });
      } else {
        const wasPrimary = node.role === 'primary';
        store.updateNode(node.id, {
          role: 'replica',
          ...(wasPrimary && !fleet.isAlive(node.id) ? { identity: 'stale' as const } : {}),
        });
      }
    }
  });
}
