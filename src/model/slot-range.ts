/** Hash slots in a row (Valkey cluster specification); both ends included. */
export interface SlotRange {
  readonly first: number;
  readonly last: number;
}

/** Hash slots of a sharded cache (Valkey cluster specification); `protocol/hash-slot.ts` has its own, for what knows no model. */
export const SLOT_COUNT = 16_384;

/** In lists of owners by slot: nobody's. */
export const NO_SHARD = -1;
