/**
 * The figures that every part of the planner rests on, worked out once a plan from the view: what each shard carries, what
 * it can carry, who may take a job. Missing figures stay null: no part may take "not known" for "idle".
 */
import type { CapacityHost, CapacityShard, CapacityView } from './capacity-view.ts';
import { hostRoom, type HostRoom } from './host-room.ts';
import { nodeCapacity, relievedShards } from './node-capacity.ts';
import type { PlannerParams } from './planner-params.ts';
import type { CapacityState, PlannerState } from './planner-state.ts';
import type { SlotSums } from './slot-sums.ts';

export interface ShardReading {
  readonly shard: number;
  readonly view: CapacityShard;
  readonly utilisation: number | null;
  readonly ioThreads: number;
  /** ECPU per second of its slots, as the proxies counted them. */
  readonly ecpu: number;
  readonly slots: number;
  /** Of its slots, estimated. */
  readonly slotBytes: number;
  readonly usedMemoryBytes: number | null;
  /** ECPU per second at full utilisation with the threads it has, and with those its host would allow. */
  readonly capacityEcpu: number;
  readonly potentialEcpu: number;
  /** ECPU per second that it carries, weighed by what they cost it. Null: not known. */
  readonly load: number | null;
  /**
   * Its share of all load, averaged over some seconds since its last job, of all load now: what moves rest on, for a single
   * sample is noise, and an average of the load itself would lag where all of it grows.
   */
  readonly steadyLoad: number | null;
  /** Replicas or near caches answer part of its reads. */
  readonly relieved: boolean;
  /** In no job, and its figures are of after its last one. */
  readonly idle: boolean;
}

export interface CapacityReading {
  readonly view: CapacityView;
  readonly params: PlannerParams;
  /** In the view's order. */
  readonly shards: readonly ShardReading[];
  /** The slot figures are recent enough to decide by. */
  readonly fresh: boolean;
  /** Fresh, and not those of the plan before. */
  readonly newSample: boolean;
  /** Every shard that owns slots has a known utilisation and memory. */
  readonly complete: boolean;
  readonly ecpu: number;
  /** Of all shards. */
  readonly load: number;
  /** Of the slot that has the most. */
  readonly hottestSlotEcpu: number;
  readonly usedBytes: number;
  /** Capacity of one more shard. */
  readonly newShardEcpu: number;
  /** Nothing has been learned yet: what a node can do is a guess. */
  readonly guessed: boolean;
  readonly rooms: ReadonlyMap<string, HostRoom>;
  /** Index into `shards` of each shard number. */
  readonly indexOf: ReadonlyMap<number, number>;
}

