/**
 * What all proxies counted, summed. Proxies send counters that grow since they started; a proxy that died takes its
 * counters with it, so what it had counted is kept here, and the sums never go back while this daemon runs.
 */
import type { CacheTraffic } from '../model/admin-api.ts';
import {
  COMMAND_GROUPS,
  LATENCY_BOUNDS_US,
  type CacheUsage,
  type CommandGroup,
  type LatencyHistogram,
  type NodeUsage,
  type ProxyUsage,
} from '../model/usage.ts';

interface Seen {
  readonly usage: ProxyUsage;
  readonly atMs: number;
  /** The one before, for rates. */
  readonly previous: { readonly usage: ProxyUsage; readonly atMs: number } | null;
}

/** What one proxy does for one cache. */
export interface CacheRates {
  readonly ecpuPerSecond: number;
  readonly throttledPerSecond: number;
  /** Divided by 1000: clients that wait for the request limit, on average. */
  readonly throttledMsPerSecond: number;
}

/** A rate is shown only while the proxy keeps reporting. */
const STALE_AFTER_MS = 5_000;

export class UsageBoard {
  readonly #now: () => number;
  readonly #seen = new Map<number, Seen>();
  /** Counters of proxies that ended, by cache. */
  readonly #ended = new Map<string, CacheUsage>();

  constructor(now: () => number = Date.now) {
    this.#now = now;
  }

  report(usage: ProxyUsage): void {
    const last = this.#seen.get(usage.proxy);
    const atMs = this.#now();
    const continues = last !== undefined && last.usage.startedAtMs === usage.startedAtMs;
    if (last !== undefined && !continues) this.#keep(last.usage);
    // A cache that was deleted vanishes from a proxy's report; one of that name made later starts at zero again.
    this.#seen.set(usage.proxy, {
      usage,
      atMs,
      previous: continues ? { usage: last.usage, atMs: last.atMs } : null,
    });
  }

  /** Forgets a cache that was deleted. */
  forget(cache: string): void {
    this.#ended.delete(cache);
  }

  proxy(index: number): ProxyUsage | null {
    return this.#seen.get(index)?.usage ?? null;
  }

  proxies(): ProxyUsage[] {
    return [...this.#seen.values()].map(({ usage }) => usage);
  }

  /** Counters of one cache over all proxies, dead ones included; null when no proxy has spoken of it. */
  totals(cache: string): CacheUsage | null {
    let sum: CacheUsage | null = this.#ended.get(cache) ?? null;
    for (const { usage, atMs } of this.#seen.values()) {
      const part = usage.caches.find(({ name }) => name === cache);
      if (part === undefined) continue;
      const live = this.#now() - atMs < STALE_AFTER_MS;
      sum = sum === null ? addUsage(emptyUsage(cache), part, live) : addUsage(sum, part, live);
    }
    return sum;
  }

  /** Of each proxy that reports at present: what it does for a cache, by its index. */
  ratesByProxy(cache: string): ReadonlyMap<number, CacheRates> {
    const rates = new Map<number, CacheRates>();
    for (const [proxy, seen] of this.#seen) {
      if (this.#now() - seen.atMs >= STALE_AFTER_MS) continue;
      if (!seen.usage.caches.some(({ name }) => name === cache)) continue;
      rates.set(proxy, {
        ecpuPerSecond: rateOf(seen, cache, ({ ecpu }) => ecpu),
        throttledPerSecond: rateOf(
          seen,
          cache,
          (usage) => usage.throttled + usage.throttledRefused,
        ),
        throttledMsPerSecond: rateOf(seen, cache, ({ throttledMs }) => throttledMs),
      });
    }
    return rates;
  }

  /** What `status` shows of a cache. */
  traffic(cache: string): CacheTraffic | null {
    const sum = this.totals(cache);
    if (sum === null) return null;
    return {
      requestsPerSecond: this.#rate(cache, (usage) => usage.requests),
      connections: sum.connections,
      bytesInPerSecond: this.#rate(cache, (usage) => usage.bytesIn),
      bytesOutPerSecond: this.#rate(cache, (usage) => usage.bytesOut),
      errorsByKind: sum.errorsByKind,
      retries: sum.retries,
      latencyByGroup: sum.latencyByGroup,
      nodes: sum.nodes,
    };
  }

  #rate(cache: string, counter: (usage: CacheUsage) => number): number {
    let rate = 0;
    const nowMs = this.#now();
    for (const seen of this.#seen.values())
      if (nowMs - seen.atMs < STALE_AFTER_MS) rate += rateOf(seen, cache, counter);
    return rate;
  }

  #keep(usage: ProxyUsage): void {
    for (const part of usage.caches) {
      this.#ended.set(
        part.name,
        addUsage(this.#ended.get(part.name) ?? emptyUsage(part.name), part, false),
      );
    }
  }
}

