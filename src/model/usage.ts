/**
 * The contract between the planes, proxies to control: what one proxy saw, as counters that only grow since the proxy
 * started (a restart shows as a new `startedAtMs`), sent about once a second. Control sums proxies and exposes `/metrics`.
 */

/** Groups of commands for which latency is kept apart. */
export const COMMAND_GROUPS = [
  'read',
  'write',
  'multikey',
  'script',
  'transaction',
  'pubsub',
  'blocking',
  'admin',
] as const;
export type CommandGroup = (typeof COMMAND_GROUPS)[number];

/**
 * Upper bounds of the latency histogram's buckets, microseconds; the last bucket is everything above.
 * About x1.6 apart: a quantile read from it is right to that factor, and 24 counters a group cost nothing to send.
 */
export const LATENCY_BOUNDS_US = [
  50, 80, 125, 200, 320, 500, 800, 1250, 2000, 3200, 5000, 8000, 12_500, 20_000, 32_000, 50_000,
  80_000, 125_000, 200_000, 320_000, 500_000, 1_000_000, 5_000_000,
] as const;

export interface LatencyHistogram {
  /** LATENCY_BOUNDS_US.length + 1 counts. */
  readonly buckets: readonly number[];
  readonly count: number;
  readonly sumUs: number;
}

/** Health of one node as this proxy sees it. */
export interface NodeUsage {
  readonly id: string;
  readonly address: string;
  readonly role: 'primary' | 'replica';
  readonly connected: boolean;
  readonly connections: number;
  readonly pendingRequests: number;
}

/** Counters of one cache on one proxy. All grow, except those marked gauge. */
export interface CacheUsage {
  readonly name: string;
  readonly requests: number;
  readonly requestsByGroup: Readonly<Record<CommandGroup, number>>;
  /** By the error's first word (WRONGTYPE, MOVED, INDOUBT, NOAUTH, ERR ...), bounded in number. */
  readonly errorsByKind: Readonly<Record<string, number>>;
  readonly latencyByGroup: Readonly<Record<CommandGroup, LatencyHistogram>>;
  /** Gauge. */
  readonly connections: number;
  readonly connectionsTotal: number;
  readonly connectionsRefused: number;
  readonly authFailures: number;
  /** Work as it is metered (src/proxy/ecpu-metering.ts). */
  readonly ecpu: number;
  /** Requests that waited because the cache was at its request limit, and those that were refused for that (TRYAGAIN). */
  readonly throttled: number;
  readonly throttledRefused: number;
  /** How long clients have waited for that, all together. */
  readonly throttledMs: number;
  readonly bytesIn: number;
  readonly bytesOut: number;
  /** Times a client was not read because its replies or a node's queue were full. */
  readonly pauses: number;
  /** Requests sent again after MOVED, ASK, TRYAGAIN, CLUSTERDOWN, LOADING or a lost node. */
  readonly retries: number;
  /** Requests that were held because no node could take them. */
  readonly held: number;
  /** Clients cut because they read too slowly, or what they left unread or half sent took too much memory. */
  readonly slowReadersCut: number;
  /** Reads answered by the near cache, without a node. */
  readonly nearHits: number;
  /** Reads of the near cache's own, to keep the reply. */
  readonly nearFills: number;
  /** Times that a node told of a change of a key that is hot. */
  readonly nearInvalidations: number;
  /** Kept replies that were dropped before their time: after changes, own writes, lost connections, moved slots. */
  readonly nearDrops: number;
  readonly nodes: readonly NodeUsage[];
}

export interface ProxyUsage {
  readonly proxy: number;
  readonly pid: number;
  readonly startedAtMs: number;
  readonly topologyVersion: number;
  readonly cpuSeconds: number;
  readonly memoryBytes: number;
  readonly caches: readonly CacheUsage[];
}
