/** How requests and bytes lie over the slots: even, by Zipf's law, with one hot slot. Shares sum to 1. */
import { seededRandom } from '../lib/seeded-random.ts';
import type { CacheShape, HotKeyModel } from './sim-shards.ts';
import { SLOT_COUNT } from '../model/slot-range.ts';

export interface ShapeOptions {
  /** Zipf's exponent over slots; 0 is even. */
  readonly zipf: number;
  readonly dataBytes: number;
  /** Share of one slot more than its place in the law; null: none. */
  readonly hotSlotShare: number | null;
  readonly hotKey: Omit<HotKeyModel, 'slot'> | null;
  readonly seed: number;
}

/** Where the hot slot is: in the middle of the first shard's. */
export const HOT_SLOT = 1000;

export function slotShape(options: ShapeOptions): CacheShape {
  const random = seededRandom(options.seed);
  const ranks = Array.from({ length: SLOT_COUNT }, (_, index) => index);
  for (let index = SLOT_COUNT - 1; index > 0; index -= 1) {
    const other = Math.floor(random() * (index + 1));
    [ranks[index], ranks[other]] = [ranks[other]!, ranks[index]!];
  }
  const slotShare = new Float64Array(SLOT_COUNT);
  const slotBytes = new Float64Array(SLOT_COUNT);
  let sum = 0;
  for (let slot = 0; slot < SLOT_COUNT; slot += 1) {
    slotShare[slot] = 1 / (ranks[slot]! + 1) ** options.zipf;
    sum += slotShare[slot]!;
    // Keys spread over slots by hash: nearly even, a third more or less.
    slotBytes[slot] = (options.dataBytes / SLOT_COUNT) * (0.67 + 0.66 * random());
  }
  const rest = 1 - (options.hotSlotShare ?? 0);
  for (let slot = 0; slot < SLOT_COUNT; slot += 1) slotShare[slot]! *= rest / sum;
  if (options.hotSlotShare !== null) slotShare[HOT_SLOT]! += options.hotSlotShare;
  return {
    slotShare,
    slotBytes,
    hotKey: options.hotKey === null ? null : { slot: HOT_SLOT, ...options.hotKey },
  };
}
