/** What a host is asked to start for a node of a cache. */
import type { NodeRequest } from '../engine/host.ts';
import { SYSTEM_USER_NAME, type CacheUser } from '../model/user.ts';
import { aclLines } from './acl-rules.ts';
import type { CacheRecord, NodeRecord, ShardRecord } from './store-records.ts';

/**
 * @param shard what the node's shard is meant to be
 * @param hashSeed what all nodes of this data directory share: keys stand in the same order on each of them
 * @param replicaOf unsharded replica: the node that it follows from its first moment on
 * @param address of a node: where it listens
 */
export function nodeRequest(
  cache: CacheRecord,
  users: readonly CacheUser[],
  node: NodeRecord,
  shard: ShardRecord | undefined,
  hashSeed: string,
  replicaOf: NodeRecord | null,
  address: (node: NodeRecord) => string,
): NodeRequest {
  const { spec } = cache;
  return {
    nodeId: node.id,
    version: node.engineLine,
    port: node.port,
    clusterEnabled: spec.sharding,
    clusterBusPort: node.busPort,
    maxmemoryBytes: shard?.maxmemoryBytes ?? 0,
    ioThreads: shard?.ioThreads ?? 1,
    databases: spec.databases,
    aclLines: aclLines(users, cache.systemSecret),
    primaryUser: SYSTEM_USER_NAME,
    primaryPassword: cache.systemSecret,
    hashSeed,
    ...announceOf(
      address(node),
      replicaOf === null ? {} : { replicaof: [address(replicaOf), String(replicaOf.port)] },
    ),
  };
}

/** A node says itself where it is: others would take its connections' source address for it, which may be another. */
export function announceOf(
  address: string,
  extra: Readonly<Record<string, string | readonly string[]>> = {},
): Pick<NodeRequest, 'extra'> {
  const announced =
    address === '127.0.0.1'
      ? {}
      : { 'cluster-announce-ip': address, 'replica-announce-ip': address };
  return { extra: { ...announced, ...extra } };
}
