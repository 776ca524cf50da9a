/**
 * What placement can reach: slots are not divisible, so a slot that is heavier than an even share takes a shard for itself,
 * and the others share the rest evenly.
 */
export interface PlacementTarget {
  /** Weight of a shard that has no slot of its own. */
  readonly mean: number;
  /** Slots that fill a shard alone, with their weight. */
  readonly own: ReadonlyMap<number, number>;
}

export function placementTarget(
  /** Slots that may be heavier than an even share, heaviest first. */
  heavy: readonly { readonly slot: number; readonly weight: number }[],
  total: number,
  shards: number,
): PlacementTarget {
  const own = new Map<number, number>();
  let rest = total;
  let left = shards;
  for (const { slot, weight } of heavy) {
    if (left <= 1 || weight <= rest / left) break;
    own.set(slot, weight);
    rest -= weight;
    left -= 1;
  }
  return { mean: left > 0 ? Math.max(0, rest) / left : 0, own };
}
