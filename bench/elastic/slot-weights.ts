/** How much of the load each slot gets. Pure: an array of 16384 weights whose sum is 1. */
import { SLOT_COUNT } from '../../src/protocol/hash-slot.ts';
import { randomFrom } from '../../e2e/harness/random.ts';

export type SlotWeights = Float64Array;

/** All slots alike. */
export function uniformWeights(): SlotWeights {
  return new Float64Array(SLOT_COUNT).fill(1 / SLOT_COUNT);
}

/**
 * Zipf over slots in an order of chance: the slot of rank r gets 1 / r^alpha; one slot gets `hotShare` of everything.
 *
 * @param hotSlot which; it is taken out of the ranks
 */
export function zipfWeights(
  alpha: number,
  hotSlot: number,
  hotShare: number,
  seed: number,
): SlotWeights {
  const random = randomFrom(seed);
  const order = Array.from({ length: SLOT_COUNT }, (_, slot) => slot);
  for (let i = order.length - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    [order[i], order[j]] = [order[j]!, order[i]!];
  }
  const weights = new Float64Array(SLOT_COUNT);
  for (const [rank, slot] of order.entries()) weights[slot] = (rank + 1) ** -alpha;
  weights[hotSlot] = 0;
  const others = weights.reduce((sum, weight) => sum + weight, 0);
  for (let slot = 0; slot < SLOT_COUNT; slot++) weights[slot]! *= (1 - hotShare) / others;
  weights[hotSlot] = hotShare;
  return weights;
}

/** The least that the most loaded of `nodes` can have: a slot cannot be cut, and a sum has a mean. */
export function bestMaximum(slotLoads: ArrayLike<number>, nodes: number): number {
  let total = 0;
  let hottest = 0;
  for (let slot = 0; slot < slotLoads.length; slot++) {
    total += slotLoads[slot]!;
    hottest = Math.max(hottest, slotLoads[slot]!);
  }
  return Math.max(hottest, total / nodes);
}
