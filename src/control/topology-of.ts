/** The picture that control publishes to proxies, made from the store alone. */
import { hostname } from 'node:os';
import { join } from 'node:path';
import type { EngineLine } from '../model/cache-spec.ts';
import type { Topology, TopologyCache } from '../model/topology.ts';
import type { CacheUser } from '../model/user.ts';
import { oldestLine } from './line-order.ts';
import type { CacheRecord, NodeRecord } from './store-records.ts';

/** PEM files of the certificate that is used where a cache names none of its own. */
export interface DevelopmentCertificate {
  readonly certFile: string;
  readonly keyFile: string;
}

export function developmentCertificatePaths(tlsDir: string): DevelopmentCertificate {
  return { certFile: join(tlsDir, 'server.crt'), keyFile: join(tlsDir, 'server.key') };
}

/** Whether proxies should serve this cache: from the moment it has slots to serve until its deletion begins. */
export function isServed(cache: CacheRecord): boolean {
  return (
    cache.formed &&
    (cache.state === 'creating' || cache.state === 'available' || cache.state === 'modifying')
  );
}

/**
 * @param version from Store.nextTopologyVersion
 * @param parts every cache with its nodes and users
 * @param address of a node: where it listens
 */
export function topologyOf(
  version: number,
  parts: readonly {
    readonly cache: CacheRecord;
    readonly nodes: readonly NodeRecord[];
    readonly users: readonly CacheUser[];
  }[],
  developmentCertificate: DevelopmentCertificate,
  address: (node: NodeRecord) => string,
): Topology {
  return {
    version,
    caches: parts
      .filter(({ cache }) => isServed(cache))
      .map(({ cache, nodes, users }) =>
        cachePart(cache, nodes, users, developmentCertificate, address),
      ),
  };
}

function cachePart(
  cache: CacheRecord,
  nodes: readonly NodeRecord[],
  users: readonly CacheUser[],
  developmentCertificate: DevelopmentCertificate,
  address: (node: NodeRecord) => string,
): TopologyCache {
  const { spec } = cache;
  return {
    name: cache.name,
    id: cache.id,
    engine: spec.engine,
    // While nodes differ, what the oldest of them knows is what clients may use: a replica of it would miss the rest.
    engineVersion: servedLine(cache, nodes),
    sharding: spec.sharding,
    databases: spec.databases,
    bind: spec.bind,
    port: cache.port,
    readerPort: cache.readerPort,
    announceHost: announceHost(cache),
    tls:
      spec.tls === 'off'
        ? null
        : {
            mode: spec.tls,
            certFile: spec.tlsCertFile ?? developmentCertificate.certFile,
            keyFile: spec.tlsKeyFile ?? developmentCertificate.keyFile,
          },
    users,
    systemSecret: cache.systemSecret,
    limits: spec.limits,
    deadlineMs: spec.deadlineMs,
    nearCache: spec.nearCache,
    nodes: nodes
      .filter((node) => !node.leaving)
      .map((node) => ({
        id: node.id,
        host: address(node),
        port: node.port,
        shard: node.shard,
        engineLine: node.engineLine,
        role: node.role,
      })),
    leaving: nodes
      .filter((node) => node.leaving)
      .map((node) => ({ host: address(node), port: node.port })),
    virtualPrimaryId: cache.virtualPrimaryId,
    virtualReaderId: cache.virtualReaderId,
    createdAtMs: cache.createdAtMs,
  };
}

function servedLine(cache: CacheRecord, nodes: readonly NodeRecord[]): EngineLine {
  const staying = nodes.filter(({ leaving }) => !leaving);
  return oldestLine([cache.spec.engineVersion, ...staying.map(({ engineLine }) => engineLine)]);
}

/** What clients are told to connect to. "All addresses" is none: then the machine's name. */
export function announceHost(cache: CacheRecord): string {
  const { announceHost: announced, bind } = cache.spec;
  return announced ?? (bind === '0.0.0.0' || bind === '::' ? hostname() : bind);
}