/** Per second, between the last two reports of a proxy. */
function rateOf(
  { usage, atMs, previous }: Seen,
  cache: string,
  counter: (usage: CacheUsage) => number,
): number {
  if (previous === null || atMs <= previous.atMs) return 0;
  const here = usage.caches.find(({ name }) => name === cache);
  const before = previous.usage.caches.find(({ name }) => name === cache);
  if (here === undefined) return 0;
  const grown = counter(here) - (before === undefined ? 0 : counter(before));
  return (Math.max(0, grown) * 1000) / (atMs - previous.atMs);
}

function perGroup<T>(value: (group: CommandGroup) => T): Record<CommandGroup, T> {
  return Object.fromEntries(COMMAND_GROUPS.map((group) => [group, value(group)])) as Record<
    CommandGroup,
    T
  >;
}

function emptyUsage(name: string): CacheUsage {
  return {
    name,
    requests: 0,
    requestsByGroup: perGroup(() => 0),
    errorsByKind: {},
    latencyByGroup: perGroup(() => ({
      buckets: Array.from({ length: LATENCY_BOUNDS_US.length + 1 }, () => 0),
      count: 0,
      sumUs: 0,
    })),
    connections: 0,
    connectionsTotal: 0,
    connectionsRefused: 0,
    authFailures: 0,
    ecpu: 0,
    throttled: 0,
    throttledRefused: 0,
    throttledMs: 0,
    bytesIn: 0,
    bytesOut: 0,
    pauses: 0,
    retries: 0,
    held: 0,
    slowReadersCut: 0,
    nearHits: 0,
    nearFills: 0,
    nearInvalidations: 0,
    nearDrops: 0,
    nodes: [],
  };
}

/** `live`: whether the gauges of `part` count. */
function addUsage(sum: CacheUsage, part: CacheUsage, live: boolean): CacheUsage {
  const errorsByKind: Record<string, number> = { ...sum.errorsByKind };
  for (const [kind, n] of Object.entries(part.errorsByKind)) {
    errorsByKind[kind] = (errorsByKind[kind] ?? 0) + n;
  }
  return {
    name: sum.name,
    requests: sum.requests + part.requests,
    requestsByGroup: perGroup((g) => sum.requestsByGroup[g] + (part.requestsByGroup[g] ?? 0)),
    errorsByKind,
    latencyByGroup: perGroup((g) => addHistogram(sum.latencyByGroup[g], part.latencyByGroup[g])),
    connections: sum.connections + (live ? part.connections : 0),
    connectionsTotal: sum.connectionsTotal + part.connectionsTotal,
    connectionsRefused: sum.connectionsRefused + part.connectionsRefused,
    authFailures: sum.authFailures + part.authFailures,
    ecpu: sum.ecpu + part.ecpu,
    throttled: sum.throttled + part.throttled,
    throttledRefused: sum.throttledRefused + part.throttledRefused,
    throttledMs: sum.throttledMs + part.throttledMs,
    bytesIn: sum.bytesIn + part.bytesIn,
    bytesOut: sum.bytesOut + part.bytesOut,
    pauses: sum.pauses + part.pauses,
    retries: sum.retries + part.retries,
    held: sum.held + part.held,
    slowReadersCut: sum.slowReadersCut + part.slowReadersCut,
    nearHits: sum.nearHits + part.nearHits,
    nearFills: sum.nearFills + part.nearFills,
    nearInvalidations: sum.nearInvalidations + part.nearInvalidations,
    nearDrops: sum.nearDrops + part.nearDrops,
    nodes: live ? addNodes(sum.nodes, part.nodes) : sum.nodes,
  };
}

function addHistogram(a: LatencyHistogram, b: LatencyHistogram | undefined): LatencyHistogram {
  if (b === undefined) return a;
  return {
    buckets: a.buckets.map((n, i) => n + (b.buckets[i] ?? 0)),
    count: a.count + b.count,
    sumUs: a.sumUs + b.sumUs,
  };
}

/** A node is connected when any proxy is; connections and queues add up. */
function addNodes(a: readonly NodeUsage[], b: readonly NodeUsage[]): NodeUsage[] {
  const byId = new Map(a.map((node) => [node.id, node]));
  for (const node of b) {
    const other = byId.get(node.id);
    byId.set(
      node.id,
      other === undefined
        ? node
        : {
            ...node,
            connected: node.connected || other.connected,
            connections: node.connections + other.connections,
            pendingRequests: node.pendingRequests + other.pendingRequests,
          },
    );
  }
  return [...byId.values()];
}
