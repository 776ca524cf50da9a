/** What a host is asked to start for a node of a cache. */
import { createHmac } from 'node:crypto';
import type { NodeRequest } from '../engine/host.ts';
import { SYSTEM_USER_NAME, type CacheUser } from '../model/user.ts';
import { aclLines } from './acl-rules.ts';
import type { CacheRecord, NodeRecord } from './store-records.ts';

/** @param replicaOf unsharded replica: the node that it follows from its first moment on */
export function nodeRequest(
  cache: CacheRecord,
  users: readonly CacheUser[],
  node: NodeRecord,
  replicaOf: NodeRecord | null,
): NodeRequest {
  const { spec } = cache;
  const shards = spec.sharding ? spec.shards : 1;
  return {
    nodeId: node.id,
    version: spec.engineVersion,
    port: node.port,
    clusterEnabled: spec.sharding,
    clusterBusPort: node.busPort,
    maxmemoryBytes: Math.floor(spec.limits.memoryMaximumBytes / shards),
    databases: spec.databases,
    aclLines: aclLines(users, cache.systemSecret),
    primaryUser: SYSTEM_USER_NAME,
    primaryPassword: cache.systemSecret,
    // One-way from the secret that all nodes of the cache share: the seed may show in cursors, the secret must not.
    hashSeed: createHmac('sha256', cache.systemSecret)
      .update('hash-seed')
      .digest('hex')
      .slice(0, 32),
    ...(replicaOf === null ? {} : { extra: { replicaof: [`127.0.0.1`, String(replicaOf.port)] } }),
  };
}
