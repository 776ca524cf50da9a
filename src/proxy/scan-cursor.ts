/**
 * The cursor of SCAN over all shards. It names a place in the global order of slots: the slot, the engine's position in
 * that slot's table, and whose table that position belongs to. Every proxy of the cache reads it alike; nothing is kept.
 *
 *   position << 31 | second pass << 30 | origin << 14 | slot
 *
 * The engine's own cursor in cluster mode is `position << 14 | slot` (kvstore.c, addDictIndexToCursor). Positions are
 * small (the number of the slot's buckets), so that the whole stays below 2^53 up to some 30 million keys in one slot,
 * and clients that read it as a double read it right.
 */

export interface ScanCursor {
  readonly slot: number;
  readonly position: bigint;
  /** Tables of one origin agree about positions: 1..65535. 0 where the position is 0. */
  readonly origin: number;
  /** The slot is being moved by hand, its source has been read, this reads its target. */
  readonly secondPass: boolean;
}

const SLOT_BITS = 14n;
const SLOT_MASK = 0x3fffn;
const ORIGIN_MASK = 0xffffn;
const U64_MAXIMUM = 0xffff_ffff_ffff_ffffn;

/** Null for what the engine calls an invalid cursor. */
export function parseCursor(text: string): ScanCursor | null {
  if (!/^\d{1,20}$/.test(text)) return null;
  const value = BigInt(text);
  if (value > U64_MAXIMUM) return null;
  return {
    slot: Number(value & SLOT_MASK),
    origin: Number((value >> SLOT_BITS) & ORIGIN_MASK),
    secondPass: ((value >> 30n) & 1n) === 1n,
    position: value >> 31n,
  };
}

/** `null`: the end. */
export function formatCursor(cursor: ScanCursor | null): string {
  if (cursor === null) return '0';
  const pass = cursor.secondPass ? 1n : 0n;
  const value =
    (cursor.position << 31n) |
    (pass << 30n) |
    (BigInt(cursor.origin) << SLOT_BITS) |
    BigInt(cursor.slot);
  return String(value);
}

/** A node's own cursor for a place. */
export function engineCursor(slot: number, position: bigint): string {
  return String((position << SLOT_BITS) | BigInt(slot));
}

/** Where a node's cursor points; null for its end. */
export function parseEngineCursor(text: string): { slot: number; position: bigint } | null {
  const value = BigInt(text);
  if (value === 0n) return null;
  return { slot: Number(value & SLOT_MASK), position: value >> SLOT_BITS };
}
