/**
 * Which host takes a node: not the one that has its shard already, another zone if there is one, then the host with the
 * most room, so that primaries and replicas spread. Also which of the pool's nodes a shard gets.
 */
import type { CapacityHost } from './capacity-view.ts';

export interface PlacementRequest {
  readonly memoryBytes: number;
  /** Where the other nodes of its shard are. */
  readonly shardHosts: readonly string[];
  /** Primaries of the cache on each host: they spread as well. */
  readonly primariesByHost: Readonly<Record<string, number>>;
  readonly role: 'primary' | 'replica';
}

export interface Placement {
  readonly hostId: string;
  readonly reason: string;
  readonly rejected: readonly string[];
}

/** Null: no host has the memory. A shard's nodes share a host only where there is no other. */
export function placeNode(
  hosts: readonly CapacityHost[],
  request: PlacementRequest,
): Placement | null {
  const shardHosts = new Set(request.shardHosts);
  const zones = new Set(hosts.filter((host) => shardHosts.has(host.id)).map((host) => host.zone));
  const fitting = hosts.filter((host) => host.freeMemoryBytes >= request.memoryBytes);
  const ranked = fitting
    .map((host) => ({
      host,
      sameHost: shardHosts.has(host.id),
      sameZone: zones.has(host.zone),
      zonePrimaries: primariesInZone(hosts, host.zone, request),
      primaries: (request.primariesByHost[host.id] ?? 0) / host.cores,
      busy: host.cpuUtilisation ?? host.ioThreadsInUse / host.cores,
      nodes: host.nodes / host.cores,
    }))
    .sort(
      (a, b) =>
        Number(a.sameHost) - Number(b.sameHost) ||
        Number(a.sameZone) - Number(b.sameZone) ||
        (request.role === 'primary'
          ? a.zonePrimaries - b.zonePrimaries || a.primaries - b.primaries
          : 0) ||
        a.nodes - b.nodes ||
        a.busy - b.busy ||
        (a.host.id < b.host.id ? -1 : 1),
    );
  const best = ranked[0];
  if (best === undefined) return null;
  return {
    hostId: best.host.id,
    reason: best.sameHost
      ? `every host with memory has a node of this shard; ${best.host.id} has the fewest nodes a core`
      : `${best.host.id} has no node of this shard${zones.size > 0 && !best.sameZone ? ', is in another zone' : ''} and the fewest ${request.role === 'primary' ? 'primaries' : 'nodes'} a core`,
    rejected: [
      ...hosts
        .filter((host) => !fitting.includes(host))
        .map((host) => `${host.id}: not enough memory`),
      ...ranked
        .slice(1)
        .filter((one) => one.sameHost && !best.sameHost)
        .map((one) => `${one.host.id}: has a node of this shard`),
      ...ranked
        .slice(1)
        .filter((one) => one.sameZone && !one.sameHost && !best.sameZone)
        .map((one) => `${one.host.id}: same zone as a node of this shard`),
    ],
  };
}

/** Of the pool's nodes the one on the host that `placeNode` would choose; null: the pool is empty. */
export function choosePoolNode<T extends { readonly hostId: string }>(
  pool: readonly T[],
  hosts: readonly CapacityHost[],
  request: PlacementRequest,
): { readonly node: T; readonly placement: Placement } | null {
  const withNodes = hosts.filter((host) => pool.some((node) => node.hostId === host.id));
  // A pool node has its memory already.
  const placement = placeNode(
    withNodes.map((host) => ({ ...host, freeMemoryBytes: Number.MAX_SAFE_INTEGER })),
    request,
  );
  const node = pool.find((one) => one.hostId === placement?.hostId);
  return node === undefined || placement === null ? null : { node, placement };
}

function primariesInZone(
  hosts: readonly CapacityHost[],
  zone: string,
  request: PlacementRequest,
): number {
  const inZone = hosts.filter((host) => host.zone === zone);
  const primaries = inZone.reduce((sum, host) => sum + (request.primariesByHost[host.id] ?? 0), 0);
  const cores = inZone.reduce((sum, host) => sum + host.cores, 0);
  return primaries / Math.max(1, cores);
}
