/**
 * The most requested keys of a stream, in bounded memory: the space-saving sketch (Metwally et al., 2005). A key that is not
 * among those kept takes the place of the least counted one and inherits its count as a possible error, so a key with more
 * than 1/capacity of the stream is always there. Counts decay, so that `top` speaks of the last seconds.
 *
 * Made to be fed by the hot path: no allocation but for a key that is new to it.
 */

/** Counts are halved this often by whoever feeds it (`decay`): with 0.5 a count settles at twice the rate of a period. */
const DECAY = 0.5;
/** A count that has decayed below this is nobody's any more. */
const FORGOTTEN = 0.05;

/** Counts since it was first seen, decayed; both are certain, the key may have had up to `error` more. */
export interface HotKey {
  readonly slot: number;
  readonly key: Buffer;
  readonly reads: number;
  readonly writes: number;
  readonly error: number;
}

export class HotKeySketch {
  readonly capacity: number;
  /** Entries in use: 0..#size-1. */
  #size = 0;
  readonly #hashes: Int32Array;
  readonly #slots: Int32Array;
  readonly #lengths: Int32Array;
  readonly #keys: Buffer[] = [];
  readonly #reads: Float64Array;
  readonly #writes: Float64Array;
  readonly #errors: Float64Array;

  constructor(capacity = 64) {
    this.capacity = capacity;
    this.#hashes = new Int32Array(capacity);
    this.#slots = new Int32Array(capacity);
    this.#lengths = new Int32Array(capacity);
    this.#reads = new Float64Array(capacity);
    this.#writes = new Float64Array(capacity);
    this.#errors = new Float64Array(capacity);
  }

  get size(): number {
    return this.#size;
  }

  /**
   * Counts one request for the key `buf[start, end)` of `slot`. Hot where it is switched on.
   *
   * @param weight how many requests it stands for, when the stream is sampled
   */
  record(
    slot: number,
    buf: Uint8Array,
    start: number,
    end: number,
    isRead: boolean,
    weight = 1,
  ): void {
    const hash = hashOf(buf, start, end);
    let entry = this.#find(hash, buf, start, end);
    if (entry < 0) entry = this.#adopt(hash, slot, buf, start, end);
    if (isRead) this.#reads[entry]! += weight;
    else this.#writes[entry]! += weight;
  }

  /** The keys kept, the most requested first. */
  top(): HotKey[] {
    const all: HotKey[] = [];
    for (let i = 0; i < this.#size; i++) {
      all.push({
        slot: this.#slots[i]!,
        key: Buffer.from(this.#keys[i]!.subarray(0, this.#lengths[i]!)),
        reads: this.#reads[i]!,
        writes: this.#writes[i]!,
        error: this.#errors[i]!,
      });
    }
    return all.sort((a, b) => b.reads + b.writes - (a.reads + a.writes));
  }

  /** The end of a period: what was counted weighs half from now on. */
  decay(): void {
    for (let i = this.#size - 1; i >= 0; i--) {
      this.#reads[i]! *= DECAY;
      this.#writes[i]! *= DECAY;
      this.#errors[i]! *= DECAY;
      if (this.#count(i) < FORGOTTEN) this.#remove(i);
    }
  }

  /** Requests per period of a count right before `decay`, when it has been fed at a constant rate for some periods. */
  static rateOf(count: number): number {
    return count * (1 - DECAY);
  }

  clear(): void {
    this.#size = 0;
    this.#keys.length = 0;
  }

  #find(hash: number, buf: Uint8Array, start: number, end: number): number {
    const hashes = this.#hashes;
    for (let i = 0; i < this.#size; i++) {
      if (hashes[i] !== hash || this.#lengths[i] !== end - start) continue;
      const key = this.#keys[i]!;
      let at = start;
      while (at < end && key[at - start] === buf[at]) at++;
      if (at === end) return i;
    }
    return -1;
  }

  /** A place for a key that is new: a free one, or the least counted key's. */
  #adopt(hash: number, slot: number, buf: Uint8Array, start: number, end: number): number {
    let entry = this.#size;
    if (entry < this.capacity) {
      this.#size++;
      this.#errors[entry] = 0;
    } else {
      entry = this.#least();
      this.#errors[entry] = this.#count(entry);
    }
    this.#reads[entry] = 0;
    this.#writes[entry] = 0;
    this.#hashes[entry] = hash;
    this.#slots[entry] = slot;
    this.#lengths[entry] = end - start;
    let key = this.#keys[entry];
    if (key === undefined || key.length < end - start) {
      key = Buffer.alloc(Math.max(KEY_BYTES, end - start));
      this.#keys[entry] = key;
    }
    for (let at = start; at < end; at++) key[at - start] = buf[at]!;
    return entry;
  }

  #least(): number {
    let least = 0;
    let count = this.#count(0);
    for (let i = 1; i < this.#size; i++) {
      const other = this.#count(i);
      if (other >= count) continue;
      least = i;
      count = other;
    }
    return least;
  }

  #count(entry: number): number {
    return this.#reads[entry]! + this.#writes[entry]! + this.#errors[entry]!;
  }

  /** The last entry takes its place. */
  #remove(entry: number): void {
    const last = --this.#size;
    const key = this.#keys[entry]!;
    this.#keys[entry] = this.#keys[last]!;
    this.#keys[last] = key;
    this.#hashes[entry] = this.#hashes[last]!;
    this.#slots[entry] = this.#slots[last]!;
    this.#lengths[entry] = this.#lengths[last]!;
    this.#reads[entry] = this.#reads[last]!;
    this.#writes[entry] = this.#writes[last]!;
    this.#errors[entry] = this.#errors[last]!;
  }
}

/** Most keys are shorter: their place is not allocated anew for each of them. */
const KEY_BYTES = 64;

/** FNV-1a. */
function hashOf(buf: Uint8Array, start: number, end: number): number {
  let hash = 0x811c9dc5 | 0;
  for (let i = start; i < end; i++) hash = Math.imul(hash ^ buf[i]!, 0x01000193);
  return hash;
}
