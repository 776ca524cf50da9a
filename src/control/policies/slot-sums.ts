/** What each shard's slots add up to: one pass over the slots a plan, because it runs each second for each cache. */
import type { CapacityView } from './capacity-view.ts';
import { NO_SHARD } from '../../model/slot-range.ts';

export interface SlotSums {
  /** By index of the shard in the view. */
  readonly ecpu: Float64Array;
  readonly bytes: Float64Array;
  readonly slots: Int32Array;
  /** ECPU per second of the slot that has the most. */
  readonly hottestEcpu: number;
}

export function sumSlots(view: CapacityView): SlotSums {
  const count = view.shards.length;
  const indexOf = new Map(view.shards.map((shard, index) => [shard.shard, index]));
  const sums = {
    ecpu: new Float64Array(count),
    bytes: new Float64Array(count),
    slots: new Int32Array(count),
  };
  const { owners, ecpu: slotEcpu, bytes: slotBytes } = view.slots;
  let hottestEcpu = 0;
  let first = 0;
  let ecpu = 0;
  let bytes = 0;
  // Neighbours mostly have one owner: a run is summed before anything is looked up.
  for (let slot = 0; slot <= owners.length; slot += 1) {
    if (slot === owners.length || owners[slot] !== owners[first]) {
      const index = owners[first] === NO_SHARD ? undefined : indexOf.get(owners[first]!);
      if (index !== undefined) {
        sums.ecpu[index]! += ecpu;
        sums.bytes[index]! += bytes;
        sums.slots[index]! += slot - first;
      }
      first = slot;
      ecpu = 0;
      bytes = 0;
      if (slot === owners.length) break;
    }
    const one = slotEcpu[slot]!;
    ecpu += one;
    bytes += slotBytes[slot]!;
    if (one > hottestEcpu) hottestEcpu = one;
  }
  return { ...sums, hottestEcpu };
}
