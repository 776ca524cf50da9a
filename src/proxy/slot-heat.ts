/**
 * Counts what one cache does on this proxy by slot, and hands it to control as reports of what has grown (model/heat.ts).
 * Every request while they are few; of many a part (BUSY_SAMPLE): of a slot with 1000 requests a second that is 5 % of noise,
 * of all slots of a shard together nothing (bench/heat-cost.ts says what it saves). What is metered, `ecpu`, is exact.
 * One report is under way at a time; what is counted meanwhile waits for the next. A bounded sketch of keys is fed for the
 * slots that are watched: those that control names, and any slot that by itself takes a good part of this cache's traffic.
 */
import {
  HOT_KEY_SHOWN_BYTES,
  SLOT_MEASURES,
  type HotKeyReport,
  type SlotHeatReport,
} from '../model/heat.ts';
import { SLOT_COUNT } from '../protocol/hash-slot.ts';
import { ecpuOf } from './ecpu-metering.ts';
import { HotKeySketch } from './hot-key-sketch.ts';

const MEASURES = SLOT_MEASURES.length;
/** Numbers for 512 requests. */
const NOTED_MAXIMUM = 512 * MEASURES;
/** A slot is watched, without being told, from this part of the requests on ... */
const WATCH_SHARE = 0.1;
/** ... when they are so many a second ... */
const WATCH_REQUESTS = 200;
/** ... and so many seconds longer. */
const WATCH_SECONDS = 10;
/** Half a megabyte is given back after so many seconds without a request. */
const IDLE_REPORTS = 60;
/** Of the requests for watched slots one in so many feeds the sketch, at random. */
const SAMPLE = 8;
/** From so many requests a second on ... */
const BUSY_REQUESTS = 30_000;
/** ... one in so many is counted in its slot, at random, for all that it stands for. */
const BUSY_SAMPLE = 4;
/** Hot keys in a report. */
const REPORTED_KEYS = 16;

export class SlotHeat {
  /** All that was charged; only grows. */
  ecpu = 0;
  /** 1 for each slot whose keys are watched; null: none is. */
  watched: Uint8Array | null = null;
  /** Fed with the keys of the watched slots, decayed once a second; null: no slot is watched. */
  hotKeys: HotKeySketch | null = null;

  #counts = true;
  /**
   * Requests that are not in `#cells` yet: slot, ECPU, bytes in and out of each. The cells are half a megabyte, and a request
   * that had to wait for its own to come from memory paid a tenth of what it cost in all (bench/heat-cost.ts, pipeline 16);
   * summed up many at a time, these waits overlap.
   */
  readonly #noted = new Float32Array(NOTED_MAXIMUM);
  #notedLength = 0;
  /** MEASURES numbers for each slot, since the last report. Made with the first request: most caches of many are idle. */
  #cells: Float64Array | null = null;
  /** Slots that are not zero. */
  readonly #touched = new Uint16Array(SLOT_COUNT);
  #touchedCount = 0;
  /** Reports in a row that had nothing to say. */
  #idleReports = 0;
  #sinceMs: number;
  #sequence = 0;
  #underWay: SlotHeatReport | null = null;
  /** Slots that control named. */
  #told: readonly number[] = [];
  /** Slots found hot here, and for how many seconds more. */
  readonly #found = new Map<number, number>();
  #skip = 1;
  /** Requests that one which is counted in its slot stands for, and how many are left until the next. */
  #every = 1;
  #skipSlots = 1;
  #random = 0x2545f491;

  constructor(nowMs: number) {
    this.#sinceMs = nowMs;
  }

  /** False: meters nothing and counts nothing, to measure what that costs. */
  set counts(counts: boolean) {
    this.#counts = counts;
    this.#renewWatch();
  }

