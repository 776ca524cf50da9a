/** Arithmetic of slot ranges. */
import { SLOT_COUNT, type SlotRange } from '../model/slot-range.ts';

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

/** Slots first..last of part `index` of `parts` that divide all slots as evenly as they can be. */
export function evenRange(index: number, parts: number): SlotRange {
  return {
    first: Math.floor((index * SLOT_COUNT) / parts),
    last: Math.floor(((index + 1) * SLOT_COUNT) / parts) - 1,
  };
}

/** Whether the ranges are all slots, each once. */
export function coverAll(ranges: readonly SlotRange[]): boolean {
  const free = withoutRanges({ first: 0, last: SLOT_COUNT - 1 }, ranges);
  return free.length === 0 && slotCount(ranges) === SLOT_COUNT;
}

/** How many slots there are in ranges that do not overlap. */
export function slotCount(ranges: readonly SlotRange[]): number {
  return ranges.reduce((sum, { first, last }) => sum + last - first + 1, 0);
}

/** `0-99,200` as it is written down; empty for none. */
export function rangesText(ranges: readonly SlotRange[]): string {
  return ranges.map(({ first, last }) => (first === last ? `${first}` : `${first}-${last}`)).join();
}

/** The opposite of `rangesText`. */
export function rangesOf(text: string): SlotRange[] {
  if (text === '') return [];
  return text.split(',').map((word) => {
    const [first = 0, last = first] = word.split('-').map(Number);
    return { first, last };
  });
}
