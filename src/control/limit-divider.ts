/**
 * Gives every proxy its part of each cache's request limit, once a second, and tells when clients begin to wait for it. The
 * proxies go on with what they were given last when nobody tells them anything (proxy/request-limit.ts).
 */
import { divideLimit, HUNGRY_WAITING, type LimitDemand } from './policies/divide-limit.ts';
import type { CacheRecord } from './store-records.ts';
import type { CacheRates } from './usage-board.ts';

const TICK_MS = 1_000;
/** Weight of the last second in how many clients wait at a proxy. */
const SMOOTHING = 0.5;
/** Waiting that begins again within this is no news. */
const NEWS_AFTER_MS = 60_000;

export interface LimitDividerDependencies {
  readonly store: { caches(): readonly CacheRecord[] };
  readonly usage: {
    /** Of the proxies that report at present, by index. */
    ratesByProxy(cache: string): ReadonlyMap<number, CacheRates>;
  };
  share(proxy: number, cache: string, ecpuPerSecond: number): void;
  event(cache: string, kind: string, message: string): void;
  now?(): number;
}

interface Divided {
  readonly waiting: Map<number, number>;
  throttledAtMs: number;
}

export class LimitDivider {
  readonly #deps: LimitDividerDependencies;
  readonly #now: () => number;
  /** By the cache's id. */
  readonly #caches = new Map<string, Divided>();
  #timer: NodeJS.Timeout | null = null;

  constructor(deps: LimitDividerDependencies) {
    this.#deps = deps;
    this.#now = deps.now ?? Date.now;
  }

  start(): void {
    this.#timer = setInterval(() => this.tick(), TICK_MS);
    this.#timer.unref();
  }

  stop(): void {
    if (this.#timer !== null) clearInterval(this.#timer);
  }

  /** Once a second. */
  tick(): void {
    const caches = this.#deps.store.caches();
    const limited = caches.filter(({ spec }) => spec.limits.ecpuPerSecondMaximum > 0);
    const known = new Set(limited.map(({ id }) => id));
    for (const id of this.#caches.keys()) if (!known.has(id)) this.#caches.delete(id);
    for (const cache of limited) this.#divide(cache);
  }

  #divide({ id, name, spec }: CacheRecord): void {
    const rates = this.#deps.usage.ratesByProxy(name);
    if (rates.size === 0) return;
    const divided = this.#caches.get(id) ?? { waiting: new Map(), throttledAtMs: -Infinity };
    this.#caches.set(id, divided);
    const maximum = spec.limits.ecpuPerSecondMaximum;
    const proxies = [...rates.keys()];
    const demands = proxies.map((proxy): LimitDemand => {
      const { ecpuPerSecond, throttledMsPerSecond } = rates.get(proxy)!;
      const before = divided.waiting.get(proxy) ?? 0;
      const now = throttledMsPerSecond / 1000;
      // Where nobody waits any more, nothing has to be shared out for them.
      const waiting = now < HUNGRY_WAITING ? 0 : before + SMOOTHING * (now - before);
      divided.waiting.set(proxy, waiting);
      return { usedPerSecond: ecpuPerSecond, waiting };
    });
    for (const [i, share] of divideLimit(maximum, demands).entries())
      this.#deps.share(proxies[i]!, name, share);
    this.#tell(name, maximum, divided, [...rates.values()]);
  }

  #tell(cache: string, maximum: number, divided: Divided, rates: readonly CacheRates[]): void {
    const throttled = rates.reduce((sum, rate) => sum + rate.throttledPerSecond, 0);
    if (throttled === 0) return;
    const nowMs = this.#now();
    const isNews = nowMs - divided.throttledAtMs > NEWS_AFTER_MS;
    divided.throttledAtMs = nowMs;
    if (!isNews) return;
    const used = rates.reduce((sum, { ecpuPerSecond }) => sum + ecpuPerSecond, 0);
    this.#deps.event(
      cache,
      'requests-throttled',
      `requests wait: the cache uses ${Math.round(used)} ECPU/s, its limit is ${maximum}`,
    );
  }
}
