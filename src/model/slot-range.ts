/** Hash slots in a row (Valkey cluster specification); both ends included. */
export interface SlotRange {
  readonly first: number;
  readonly last: number;
}
