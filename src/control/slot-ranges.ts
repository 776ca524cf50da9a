/** Arithmetic of slot ranges. */
import type { SlotRange } from './node-observation.ts';

/** `range` less `taken`, in order. */
export function withoutRanges(range: SlotRange, taken: readonly SlotRange[]): SlotRange[] {
  const free: SlotRange[] = [];
  let next = range.first;
  for (const { first, last } of [...taken].sort((a, b) => a.first - b.first)) {
    if (last < next || first > range.last) continue;
    if (first > next) free.push({ first: next, last: first - 1 });
    next = last + 1;
  }
  if (next <= range.last) free.push({ first: next, last: range.last });
  return free;
}
