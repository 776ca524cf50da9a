/**
 * Starts a primary that died and left nobody who has its data: empty, with its slots, and writable at once.
 *
 *   slots that nobody else claims -> it starts as the heir of a ghost (engine/heir-config.ts) -> takes over -> forgets it
 *
 * Killed in the middle, the next daemon finds an heir that has not taken over: `reclaim-slots` begins with that.
 */
import type { SlotRange } from '../../model/slot-range.ts';
import type { Step } from '../step.ts';
import type { StepContext } from '../step-context.ts';
import type { NodeRecord } from '../store-records.ts';
import { parseClusterNodes } from '../node-observation.ts';
import { functionsOf } from '../functions-of.ts';
import { withoutRanges } from '../slot-ranges.ts';
import { countStart } from './count-start.ts';
import { takeOverFromGhost } from './take-over-from-ghost.ts';

/** What others claim is a safeguard; one that hangs must not hold up the shard. */
const CLAIMS_TIMEOUT_MS = 200;

export async function restartPrimary(
  context: StepContext,
  step: Extract<Step, { kind: 'restart-primary' }>,
): Promise<void> {
  const { store, fleet, cache, signal } = context;
  const node = store.node(step.nodeId);
  if (node === undefined || fleet.isAlive(node.id)) return;
  let slots: readonly SlotRange[] = [];
  if (cache.spec.sharding) {
    const claimed = await claimedByOthers(context, node);
    slots = fleet.files.makeHeir(node.id, (had) =>
      had.flatMap((range) => withoutRanges(range, claimed)),
    );
  }
  const functions = await functionsOf(context, node);
  await fleet.start(cache, node, { replicaOf: null, functions, signal });
  if (cache.spec.sharding) {
    await takeOverFromGhost(context, node, slots);
    const clusterNodeId = String(await fleet.call(node.id, ['CLUSTER', 'MYID']));
    store.updateNode(node.id, { clusterNodeId, identity: 'kept' });
    await fleet.observe(node.id, { cluster: true });
  }
  context.refresh();
  if (!countStart(context, node)) return;
  context.event(
    'shard-data-lost',
    `node ${node.id}, primary of shard ${node.shard}, died without a replica that had its data: it runs again, empty`,
  );
}

async function claimedByOthers(context: StepContext, node: NodeRecord): Promise<SlotRange[]> {
  const { store, fleet, cache } = context;
  const others = store
    .nodes(cache.id)
    .filter((other) => other.id !== node.id && fleet.isAlive(other.id));
  const views = await Promise.allSettled(
    others.map((other) => fleet.call(other.id, ['CLUSTER', 'NODES'], CLAIMS_TIMEOUT_MS)),
  );
  return views.flatMap((view) =>
    view.status === 'rejected'
      ? []
      : parseClusterNodes(String(view.value)).flatMap((peer) =>
          peer.myself ? peer.slotRanges : [],
        ),
  );
}
