/**
 * Which slots leave a shard: as much load as wanted for as few bytes and as few ranges as possible. Two tiers (E-Store):
 * the hot ones singly, hottest for their bytes first; then one run of neighbours for the rest, which a flat load needs.
 */
import type { SlotRange } from '../../model/slot-range.ts';

export interface SlotWeight {
  readonly slot: number;
  readonly weight: number;
  readonly bytes: number;
}

export interface SlotBudget {
  readonly weight: number;
  readonly bytes: number;
  /** What the target can hold; `bytes` is what one job may take. */
  readonly roomBytes: number;
  readonly ranges: number;
}

export interface SlotChoice {
  readonly ranges: readonly SlotRange[];
  readonly slots: number;
  readonly weight: number;
  readonly bytes: number;
}

/** Above this multiple of the mean a slot is picked singly. */
const SINGLE_RATIO = 4;
/** An empty slot costs something to move too. */
const SLOT_OVERHEAD_BYTES = 1024;
/** The rest is not worth a run of neighbours below this part of what was wanted. */
const REST_SHARE = 0.1;

/** `candidates` in the order of their slots. Null: nothing that fits. */
export function selectSlots(
  candidates: readonly SlotWeight[],
  budget: SlotBudget,
): SlotChoice | null {
  if (candidates.length === 0 || budget.weight <= 0) return null;
  const chosen = new Set<SlotWeight>();
  let weight = 0;
  let bytes = 0;
  const mean = candidates.reduce((sum, one) => sum + one.weight, 0) / candidates.length;
  const singles = candidates
    .filter((one) => one.weight > mean * SINGLE_RATIO)
    .sort((a, b) => heat(b) - heat(a) || a.slot - b.slot);
  for (const one of singles) {
    if (chosen.size >= budget.ranges / 2) break;
    if (weight + one.weight > budget.weight || bytes + one.bytes > budget.bytes) continue;
    chosen.add(one);
    weight += one.weight;
    bytes += one.bytes;
  }
  if (budget.weight - weight > budget.weight * REST_SHARE) {
    const rest = candidates.filter((one) => !chosen.has(one));
    const run = bestRun(rest, {
      weight: budget.weight - weight,
      bytes: budget.bytes - bytes,
      ranges: budget.ranges - chosen.size,
    });
    for (const one of run) {
      chosen.add(one);
      weight += one.weight;
      bytes += one.bytes;
    }
  }
  // One slot larger than a job's bytes has to be movable as well, if the target has room for it.
  if (chosen.size === 0) {
    const fitting = candidates.filter(
      (candidate) => candidate.weight <= budget.weight && candidate.bytes <= budget.roomBytes,
    );
    const one = smallest(fitting);
    if (one === null) return null;
    chosen.add(one);
    weight = one.weight;
    bytes = one.bytes;
  }
  const slots = [...chosen].map((one) => one.slot).sort((a, b) => a - b);
  return { ranges: toRanges(slots), slots: slots.length, weight, bytes };
}

/** Sorted slots as inclusive ranges. */
export function toRanges(slots: readonly number[]): SlotRange[] {
  const ranges: { first: number; last: number }[] = [];
  for (const slot of slots) {
    const open = ranges.at(-1);
    if (open !== undefined && open.last === slot - 1) open.last = slot;
    else ranges.push({ first: slot, last: slot });
  }
  return ranges;
}

/**
 * The run of neighbouring candidates that carries the most weight within the budget, and of those that carry nearly as
 * much the one with the fewest bytes for its weight. One pass with two pointers.
 */
function bestRun(
  candidates: readonly SlotWeight[],
  budget: Omit<SlotBudget, 'roomBytes'>,
): readonly SlotWeight[] {
  const ENOUGH = 0.9;
  let best: { first: number; end: number; weight: number; bytes: number } | null = null;
  let first = 0;
  let weight = 0;
  let bytes = 0;
  let breaks = 0;
  const isBreak = (index: number): boolean =>
    index > 0 && candidates[index]!.slot !== candidates[index - 1]!.slot + 1;
  for (let end = 0; end < candidates.length; end += 1) {
    const one = candidates[end]!;
    weight += one.weight;
    bytes += one.bytes;
    if (end > first && isBreak(end)) breaks += 1;
    while (
      first <= end &&
      (weight > budget.weight || bytes > budget.bytes || breaks + 1 > budget.ranges)
    ) {
      weight -= candidates[first]!.weight;
      bytes -= candidates[first]!.bytes;
      first += 1;
      if (first <= end && isBreak(first)) breaks -= 1;
    }
    if (first > end) {
      weight = 0;
      bytes = 0;
      breaks = 0;
      continue;
    }
    const enough = weight >= budget.weight * ENOUGH;
    const bestEnough = best !== null && best.weight >= budget.weight * ENOUGH;
    const better =
      best === null ||
      (enough && !bestEnough) ||
      (enough && bestEnough
        ? dearer(best, { weight, bytes })
        : !bestEnough && weight > best.weight);
    if (better) best = { first, end, weight, bytes };
  }
  return best === null ? [] : candidates.slice(best.first, best.end + 1);
}

/** More bytes for the same load; where that is alike, less load. */
function dearer(
  best: { readonly weight: number; readonly bytes: number },
  other: { readonly weight: number; readonly bytes: number },
): boolean {
  const difference =
    (best.bytes + SLOT_OVERHEAD_BYTES) * other.weight -
    (other.bytes + SLOT_OVERHEAD_BYTES) * best.weight;
  return difference > 0;
}

function heat(one: SlotWeight): number {
  return one.weight / (one.bytes + SLOT_OVERHEAD_BYTES);
}

function smallest(candidates: readonly SlotWeight[]): SlotWeight | null {
  let best: SlotWeight | null = null;
  for (const one of candidates) if (best === null || one.bytes < best.bytes) best = one;
  return best;
}
