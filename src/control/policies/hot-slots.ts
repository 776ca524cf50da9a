/** The slots that carry so much that they matter one by one. */
import { slotLoad, type CapacityReading } from './read-capacity.ts';

export interface HotSlot {
  readonly slot: number;
  /** Shard number of its owner. */
  readonly shard: number;
  /** ECPU per second's worth of its owner's utilisation. */
  readonly load: number;
}

/** Slots that carry at least `share` of a node's capacity, hottest first. */
export function hotSlots(reading: CapacityReading, share: number): HotSlot[] {
  const threshold = share * reading.newShardEcpu;
  const { ecpu, owners } = reading.view.slots;
  // Most slots are far below: their ECPU says so without a division.
  const loads = reading.shards.map((shard) =>
    shard.load === null || shard.ecpu === 0 ? 0 : shard.load / shard.ecpu,
  );
  const dearest = Math.max(1, ...loads);
  const found: HotSlot[] = [];
  if (reading.hottestSlotEcpu * dearest < threshold) return found;
  for (let slot = 0; slot < ecpu.length; slot += 1) {
    if (ecpu[slot]! * dearest < threshold) continue;
    const index = reading.indexOf.get(owners[slot]!);
    const shard = index === undefined ? undefined : reading.shards[index];
    if (shard === undefined) continue;
    // Replicas and near caches answer part of a hot slot: what its owner feels may be less than what is asked.
    const load = Math.max(slotLoad(reading, shard, slot), 0);
    if (load >= threshold) found.push({ slot, shard: shard.shard, load });
  }
  return found.sort((a, b) => b.load - a.load || a.slot - b.slot);
}
