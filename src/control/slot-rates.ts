/**
 * The load of one cache by slot, summed over its proxies: of the last second, and smoothed. A proxy's last report stands for
 * it until the next one, so that two clocks that do not beat together make no waves.
 */
import {
  SLOT_MEASURES,
  type HotKeyReport,
  type SlotHeatReport,
  type SlotMeasure,
  type SlotRates,
} from '../model/heat.ts';
import { SLOT_COUNT } from '../model/slot-range.ts';

const MEASURES = SLOT_MEASURES.length;
/** Bytes of one slot in a report. */
const SLOT_BYTES = 2 + 4 * MEASURES;
/** Of a cache without traffic: shared by all of them, never written to. */
const NONE: SlotRates = byMeasure(() => new Float64Array(SLOT_COUNT));
/** What is left of a load that has gone is nothing, below this. */
const NEGLIGIBLE = 0.01;
/** A proxy that has not reported for so long has no load that is known. */
const STALE_AFTER_MS = 2_500;
const SMOOTHED_OVER_MS = 1_500;
const HOT_KEYS = 32;

/** What a proxy said last. */
interface Reported {
  readonly atMs: number;
  readonly sequence: number;
  readonly pid: number;
  readonly intervalMs: number;
  readonly slots: Uint16Array;
  /** One after the other, as many numbers for each of SLOT_MEASURES. */
  readonly columns: Float32Array;
  readonly hotKeys: readonly HotKeyReport[];
}

/** Without traffic it costs next to nothing, neither memory nor time: most caches of many are idle. */
export class SlotRatesBoard {
  /** When the newest report came. */
  sampledAtMs = 0;
  readonly #byProxy = new Map<number, Reported>();
  #rates = NONE;
  #smoothed = NONE;
  #tickedAtMs = 0;

  get rates(): SlotRates {
    return this.#rates;
  }

  get smoothed(): SlotRates {
    return this.#smoothed;
  }

  /** Takes a report; one that was taken before, and came again, is not counted again. */
  report(proxy: number, pid: number, report: SlotHeatReport, nowMs: number): void {
    const last = this.#byProxy.get(proxy);
    if (last !== undefined && last.pid === pid && report.sequence <= last.sequence) return;
    const bytes = Buffer.from(report.columns, 'base64');
    const { slots: count } = report;
    if (bytes.length !== count * SLOT_BYTES) return;
    // Copies: numbers of 32 bits must stand at multiples of four.
    const slots = new Uint16Array(count);
    const columns = new Float32Array(count * MEASURES);
    bytes.copy(Buffer.from(columns.buffer));
    bytes.copy(Buffer.from(slots.buffer), 0, columns.byteLength);
    this.sampledAtMs = nowMs;
    this.#byProxy.set(proxy, {
      atMs: nowMs,
      sequence: report.sequence,
      pid,
      intervalMs: report.intervalMs,
      slots,
      columns,
      hotKeys: report.hotKeys,
    });
  }

  /** Once a second: the picture is made anew. */
  tick(nowMs: number): void {
    const passedMs = this.#tickedAtMs === 0 ? 1_000 : nowMs - this.#tickedAtMs;
    this.#tickedAtMs = nowMs;
    const reports = this.#fresh(nowMs).filter(({ slots }) => slots.length > 0);
    if (reports.length === 0) this.#rates = NONE;
    else {
      if (this.#rates === NONE) this.#rates = byMeasure(() => new Float64Array(SLOT_COUNT));
      for (const measure of SLOT_MEASURES) this.#rates[measure].fill(0);
      for (const reported of reports) this.#add(reported);
    }
    this.#smooth(1 - Math.exp(-passedMs / SMOOTHED_OVER_MS));
  }

  total(): Record<SlotMeasure, number> {
    return byMeasure((measure) => {
      let sum = 0;
      if (this.#rates === NONE) return sum;
      for (const rate of this.#rates[measure]) sum += rate;
      return sum;
    });
  }

  /** The hottest first. */
  hotKeys(nowMs: number): HotKeyReport[] {
    const sum = new Map<string, HotKeyReport>();
    for (const { hotKeys } of this.#fresh(nowMs))
      for (const key of hotKeys) {
        const id = `${key.slot} ${key.keyBytes} ${key.keyHex}`;
        const so = sum.get(id);
        sum.set(id, {
          ...key,
          readsPerSecond: key.readsPerSecond + (so?.readsPerSecond ?? 0),
          writesPerSecond: key.writesPerSecond + (so?.writesPerSecond ?? 0),
        });
      }
    return [...sum.values()].sort((a, b) => rateOf(b) - rateOf(a)).slice(0, HOT_KEYS);
  }

  #fresh(nowMs: number): Reported[] {
    return [...this.#byProxy.values()].filter(({ atMs }) => nowMs - atMs < STALE_AFTER_MS);
  }

  #smooth(part: number): void {
    if (this.#smoothed === NONE) {
      if (this.#rates === NONE) return;
      this.#smoothed = byMeasure(() => new Float64Array(SLOT_COUNT));
    }
    let most = 0;
    for (const measure of SLOT_MEASURES)
      most = Math.max(most, smooth(this.#smoothed[measure], this.#rates[measure], part));
    if (this.#rates === NONE && most < NEGLIGIBLE) this.#smoothed = NONE;
  }

  #add({ slots, columns, intervalMs }: Reported): void {
    const perSecond = 1000 / intervalMs;
    for (const [measure, name] of SLOT_MEASURES.entries()) {
      const rates = this.#rates[name];
      const from = measure * slots.length;
      for (let i = 0; i < slots.length; i++) {
        const slot = slots[i]!;
        if (slot < SLOT_COUNT) rates[slot]! += columns[from + i]! * perSecond;
      }
    }
  }
}

function rateOf({ readsPerSecond, writesPerSecond }: HotKeyReport): number {
  return readsPerSecond + writesPerSecond;
}

/** @returns the largest */
function smooth(smoothed: Float64Array, rates: Float64Array, part: number): number {
  let most = 0;
  for (let slot = 0; slot < SLOT_COUNT; slot++) {
    const value = smoothed[slot]! + part * (rates[slot]! - smoothed[slot]!);
    smoothed[slot] = value;
    if (value > most) most = value;
  }
  return most;
}

function byMeasure<T>(value: (measure: SlotMeasure) => T): Record<SlotMeasure, T> {
  return Object.fromEntries(SLOT_MEASURES.map((name) => [name, value(name)])) as Record<
    SlotMeasure,
    T
  >;
}
