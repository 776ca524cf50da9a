/**
 * The open loop from outside: a thread (load-worker.ts) that sends requests by a schedule, and what it measured, a quarter of
 * a second at a time.
 */
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import type { LoadMix } from './batch-pool.ts';
import { LatencyHistogram } from './latency-histogram.ts';
import type { RatePoint } from './load-schedule.ts';
import type { FromLoadWorker, IntervalMessage, LoadTarget, ToLoadWorker } from './load-worker.ts';

/** What clients saw between two points in time. */
export interface LoadWindow {
  readonly seconds: number;
  readonly sent: number;
  readonly replies: number;
  readonly repliesPerSecond: number;
  readonly errors: number;
  readonly errorsByKind: Readonly<Record<string, number>>;
  readonly misses: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maximumMs: number;
  /** Cores that the generator's thread took. */
  readonly generatorCores: number;
}

export class OpenLoop implements AsyncDisposable {
  readonly intervals: IntervalMessage[] = [];
  readonly #worker: Worker;
  readonly #waiters = new Map<string, PromiseWithResolvers<void>>();
  #failure: Error | null = null;

  private constructor(target: LoadTarget) {
    this.#worker = new Worker(new URL('./load-worker.ts', import.meta.url), { workerData: target });
    this.#worker.on('message', (message: FromLoadWorker) => {
      if (message.type === 'interval') this.intervals.push(message);
      else this.#waiters.get(message.of)?.resolve();
    });
    this.#worker.on('error', (error: Error) => {
      this.#failure = error;
      for (const { reject } of this.#waiters.values()) reject(error);
    });
  }

  static async open(target: LoadTarget): Promise<OpenLoop> {
    const loop = new OpenLoop(target);
    await loop.#until('open');
    return loop;
  }

  /** Writes every key once, so that no GET misses. */
  prefill(keysPerSlot: number, valueBytes: number): Promise<void> {
    return this.#ask({ type: 'prefill', keysPerSlot, valueBytes });
  }

  /** What is sent from now on; the rate is 0 until a schedule is given. */
  mix(mix: LoadMix): Promise<void> {
    return this.#ask({ type: 'mix', mix });
  }

  /** From now on; the first point at 0 ms is now. */
  schedule(points: readonly RatePoint[]): Promise<void> {
    return this.#ask({ type: 'schedule', points });
  }

  hold(perSecond: number): Promise<void> {
    return this.schedule([{ atMs: 0, perSecond }]);
  }

  /** Of the intervals that ended between the two (epoch, ms). */
  window(fromMs: number, toMs: number): LoadWindow {
    return windowOf(this.intervals.filter((one) => one.toMs > fromMs && one.toMs <= toMs));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#failure === null) {
      const exited = once(this.#worker, 'exit');
      this.#worker.postMessage({ type: 'stop' } satisfies ToLoadWorker);
      await exited;
    }
    await this.#worker.terminate();
  }

  #ask(message: ToLoadWorker): Promise<void> {
    const answered = this.#until(message.type);
    this.#worker.postMessage(message);
    return answered;
  }

  #until(what: string): Promise<void> {
    if (this.#failure !== null) return Promise.reject(this.#failure);
    const waiter = Promise.withResolvers<void>();
    this.#waiters.set(what, waiter);
    return waiter.promise.finally(() => this.#waiters.delete(what));
  }
}

export function windowOf(intervals: readonly IntervalMessage[]): LoadWindow {
  const latencies = new LatencyHistogram();
  const errorsByKind: Record<string, number> = {};
  let [sent, replies, misses, cpuMs, lengthMs] = [0, 0, 0, 0, 0];
  for (const one of intervals) {
    latencies.add(LatencyHistogram.of(one.counts, one.maximumUs));
    for (const [kind, count] of Object.entries(one.errors))
      errorsByKind[kind] = (errorsByKind[kind] ?? 0) + count;
    sent += one.sent;
    replies += one.replies;
    misses += one.misses;
    cpuMs += one.cpuMs;
    lengthMs += one.toMs - one.fromMs;
  }
  const seconds = lengthMs / 1000;
  return {
    seconds,
    sent,
    replies,
    repliesPerSecond: seconds === 0 ? 0 : replies / seconds,
    errors: Object.values(errorsByKind).reduce((sum, count) => sum + count, 0),
    errorsByKind,
    misses,
    p50Ms: latencies.quantileMs(0.5),
    p99Ms: latencies.quantileMs(0.99),
    maximumMs: latencies.maximumMs,
    generatorCores: lengthMs === 0 ? 0 : cpuMs / lengthMs,
  };
}
