/**
 * What a host can still give: processors, threads, memory. The machine is the last word: utilisations of many nodes add up
 * to its cores, and a shard that is added to a machine without a core to spare takes from its neighbours what it serves.
 */
import type { CapacityHost, CapacityView } from './capacity-view.ts';
import type { PlannerParams } from './planner-params.ts';

/** Less than this many cores to spare is nothing: what one more busy thread needs at least. */
const CORES_AT_LEAST = 0.25;

export interface HostRoom {
  readonly hostId: string;
  /** Cores to spare below `hostFullUtilisation`. */
  readonly cores: number;
  readonly full: boolean;
  /** More io-threads that it allows, over all its nodes. */
  readonly threads: number;
  readonly memoryBytes: number;
}

export function hostRoom(host: CapacityHost, view: CapacityView, params: PlannerParams): HostRoom {
  const busy =
    host.cpuUtilisation === null ? busyOfNodes(host, view) : host.cpuUtilisation * host.cores;
  const cores = Math.max(0, host.cores * params.hostFullUtilisation - busy);
  return {
    hostId: host.id,
    cores,
    full: cores < CORES_AT_LEAST,
    threads: Math.max(0, Math.floor(host.cores * params.threadsPerCore) - host.ioThreadsInUse),
    memoryBytes: Math.max(0, host.freeMemoryBytes - params.hostReserveBytes),
  };
}

/** Shards whose nodes the hosts can feed at the target utilisation. */
export function shardsThatFit(rooms: Iterable<HostRoom>, params: PlannerParams): number {
  let shards = 0;
  for (const room of rooms) {
    if (!room.full) shards += Math.max(1, Math.floor(room.cores / params.targetUtilisation));
  }
  return shards;
}

function busyOfNodes(host: CapacityHost, view: CapacityView): number {
  return view.shards.reduce(
    (sum, { primary }) =>
      primary?.hostId === host.id ? sum + (primary.utilisation ?? 1) * primary.ioThreads : sum,
    0,
  );
}
