/** What the control plane would tell a proxy of these nodes. */
import { cacheLimitsSchema, type CacheLimits } from '../../src/model/cache-spec.ts';
import type { EndpointTls, TopologyCache } from '../../src/model/topology.ts';
import type { CacheUser } from '../../src/model/user.ts';
import { SYSTEM_SECRET, UPSTREAM_SECRET, type TestNode } from './node-farm.ts';

/** The user of a fresh server. */
export const OPEN_USER: CacheUser = {
  name: 'default',
  enabled: true,
  nopass: true,
  passwordHashes: [],
  rules: '~* &* +@all',
  upstreamSecret: UPSTREAM_SECRET,
};

export interface EndpointOptions {
  readonly announceHost?: string;
  readonly users?: readonly CacheUser[];
  readonly limits?: Partial<CacheLimits>;
  readonly deadlineMs?: number;
  readonly nearCache?: boolean;
  readonly tls?: EndpointTls;
}

/** @param nodes the primary of each shard, then the replicas in turn */
export function topologyOfNodes(
  nodes: readonly TestNode[],
  shards: number,
  [port, readerPort]: readonly [number, number],
  options: EndpointOptions,
): TopologyCache {
  const { settings, options: engine } = nodes[0]!;
  return {
    name: 'test',
    id: 'test-1',
    engine: 'valkey',
    engineVersion: engine.line ?? '9.1',
    sharding: settings.clusterEnabled,
    databases: 16,
    bind: '127.0.0.1',
    port,
    readerPort,
    announceHost: options.announceHost ?? '127.0.0.1',
    tls: options.tls ?? null,
    users: options.users ?? [OPEN_USER],
    systemSecret: SYSTEM_SECRET,
    limits: cacheLimitsSchema.parse(options.limits),
    deadlineMs: options.deadlineMs ?? 5000,
    nearCache: options.nearCache ?? false,
    nodes: nodes.map((node, i) => ({
      id: node.nodeId,
      host: '127.0.0.1',
      port: node.port,
      shard: i % shards,
      engineLine: node.options.line ?? '9.1',
      role: i < shards ? ('primary' as const) : ('replica' as const),
    })),
    virtualPrimaryId: 'a'.repeat(40),
    virtualReaderId: 'b'.repeat(40),
    createdAtMs: Date.now() - 100_000,
  };
}