export function readCapacity(
  view: CapacityView,
  state: PlannerState,
  capacity: CapacityState,
  sums: SlotSums,
  params: PlannerParams,
): CapacityReading {
  const rooms = new Map(view.hosts.map((host) => [host.id, hostRoom(host, view, params)]));
  const occupied = new Set(view.jobs.flatMap((job) => job.occupied));
  const fresh = view.nowMs - view.slots.sampledAtMs <= params.sampleStaleMs;
  const newSample = fresh && view.slots.sampledAtMs !== state.demand.sampledAtMs;
  const relieved = relievedShards(view);
  const seen = view.shards.map((shard, index): ShardReading => {
    const { primary } = shard;
    const ioThreads = primary?.ioThreads ?? 1;
    const threads = primary === null ? 1 : potentialThreads(ioThreads, rooms.get(primary.hostId));
    const capacityEcpu = nodeCapacity(capacity, ioThreads, params);
    const utilisation = primary?.utilisation ?? null;
    const occupiedAtMs = state.shards[shard.shard]?.occupiedAtMs ?? null;
    const ecpu = sums.ecpu[index]!;
    const load = loadOf({
      utilisation,
      ecpu,
      capacityEcpu,
      costFactor: state.shards[shard.shard]?.costFactor,
      relieved: relieved.has(shard.shard),
    });
    return {
      shard: shard.shard,
      view: shard,
      utilisation,
      ioThreads,
      ecpu,
      slots: sums.slots[index]!,
      slotBytes: sums.bytes[index]!,
      usedMemoryBytes: primary?.usedMemoryBytes ?? null,
      capacityEcpu,
      potentialEcpu: nodeCapacity(capacity, Math.min(threads, params.ioThreadsMaximum), params),
      load,
      steadyLoad: load,
      relieved: relieved.has(shard.shard),
      idle:
        primary !== null &&
        !occupied.has(shard.shard) &&
        (occupiedAtMs === null || view.nowMs - occupiedAtMs >= params.settleMs),
    };
  });
  const shards = steady(seen, state, newSample, params);
  const owning = shards.filter((shard) => shard.slots > 0);
  return {
    view,
    params,
    shards,
    fresh,
    newSample,
    complete: owning.every((shard) => shard.load !== null && shard.usedMemoryBytes !== null),
    ecpu: sums.ecpu.reduce((sum, value) => sum + value, 0),
    load: shards.reduce((sum, shard) => sum + (shard.load ?? 0), 0),
    hottestSlotEcpu: sums.hottestEcpu,
    usedBytes: shards.reduce((sum, shard) => sum + (shard.usedMemoryBytes ?? shard.slotBytes), 0),
    guessed: Object.keys(capacity.byIoThreads).length === 0,
    newShardEcpu: nodeCapacity(capacity, threadsOfNewNode(view.hosts, rooms, params), params),
    rooms,
    indexOf: new Map(shards.map((shard, index) => [shard.shard, index])),
  };
}

/**
 * ECPU is counted by slot and follows its slots in the second in which they move; utilisation is of a time before that, and of
 * one second's chance. So ECPU says what a shard carries, and utilisation only slowly what that costs (learnCostFactor).
 */
function loadOf(figures: {
  readonly utilisation: number | null;
  readonly ecpu: number;
  readonly capacityEcpu: number;
  readonly costFactor: number | undefined;
  readonly relieved: boolean;
}): number | null {
  const { utilisation, ecpu, capacityEcpu, costFactor = 1, relieved } = figures;
  if (utilisation === null) return null;
  // What others answer for it, and what nobody counts, is seen in its utilisation alone.
  return relieved || ecpu === 0 ? utilisation * capacityEcpu : ecpu * costFactor;
}

/** Load of one slot: its part of its owner's, by ECPU; by number of slots where nothing is counted. */
export function slotLoad(reading: CapacityReading, owner: ShardReading, slot: number): number {
  if (owner.load === null) return 0;
  return owner.ecpu > 0
    ? (owner.load * reading.view.slots.ecpu[slot]!) / owner.ecpu
    : owner.load / owner.slots;
}

/** Averages each shard's share of the load; those without a past keep what they show now. */
function steady(
  shards: readonly ShardReading[],
  state: PlannerState,
  newSample: boolean,
  params: PlannerParams,
): ShardReading[] {
  const total = shards.reduce((sum, shard) => sum + (shard.load ?? 0), 0);
  return shards.map((shard) => {
    const before = state.shards[shard.shard]?.loadShare ?? null;
    if (shard.load === null || before === null || total === 0) return shard;
    const share = shard.load / total;
    const weight = newSample ? params.steadyWeight : 0;
    return { ...shard, steadyLoad: (before + (share - before) * weight) * total };
  });
}

function potentialThreads(ioThreads: number, room: HostRoom | undefined): number {
  return room === undefined || room.full ? ioThreads : ioThreads + room.threads;
}

function threadsOfNewNode(
  hosts: readonly CapacityHost[],
  rooms: ReadonlyMap<string, HostRoom>,
  params: PlannerParams,
): number {
  const most = hosts.reduce((max, host) => {
    const room = rooms.get(host.id)!;
    // A pool node's own thread is in the host's count already.
    return room.full ? max : Math.max(max, 1 + room.threads);
  }, 1);
  return Math.min(most, params.ioThreadsMaximum);
}
