/** The second half of a primary's restart: an heir (engine/heir-config.ts) becomes the primary that it was. */
import type { SlotRange } from '../../model/slot-range.ts';
import type { StepContext } from '../step-context.ts';
import type { NodeRecord } from '../store-records.ts';
import { parseClusterNodes, parseInfo } from '../node-observation.ts';
import { withoutRanges } from '../slot-ranges.ts';
import { waitUntil } from './wait-until.ts';

const STATE_TIMEOUT_MS = 1_000;

/**
 * @param slots what it shall own; of these, what somebody else has by now is left there
 * @returns false when the node is no heir: then nothing was done
 */
export async function takeOverFromGhost(
  context: StepContext,
  node: NodeRecord,
  slots: readonly SlotRange[],
): Promise<boolean> {
  const { store, fleet, cache, signal } = context;
  const look = async () =>
    parseClusterNodes(String(await fleet.call(node.id, ['CLUSTER', 'NODES'])));
  const ghostId = (await look()).find((peer) => peer.myself)?.primaryId ?? null;
  const members = new Set(store.nodes(cache.id).map(({ clusterNodeId }) => clusterNodeId));
  if (ghostId === null || members.has(ghostId)) return false;
  // Before it says so, a takeover would make it a primary that waits after all.
  await waitUntil(
    `node ${node.id} seeing its cluster`,
    async () => {
      const info = parseInfo(String(await fleet.call(node.id, ['CLUSTER', 'INFO'])));
      return info.get('cluster_state') === 'ok';
    },
    { timeoutMs: STATE_TIMEOUT_MS, everyMs: 1, signal },
  ).catch((error: unknown) => {
    signal.throwIfAborted();
    context.log.warn({ node: node.id, err: error }, 'taking over all the same');
  });
  await fleet.call(node.id, ['CLUSTER', 'FAILOVER', 'TAKEOVER']);
  await give(context, node, slots);
  context.refresh();
  const strangers = (await look()).filter((peer) => !peer.myself && !members.has(peer.id));
  for (const { id } of strangers) await fleet.call(node.id, ['CLUSTER', 'FORGET', id]);
  // What a witness had.
  await give(context, node, slots);
  return true;
}

/** Gives the node those of the slots that nobody has. */
async function give(
  context: StepContext,
  node: NodeRecord,
  slots: readonly SlotRange[],
): Promise<void> {
  const { fleet } = context;
  const peers = parseClusterNodes(String(await fleet.call(node.id, ['CLUSTER', 'NODES'])));
  const taken = peers.flatMap((peer) => peer.slotRanges);
  const free = slots.flatMap((range) => withoutRanges(range, taken));
  if (free.length === 0) return;
  const words = free.flatMap(({ first, last }) => [first, last]);
  await fleet.call(node.id, ['CLUSTER', 'ADDSLOTSRANGE', ...words]);
}