  /** One request that was answered. Returns its ECPU. Hot. */
  count(slot: number, weight: number, bytesIn: number, bytesOut: number): number {
    if (!this.#counts) return 0;
    const ecpu = ecpuOf(weight, bytesIn + bytesOut);
    this.ecpu += ecpu;
    if (slot >= 0) this.countSlot(slot, ecpu, bytesIn, bytesOut);
    return ecpu;
  }

  /** As `count`, for a part of a request that is charged as a whole. Hot. */
  countSlot(slot: number, ecpu: number, bytesIn: number, bytesOut: number): void {
    if (!this.#counts) return;
    if (this.#every > 1) {
      if (--this.#skipSlots > 0) return;
      this.#skipSlots = this.#skipFor(this.#every);
    }
    const noted = this.#noted;
    const at = this.#notedLength;
    noted[at] = slot;
    noted[at + 1] = ecpu;
    noted[at + 2] = bytesIn;
    noted[at + 3] = bytesOut;
    this.#notedLength = at + MEASURES;
    if (this.#notedLength === NOTED_MAXIMUM) this.#sumUp();
  }

  /** A request for the key `buf[start, end)` of a watched slot. */
  noteKey(slot: number, buf: Uint8Array, start: number, end: number, isRead: boolean): void {
    if (--this.#skip > 0) return;
    this.#skip = this.#skipFor(SAMPLE);
    this.hotKeys?.record(slot, buf, start, end, isRead, SAMPLE);
  }

  /** A number whose mean is `every`, and not that itself: pipelines have rhythms of their own. */
  #skipFor(every: number): number {
    this.#random ^= this.#random << 13;
    this.#random ^= this.#random >>> 17;
    this.#random ^= this.#random << 5;
    return 1 + ((this.#random >>> 8) % (2 * every - 1));
  }

  /** Control names the slots whose keys it wants to know, instead of those it named before. */
  watch(slots: readonly number[]): void {
    this.#told = slots.filter((slot) => Number.isInteger(slot) && slot >= 0 && slot < SLOT_COUNT);
    this.#renewWatch();
  }

  /**
   * Called once a second. Returns a new report for control, or the one that is under way, to be sent again only over another
   * link. An idle cache is reported too: silence would be taken for figures that are missing.
   */
  report(
    cache: { readonly name: string; readonly id: string },
    nowMs: number,
  ): SlotHeatReport | null {
    this.#sumUp();
    const hotKeys = this.#endSecond(nowMs);
    if (this.#underWay !== null) return this.#underWay;
    const intervalMs = nowMs - this.#sinceMs;
    if (intervalMs <= 0) return null;
    this.#underWay = {
      cache: cache.name,
      cacheId: cache.id,
      sequence: ++this.#sequence,
      intervalMs,
      slots: this.#touchedCount,
      columns: this.#takeColumns(),
      hotKeys,
    };
    this.#sinceMs = nowMs;
    return this.#underWay;
  }

  /** Control has this report. */
  taken(sequence: number): void {
    if (this.#underWay?.sequence === sequence) this.#underWay = null;
  }

  #sumUp(): void {
    if (this.#notedLength === 0) return;
    const noted = this.#noted;
    const cells = (this.#cells ??= new Float64Array(SLOT_COUNT * MEASURES));
    const every = this.#every;
    for (let i = 0; i < this.#notedLength; i += MEASURES) {
      const slot = noted[i]!;
      const at = slot * MEASURES;
      if (cells[at] === 0) this.#touched[this.#touchedCount++] = slot;
      cells[at]! += every;
      cells[at + 1]! += every * noted[i + 1]!;
      cells[at + 2]! += every * noted[i + 2]!;
      cells[at + 3]! += every * noted[i + 3]!;
    }
    this.#notedLength = 0;
  }

  #takeColumns(): string {
    const count = this.#touchedCount;
    const cells = this.#cells;
    if (cells === null || count === 0) return this.#takeNothing();
    // Of this machine's byte order: control runs on it, too.
    const columns = new Float32Array(count * MEASURES);
    const slots = this.#touched.slice(0, count);
    for (let i = 0; i < count; i++) {
      const at = slots[i]! * MEASURES;
      for (let measure = 0; measure < MEASURES; measure++)
        columns[measure * count + i] = cells[at + measure]!;
      cells[at] = 0;
      cells[at + 1] = 0;
      cells[at + 2] = 0;
      cells[at + 3] = 0;
    }
    this.#touchedCount = 0;
    this.#idleReports = 0;
    return Buffer.concat([Buffer.from(columns.buffer), Buffer.from(slots.buffer)]).toString(
      'base64',
    );
  }

  /** The cells go when they have not been needed for a while. */
  #takeNothing(): string {
    if (++this.#idleReports === IDLE_REPORTS) this.#cells = null;
    return '';
  }

  /** Looks for slots that are hot by themselves; returns the hot keys of the watched ones. */
  #endSecond(nowMs: number): HotKeyReport[] {
    const reports = this.hotKeys === null ? [] : reportsOf(this.hotKeys);
    this.hotKeys?.decay();
    for (const [slot, seconds] of this.#found) {
      if (seconds <= 1) this.#found.delete(slot);
      else this.#found.set(slot, seconds - 1);
    }
    for (const slot of this.#hotSlots((nowMs - this.#sinceMs) / 1000))
      this.#found.set(slot, WATCH_SECONDS);
    this.#renewWatch();
    return reports;
  }

  #hotSlots(seconds: number): number[] {
    const cells = this.#cells;
    if (cells === null) return [];
    let all = 0;
    for (let i = 0; i < this.#touchedCount; i++) all += cells[this.#touched[i]! * MEASURES]!;
    // For the next second; everything noted before is summed up.
    if (this.#counts) this.#every = all > BUSY_REQUESTS * seconds ? BUSY_SAMPLE : 1;
    const least = Math.max(all * WATCH_SHARE, WATCH_REQUESTS * seconds);
    const hot: number[] = [];
    for (let i = 0; i < this.#touchedCount; i++) {
      const slot = this.#touched[i]!;
      if (cells[slot * MEASURES]! > least) hot.push(slot);
    }
    return hot;
  }

  #renewWatch(): void {
    const slots = [...this.#told, ...this.#found.keys()];
    if (slots.length === 0 || !this.#counts) {
      this.watched = null;
      this.hotKeys = null;
      return;
    }
    this.hotKeys ??= new HotKeySketch();
    this.watched ??= new Uint8Array(SLOT_COUNT);
    this.watched.fill(0);
    for (const slot of slots) this.watched[slot] = 1;
  }
}

function reportsOf(sketch: HotKeySketch): HotKeyReport[] {
  return sketch
    .top()
    .slice(0, REPORTED_KEYS)
    .map(({ slot, key, reads, writes }) => ({
      slot,
      keyHex: key.toString('hex', 0, HOT_KEY_SHOWN_BYTES),
      keyBytes: key.length,
      readsPerSecond: HotKeySketch.rateOf(reads),
      writesPerSecond: HotKeySketch.rateOf(writes),
    }));
}
