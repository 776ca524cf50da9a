/**
 * The daemon's local HTTP API (JSON over the unix socket `apiSocket`), as the CLI sees it. The socket's directory is 0700:
 * who can open it is the user who started Springtide.
 *
 *   GET    /v1/status                          SystemStatus
 *   GET    /v1/caches                          CacheStatus[]
 *   GET    /v1/caches/:name                    CacheStatus
 *   POST   /v1/caches                          CacheSpecInput -> NDJSON of Progress, last line `done` or `failed`
 *   PATCH  /v1/caches/:name                    CacheChange -> CacheStatus; what follows from it is seen in events
 *   DELETE /v1/caches/:name                    -> NDJSON of Progress
 *   GET    /v1/caches/:name/explain            CapacityReport
 *   POST   /v1/caches/:name/failover           { shard } -> NDJSON of Progress
 *   GET    /v1/caches/:name/heat               CacheHeatAnswer (model/heat.ts)
 *   POST   /v1/caches/:name/upgrade            UpgradeRequest -> NDJSON of Progress: every node is replaced by one of that line
 *   POST   /v1/caches/:name/restart            { parallelShards } -> NDJSON of Progress: every node is replaced by a new one
 *   POST   /v1/caches/:name/nodes/:id/replace  { } -> NDJSON of Progress
 *   GET    /v1/caches/:name/users              UserStatus[]
 *   PUT    /v1/caches/:name/users/:user        UserChange (creates or modifies) -> UserStatus
 *   DELETE /v1/caches/:name/users/:user        204
 *   GET    /v1/hosts                           HostStatus[]
 *   POST   /v1/hosts/:id/drain                 { } -> NDJSON of Progress: its nodes are replaced by nodes on other hosts
 *   POST   /v1/hosts/:id/undrain               { } -> HostStatus
 *   POST   /v1/hosts/:id/remove                { dead: true } -> NDJSON of Progress: of one that is lost, with its nodes
 *   GET    /v1/engines                         EngineStatus[]
 *   POST   /v1/engines/:line                   -> NDJSON of Progress (installs)
 *   DELETE /v1/engines/:line                   204
 *   GET    /v1/events?cache=&limit=&after=     CacheEvent[], oldest first: the newest `limit` (100) later than id `after`
 *   POST   /v1/shutdown                        { } -> NDJSON of Progress; everything stops, the daemon last
 *
 * Errors: HTTP status 4xx/5xx and an ApiFailure; codes follow AWS where it has one.
 */
import type { CacheSpec } from './cache-spec.ts';
import type { CommandGroup, LatencyHistogram, NodeUsage } from './usage.ts';

export interface ApiFailure {
  /** Stable, AWS's own where it has one: ServerlessCacheAlreadyExistsFault, InvalidParameterValue ... */
  readonly code: string;
  readonly message: string;
}

/** One line of a long operation. `fraction` 0..1 drives a progress bar. */
export type Progress =
  | {
      readonly type: 'progress';
      readonly step: string;
      readonly fraction: number;
      readonly detail?: string;
    }
  | { readonly type: 'done'; readonly cache?: CacheStatus }
  | { readonly type: 'failed'; readonly error: ApiFailure };

/** AWS's serverless status values, lower case (reference section 4). */
export type CacheState = 'creating' | 'available' | 'modifying' | 'deleting' | 'create-failed';

/** Body of an upgrade; `parallelShards` (1): how many shards at a time. */
export interface UpgradeRequest {
  readonly engineVersion: string;
  readonly parallelShards: number;
}

export interface NodeStatus {
  readonly id: string;
  readonly host: string;
  /** The machine it runs on, and where that is. */
  readonly hostId: string;
  readonly zone: string;
  readonly port: number;
  readonly pid: number | null;
  readonly shard: number;
  readonly role: 'primary' | 'replica';
  readonly state: 'starting' | 'online' | 'syncing' | 'lost' | 'stopping';
  /** The engine it runs, as it says itself; before it has, the line that is meant. */
  readonly engineVersion: string;
  readonly usedMemoryBytes: number | null;
  readonly keys: number | null;
  /** Replica: bytes behind its primary. */
  readonly replicationLagBytes: number | null;
  readonly restarts: number;
}

/** Sums over proxies, from their Usage; rates are over the last second or so. */
export interface CacheTraffic {
  readonly requestsPerSecond: number;
  readonly connections: number;
  readonly bytesInPerSecond: number;
  readonly bytesOutPerSecond: number;
  readonly errorsByKind: Readonly<Record<string, number>>;
  readonly retries: number;
  readonly latencyByGroup: Readonly<Record<CommandGroup, LatencyHistogram>>;
  readonly nodes: readonly NodeUsage[];
}

