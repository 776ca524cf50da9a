/** Shards with what they carry and what placement can reach for them: what moves of slots are decided by. Pure. */
import { placementTarget, type PlacementTarget } from './placement-target.ts';
import { slotLoad, type CapacityReading, type ShardReading } from './read-capacity.ts';
import type { SlotWeight } from './select-slots.ts';
import { NO_SHARD, SLOT_COUNT } from '../../model/slot-range.ts';

/** Load that every shard is taken to have besides, as a share of its capacity: idle shards balance by number of slots. */
const LATENT_SHARE = 0.02;

export interface Weighed {
  readonly shard: ShardReading;
  readonly weight: number;
  /** The same from the averaged load. */
  readonly steady: number;
  /** What placement can reach for it. */
  readonly target: number;
  /** Slots of it that fill a shard alone. */
  readonly own: readonly number[];
}

export function weigh(
  staying: readonly ShardReading[],
  reading: CapacityReading,
  weights: SlotWeights,
): Weighed[] {
  // An empty shard's own utilisation is its idling.
  const weightOf = (shard: ShardReading): number =>
    shard.slots === 0 ? 0 : weights.ofShard(shard);
  const total = staying.reduce((sum, shard) => sum + weightOf(shard), 0);
  const byNumber = new Map(staying.map((shard) => [shard.shard, shard]));
  const heavy = heavySlots(reading, byNumber, weights, total / Math.max(1, staying.length) / 4);
  const target: PlacementTarget = placementTarget(heavy, total, staying.length);
  const ownOf = new Map<number, number[]>();
  for (const slot of target.own.keys()) {
    const owner = reading.view.slots.owners[slot]!;
    ownOf.set(owner, [...(ownOf.get(owner) ?? []), slot]);
  }
  return staying.map((shard) => {
    const own = ownOf.get(shard.shard) ?? [];
    return {
      shard,
      weight: weightOf(shard),
      steady: shard.slots === 0 ? 0 : weights.steadyOf(shard),
      target: own.length === 0 ? target.mean : Math.max(target.mean, target.own.get(own[0]!)!),
      own,
    };
  });
}

function heavySlots(
  reading: CapacityReading,
  shards: ReadonlyMap<number, ShardReading>,
  weights: SlotWeights,
  threshold: number,
): { slot: number; weight: number }[] {
  const { owners, ecpu } = reading.view.slots;
  let dearest = 0;
  for (const shard of shards.values())
    if (shard.ecpu > 0) dearest = Math.max(dearest, (shard.load ?? 0) / shard.ecpu);
  const heavy: { slot: number; weight: number }[] = [];
  if (reading.hottestSlotEcpu * dearest + weights.latent < threshold) return heavy;
  for (let slot = 0; slot < SLOT_COUNT; slot += 1) {
    if (ecpu[slot]! * dearest + weights.latent < threshold || owners[slot] === NO_SHARD) continue;
    const shard = shards.get(owners[slot]!);
    if (shard === undefined) continue;
    const weight = weights.ofSlot(shard, slot);
    if (weight >= threshold) heavy.push({ slot, weight });
  }
  return heavy.sort((a, b) => b.weight - a.weight || a.slot - b.slot);
}

/** Slots' weights of one plan; each shard's are worked out when they are asked for. */
export class SlotWeights {
  readonly #reading: CapacityReading;
  readonly latent: number;

  constructor(reading: CapacityReading) {
    this.#reading = reading;
    this.latent = (LATENT_SHARE * reading.newShardEcpu * reading.shards.length) / SLOT_COUNT;
  }

  ofShard(shard: ShardReading): number {
    return (shard.load ?? 0) + shard.slots * this.latent;
  }

  steadyOf(shard: ShardReading): number {
    return (shard.steadyLoad ?? 0) + shard.slots * this.latent;
  }

  ofSlot(shard: ShardReading, slot: number): number {
    return slotLoad(this.#reading, shard, slot) + this.latent;
  }

  slotsOf(shard: ShardReading, except: ReadonlySet<number>): SlotWeight[] {
    const { owners, bytes } = this.#reading.view.slots;
    const slots: SlotWeight[] = [];
    for (let slot = 0; slot < SLOT_COUNT; slot += 1) {
      if (owners[slot] !== shard.shard || except.has(slot)) continue;
      slots.push({ slot, weight: this.ofSlot(shard, slot), bytes: bytes[slot]! });
    }
    return slots;
  }
}
