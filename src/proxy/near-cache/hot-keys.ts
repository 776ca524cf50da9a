/**
 * The keys that so many read through this proxy that their replies are kept: found by a sketch that a sample of the reads
 * feeds, looked up by slot.
 */
import type { RequestArguments } from '../../protocol/command-table.ts';
import { SLOT_COUNT } from '../../protocol/hash-slot.ts';
import type { PlannedCommand } from '../command-book.ts';
import { HotKeySketch } from '../hot-key-sketch.ts';
import { isEqual, NearKey } from './near-key.ts';

const KEYS_MAXIMUM = 64;
/** Reads a second of one key, through this proxy, from which on it is hot ... */
const HOT_READS = 800;
/** ... and below which it is hot no more. */
const COLD_READS = 200;
/** Of the reads that could be kept one in so many feeds the sketch, at random. */
const SAMPLE = 32;

export class HotKeys {
  /** Grows with every key that becomes hot, and when that was: before, nobody noted who had seen it. */
  generation = 1;
  generationUs = 0;
  /** By slot: the hot keys; null where there is none. */
  readonly #slots: (NearKey[] | null)[] = Array.from({ length: SLOT_COUNT }, () => null);
  #keys: readonly NearKey[] = [];
  readonly #sketch = new HotKeySketch(KEYS_MAXIMUM);
  #skip = 1;
  #random = 0x2545f491;

  get all(): readonly NearKey[] {
    return this.#keys;
  }

  /** Those of a slot; null: it has none. Hot. */
  ofSlot(slot: number): readonly NearKey[] | null {
    return this.#slots[slot]!;
  }

  has(key: NearKey): boolean {
    return this.#keys.includes(key);
  }

  /** A read that could be kept. Hot. */
  sample(planned: PlannedCommand, buf: Buffer, args: RequestArguments, slot: number): void {
    if (--this.#skip > 0) return;
    // Not every 32nd: pipelines have rhythms of their own.
    this.#random ^= this.#random << 13;
    this.#random ^= this.#random >>> 17;
    this.#random ^= this.#random << 5;
    this.#skip = 1 + ((this.#random >>> 8) % (2 * SAMPLE - 1));
    const at = planned.command.firstKey;
    if (at < args.argc)
      this.#sketch.record(slot, buf, args.argStart[at]!, args.argEnd[at]!, true, SAMPLE);
  }

  /**
   * Looks which keys are hot now. Called every `periodMs`.
   *
   * @param nowUs Turn's clock
   * @returns those that are hot no more
   */
  look(nowUs: number, periodMs: number): NearKey[] {
    const rates = this.#sketch
      .top()
      .map((hot) => ({ ...hot, rate: (HotKeySketch.rateOf(hot.reads) * 1000) / periodMs }));
    this.#sketch.decay();
    const isHot = (key: NearKey): boolean =>
      rates.some(({ key: bytes, rate }) => rate >= COLD_READS && bytes.equals(key.bytes));
    const cold = this.#keys.filter((key) => !isHot(key));
    for (const key of cold) this.#forget(key);
    for (const { key, slot, rate } of rates) {
      if (rate < HOT_READS || this.#keys.length >= KEYS_MAXIMUM) break;
      const there = this.#slots[slot] ?? null;
      if (there !== null && findKey(there, key, 0, key.length) !== null) continue;
      const hot = new NearKey(key, slot);
      this.#keys = [...this.#keys, hot];
      this.#slots[slot] = [...(there ?? []), hot];
      this.generation++;
      this.generationUs = nowUs;
    }
    return cold;
  }

  #forget(key: NearKey): void {
    this.#keys = this.#keys.filter((each) => each !== key);
    const rest = this.#slots[key.slot]!.filter((each) => each !== key);
    this.#slots[key.slot] = rest.length === 0 ? null : rest;
  }
}

/** The key `buf[start, end)` among these; null: it is none of them. */
export function findKey(
  keys: readonly NearKey[],
  buf: Buffer,
  start: number,
  end: number,
): NearKey | null {
  for (const key of keys) if (isEqual(key.bytes, buf, start, end)) return key;
  return null;
}
