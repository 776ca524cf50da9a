/** What the API shows of caches and nodes, from the store, the fleet and the proxies' counters. */
import type { CacheStatus, NodeStatus } from '../model/admin-api.ts';
import type { Fleet } from './fleet.ts';
import type { Store } from './store.ts';
import type { CacheRecord, NodeRecord } from './store-records.ts';
import { announceHost } from './topology-of.ts';
import type { UsageBoard } from './usage-board.ts';

export function cacheStatus(
  cache: CacheRecord,
  store: Store,
  fleet: Fleet,
  usage: UsageBoard,
): CacheStatus {
  const nodes = store.nodes(cache.id);
  const host = hostForUrl(announceHost(cache));
  return {
    spec: cache.spec,
    id: cache.id,
    state: cache.state,
    reason: cache.reason,
    engineFullVersion: cache.engineFullVersion,
    endpoint: `${host}:${cache.port}`,
    readerEndpoint: `${host}:${cache.readerPort}`,
    createdAtMs: cache.createdAtMs,
    nodes: nodes.map((node) => nodeStatus(node, nodes, fleet)),
    traffic: usage.traffic(cache.name),
  };
}

function nodeStatus(node: NodeRecord, all: readonly NodeRecord[], fleet: Fleet): NodeStatus {
  const seen = fleet.observation(node.id);
  const primary = all.find((other) => other.shard === node.shard && other.role === 'primary');
  const head = primary === undefined ? null : fleet.observation(primary.id);
  return {
    id: node.id,
    host: fleet.address(node),
    hostId: node.hostId,
    zone: fleet.hosts.get(node.hostId).zone,
    port: node.port,
    pid: fleet.pid(node.id),
    shard: node.shard,
    role: node.role,
    state: fleet.state(node.id, node.role),
    engineVersion: seen?.version ?? node.engineLine,
    usedMemoryBytes: seen?.usedMemoryBytes ?? null,
    keys: seen?.keys ?? null,
    // The two were asked at slightly different moments: never below zero.
    replicationLagBytes:
      node.role === 'replica' && seen !== null && head !== null
        ? Math.max(0, head.offset - seen.offset)
        : null,
    restarts: node.restarts,
  };
}

function hostForUrl(host: string): string {
  return host.includes(':') ? `[${host}]` : host;
}
