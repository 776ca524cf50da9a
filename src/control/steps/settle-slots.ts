/** Waits until every node of the cache that answers sees the slots where they are now. */
import type { SlotRange } from '../../model/slot-range.ts';
import { parseClusterNodes } from '../node-observation.ts';
import { withoutRanges } from '../slot-ranges.ts';
import type { SlotMoveContext } from './slot-move-context.ts';
import { waitUntil } from './wait-until.ts';

const SETTLE_TIMEOUT_MS = 10_000;
const VIEW_TIMEOUT_MS = 500;

/** @throws StepTimeout */
export async function settleSlots(
  context: SlotMoveContext,
  ranges: readonly SlotRange[],
  ownerId: string,
): Promise<void> {
  const { store, cache, fleet, signal } = context;
  const sees = async (nodeId: string) => {
    const view = await fleet.call(nodeId, ['CLUSTER', 'NODES'], VIEW_TIMEOUT_MS).catch(() => null);
    // One that is dead or hangs hears of it when it is back.
    if (view === null) return true;
    const peers = parseClusterNodes(String(view));
    // The epoch too: whoever has not heard of it could give itself the same one, and an old claim win.
    const own = peers.find(({ id }) => id === ownerId)?.slotRanges ?? [];
    return ranges.every((range) => withoutRanges(range, own).length === 0);
  };
  await waitUntil(
    'every node seeing the new owner',
    async () => {
      const alive = store.nodes(cache.id).filter(({ id }) => fleet.isAlive(id));
      return (await Promise.all(alive.map(({ id }) => sees(id)))).every(Boolean);
    },
    { timeoutMs: SETTLE_TIMEOUT_MS, everyMs: 20, signal },
  );
}
