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

/** What the order of hosts depends on; `nodes` and `primaries` of any cache, warm ones among the nodes. */
export interface RankedHost {
  readonly id: string;
  readonly zone: string;
  readonly cores: number;
  readonly nodes: number;
  readonly primaries: number;
  /** 0..1 and above; a last word among hosts that are alike. */
  readonly busy: number;
}

/**
 * Best first: the copies of a shard apart, over zones and then over hosts; not where a node is that the new one takes
 * the place of; the primaries even over zones and then over hosts, a core counting as a core, for they do most of the work;
 * then where there is least.
 *
 * @param shardHosts hosts of the nodes that the shard has already and keeps, one entry a node
 * @param leavingHosts hosts of those that it does not keep
 */
export function rankHosts<Host extends RankedHost>(
  hosts: readonly Host[],
  role: 'primary' | 'replica',
  shardHosts: readonly string[],
  leavingHosts: readonly string[] = [],
): Host[] {
  const zoneOf = new Map(hosts.map(({ id, zone }) => [id, zone]));
  const inZone = (zone: string, what: 'nodes' | 'primaries') => {
    const members = hosts.filter((host) => host.zone === zone);
    const sum = (of: (host: Host) => number) =>
      members.reduce((total, host) => total + of(host), 0);
    return sum((host) => host[what]) / sum(({ cores }) => cores);
  };
  const copies = (holds: (hostId: string) => boolean) => shardHosts.filter(holds).length;
  const costs = new Map(
    hosts.map((host) => [
      host.id,
      [
        copies((id) => zoneOf.get(id) === host.zone),
        copies((id) => id === host.id),
        leavingHosts.filter((id) => id === host.id).length,
        ...(role === 'primary'
          ? [inZone(host.zone, 'primaries'), host.primaries / host.cores]
          : []),
        inZone(host.zone, 'nodes'),
        host.nodes / host.cores,
        host.busy,
      ],
    ]),
  );
  const compare = (a: Host, b: Host) => {
    const [costsOfA, costsOfB] = [costs.get(a.id)!, costs.get(b.id)!];
    const at = costsOfA.findIndex((cost, i) => cost !== costsOfB[i]);
    return at < 0 ? (a.id < b.id ? -1 : 1) : costsOfA[at]! - costsOfB[at]!;
  };
  return [...hosts].sort(compare);
}

/** Null: no host has the memory. A shard's nodes share a host only where there is no other. */
export function placeNode(
  hosts: readonly CapacityHost[],
  request: PlacementRequest,
): Placement | null {
  const shardHosts = new Set(request.shardHosts);
  const zones = new Set(hosts.filter((host) => shardHosts.has(host.id)).map((host) => host.zone));
  const fitting = hosts.filter((host) => host.freeMemoryBytes >= request.memoryBytes);
  const ranked = rankHosts(
    fitting.map((host) => ({
      ...host,
      primaries: request.primariesByHost[host.id] ?? 0,
      busy: host.cpuUtilisation ?? host.ioThreadsInUse / host.cores,
    })),
    request.role,
    request.shardHosts,
  ).map((host) => ({
    host,
    sameHost: shardHosts.has(host.id),
    sameZone: zones.has(host.zone),
  }));
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