export interface CacheStatus {
  readonly spec: CacheSpec;
  readonly id: string;
  readonly state: CacheState;
  /** Why, where the state needs a reason (`create-failed`, a port that proxies could not take ...). */
  readonly reason: string | null;
  readonly engineFullVersion: string | null;
  readonly endpoint: string;
  readonly readerEndpoint: string;
  readonly createdAtMs: number;
  readonly nodes: readonly NodeStatus[];
  readonly traffic: CacheTraffic | null;
}

/** What may be changed of a cache that runs; what is absent stays as it is. */
export interface CacheChange {
  readonly shards?: number;
  readonly shardsMaximum?: number;
  readonly replicas?: number;
  readonly deadlineMs?: number;
  readonly nearCache?: boolean;
  readonly limits?: Partial<CacheSpec['limits']>;
}

/** A figure that the planner's last decision rests on, also when it was to do nothing. */
export interface Explanation {
  readonly about: string;
  readonly text: string;
}

/** One change of a cache's shape: why, what was considered instead, and what became of it. */
export interface Decision {
  readonly startedAtMs: number;
  readonly finishedAtMs: number | null;
  /** In words: `move-slots 0 -> 3 (1200 slots)`. */
  readonly step: string;
  readonly reason: string;
  /** Alternatives and why not, a sentence each. */
  readonly rejected: readonly string[];
  readonly state: 'running' | 'done' | 'failed';
  readonly error: string | null;
  /** Of one that runs and says how far it is, 0..1. */
  readonly fraction: number | null;
}

export interface ShardStatus {
  readonly shard: number;
  readonly state: 'joining' | 'serving' | 'draining';
  readonly slots: number;
  readonly ioThreads: number;
  /** 0: no limit. */
  readonly memoryMaximumBytes: number;
}

/** Why a cache has the shape that it has (`springtide explain`). */
export interface CapacityReport {
  readonly cache: string;
  readonly atMs: number;
  readonly shards: readonly ShardStatus[];
  readonly explanations: readonly Explanation[];
  /** Newest first. */
  readonly decisions: readonly Decision[];
  /** Warm nodes that this cache could take. */
  readonly pool: { readonly ready: number; readonly starting: number };
}

export interface ProxyStatus {
  readonly index: number;
  readonly pid: number | null;
  readonly state: 'starting' | 'serving' | 'lost';
  readonly restarts: number;
  readonly topologyVersion: number;
  readonly cpuSeconds: number;
  readonly memoryBytes: number;
}

export interface SystemStatus {
  readonly version: string;
  readonly pid: number;
  readonly startedAtMs: number;
  readonly dataDir: string;
  /** `http://127.0.0.1:PORT/metrics`, or null when it could not listen. */
  readonly metricsUrl: string | null;
  readonly proxies: readonly ProxyStatus[];
  readonly caches: readonly CacheStatus[];
}

export interface UserStatus {
  readonly name: string;
  readonly enabled: boolean;
  readonly nopass: boolean;
  readonly passwords: number;
  readonly rules: string;
}

/** PUT of a user: what is absent stays as it is (a new user: off, no password, no rules, as ACL SETUSER does). */
export interface UserChange {
  readonly enabled?: boolean;
  readonly nopass?: boolean;
  /** Clear text over the private unix socket; at most two; stored as SHA-256 only. Replaces those there were. */
  readonly passwords?: readonly string[];
  readonly rules?: string;
}

/** Something that happened and that somebody may ask about later; kept over restarts, the newest 10,000. */
export interface CacheEvent {
  /** Grows from one event to the next. */
  readonly id: number;
  readonly atMs: number;
  /** Null: it is not about one cache (a proxy, the daemon). The name stays when the cache is deleted. */
  readonly cache: string | null;
  /** `node-lost`, `failover`, `cache-created` ...: docs/operations.md has them all. */
  readonly kind: string;
  readonly message: string;
}

/** A machine that nodes run on. */
export interface HostStatus {
  readonly id: string;
  readonly zone: string;
  /** Where its nodes listen. */
  readonly address: string;
  /** `draining`: takes no nodes, and loses those it has. `drained`: has none. `removed`: was lost and is taken as dead. */
  readonly state: 'reachable' | 'lost' | 'draining' | 'drained' | 'removed';
  /** Of caches. */
  readonly nodes: number;
  readonly warmNodes: number;
  readonly cores: number;
  /** Null while it cannot be reached. */
  readonly freeMemoryBytes: number | null;
}

export interface EngineStatus {
  readonly engine: 'valkey';
  readonly line: string;
  readonly version: string | null;
  readonly installed: boolean;
  /** `path`, `option`, or the Debian suite. */
  readonly source: string;
  /** The command that starts its valkey-cli on this machine; null when it is not installed, or came without one. */
  readonly cli: readonly string[] | null;
  readonly usedBy: readonly string[];
}
