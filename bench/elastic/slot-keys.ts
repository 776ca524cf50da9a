/** Names of keys by slot: `{tag}:n`, the tag found by trying. */
import { hashSlot, SLOT_COUNT } from '../../src/protocol/hash-slot.ts';

/** One hash tag for each slot. */
export function slotTags(): readonly string[] {
  const tags: string[] = Array.from({ length: SLOT_COUNT });
  let missing = SLOT_COUNT;
  for (let i = 0; missing > 0; i++) {
    const tag = i.toString(36);
    const bytes = Buffer.from(tag);
    const slot = hashSlot(bytes, 0, bytes.length);
    if (tags[slot] !== undefined) continue;
    tags[slot] = tag;
    missing--;
  }
  return tags;
}

export function slotKey(tags: readonly string[], slot: number, number: number): string {
  return `{${tags[slot]!}}:${number}`;
}
