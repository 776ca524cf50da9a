/**
 * The contract between the planes, control to proxies: an immutable, versioned picture of what each proxy has to serve.
 * A proxy keeps the last one on disk (0600: it holds secrets) and can start from it alone. Which node owns which slot is
 * not in it: proxies learn that from the nodes (DESIGN, decision 2); `nodes` are seeds to ask.
 */
import type { CacheLimits, EngineLine, TlsMode } from './cache-spec.ts';
import type { CacheUser } from './user.ts';

/** One engine process, as far as a proxy needs to know it. */
export interface TopologyNode {
  readonly id: string;
  readonly host: string;
  readonly port: number;
  /** Index of the shard it belongs to. */
  readonly shard: number;
  /** The engine it runs; while a cache is upgraded its nodes differ. */
  readonly engineLine: EngineLine;
  /** A hint: what control believes. In an unsharded cache the proxy confirms it with ROLE. */
  readonly role: 'primary' | 'replica';
}

export interface EndpointTls {
  readonly mode: Exclude<TlsMode, 'off'>;
  /** PEM files; proxies watch them and reload without a restart. */
  readonly certFile: string;
  readonly keyFile: string;
}

export interface TopologyCache {
  readonly name: string;
  /** Never reused: a cache deleted and created again under its name has another one. */
  readonly id: string;
  readonly engine: 'valkey';
  /** The oldest line of its nodes: clients may use the commands of this one. */
  readonly engineVersion: EngineLine;
  readonly sharding: boolean;
  readonly databases: number;
  readonly bind: string;
  readonly port: number;
  readonly readerPort: number;
  /** Host shown in CLUSTER SLOTS and the like. */
  readonly announceHost: string;
  readonly tls: EndpointTls | null;
  readonly users: readonly CacheUser[];
  /** Login for the proxies' own questions to the nodes (slot map, INFO): the system user. */
  readonly systemSecret: string;
  readonly limits: CacheLimits;
  readonly deadlineMs: number;
  /** Proxies keep replies to reads of hot keys. Absent in a picture from before there was such a thing: false. */
  readonly nearCache?: boolean;
  readonly nodes: readonly TopologyNode[];
  /**
   * Where nodes listen that are on their way out. They own nothing; a proxy sends them nothing any more, and says when
   * they owe it nothing either (plane-link.ts). Absent in a picture from before there was such a thing: none.
   */
  readonly leaving?: readonly Pick<TopologyNode, 'host' | 'port'>[];
  /** Ids of the one virtual node and of its virtual reader, 40 hex digits, constant for the cache's life. */
  readonly virtualPrimaryId: string;
  readonly virtualReaderId: string;
  /** Creation time, ms since the epoch (INFO's uptime of the cache). */
  readonly createdAtMs: number;
}

export interface Topology {
  /** Grows with every change; a proxy ignores one that is not newer than its own. */
  readonly version: number;
  readonly caches: readonly TopologyCache[];
}
