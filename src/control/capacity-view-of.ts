/** The snapshot that the capacity planner reads, made of what the store wants and what nodes, proxies and hosts say. */
import type { CacheHeat, NodeHeat } from '../model/heat.ts';
import type { Fleet } from './fleet.ts';
import type { HostFigures } from './hosts.ts';
import type { Job } from './job-board.ts';
import type {
  CapacityHost,
  CapacityJob,
  CapacityPrimary,
  CapacityReplica,
  CapacityShard,
  CapacityView,
  SlotFigures,
} from './policies/capacity-view.ts';
import type { Step } from './step.ts';
import type { Store } from './store.ts';
import type { CacheRecord, NodeRecord, ShardRecord } from './store-records.ts';
import type { PoolStatus } from './warm-pool.ts';
import { NO_SHARD, SLOT_COUNT } from '../model/slot-range.ts';

export interface CapacityViewParts {
  readonly nowMs: number;
  /** When this cache was first looked at. */
  readonly sinceMs: number;
  readonly cache: CacheRecord;
  readonly store: Store;
  readonly fleet: Fleet;
  /** Null: nothing is known yet. */
  readonly heat: CacheHeat | null;
  readonly jobs: readonly Job[];
  /** Shards that are to be left alone: their last job failed a moment ago. */
  readonly resting: readonly number[];
  readonly pool: readonly PoolStatus[];
  /** See capacityHosts. */
  readonly hosts: readonly CapacityHost[];
  readonly watchedSlots: readonly number[];
  readonly nearCachedSlots: readonly number[];
}

/**
 * Warm nodes are cluster nodes, which an unsharded cache has no use for. It gets a replica now and then, started when it is
 * asked for; so many at a time.
 */
const COLD_STARTS = 2;

/** As AWS has it: shards of a cache at the most. */
const SHARDS_MOST = 500;

export function capacityViewOf(parts: CapacityViewParts): CapacityView {
  const { nowMs, cache, store, heat } = parts;
  const { spec } = cache;
  const shards = store.shards.of(cache.id);
  const nodes = store.nodes(cache.id).filter(({ leaving }) => !leaving);
  return {
    nowMs,
    limits: {
      shardsMinimum: spec.shards,
      shardsMaximum: spec.shardsMaximum === 0 ? SHARDS_MOST : spec.shardsMaximum,
      memoryMinimumBytes: spec.limits.memoryMinimumBytes,
      memoryMaximumBytes: spec.limits.memoryMaximumBytes,
      ecpuPerSecondMinimum: spec.limits.ecpuPerSecondMinimum,
      ecpuPerSecondMaximum: spec.limits.ecpuPerSecondMaximum,
    },
    replicasWanted: spec.replicas,
    nearCacheAllowed: spec.nearCache,
    sharding: spec.sharding,
    shards: shards.map((shard) => shardOf(parts, shard, nodes)),
    slots: slotFigures(parts, shards),
    jobs: [
      ...parts.jobs.flatMap(jobOf),
      // What has just failed is busy recovering.
      ...parts.resting.map((shard) => ({
        kind: 'move-slots' as const,
        occupied: [shard],
        move: null,
      })),
    ],
    pool: poolOf(parts),
    hosts: parts.hosts,
    hotKeys: hotKeysOf(heat),
    watchedSlots: parts.watchedSlots,
    nearCachedSlots: parts.nearCachedSlots,
  };
}

function shardOf(
  parts: CapacityViewParts,
  { shard, state, ioThreads, maxmemoryBytes }: ShardRecord,
  nodes: readonly NodeRecord[],
): CapacityShard {
  const { fleet, heat } = parts;
  const own = nodes.filter((node) => node.shard === shard);
  const heatOf = (node: NodeRecord): NodeHeat | undefined =>
    heat?.nodes.find(({ nodeId }) => nodeId === node.id);
  const primary = own.find(({ id, role }) => role === 'primary' && fleet.isAlive(id));
  return {
    shard,
    state,
    primary:
      primary === undefined ? null : primaryOf(primary, heatOf(primary), ioThreads, maxmemoryBytes),
    replicas: own
      .filter((node) => node.role === 'replica')
      .map((node): CapacityReplica => ({
        nodeId: node.id,
        hostId: node.hostId,
        online: fleet.state(node.id, 'replica') === 'online',
        lagBytes: heatOf(node)?.replicationLagBytes ?? null,
        utilisation: heatOf(node)?.utilisation ?? null,
      })),
  };
}

function primaryOf(
  node: NodeRecord,
  heat: NodeHeat | undefined,
  ioThreads: number,
  maxmemoryBytes: number,
): CapacityPrimary {
  return {
    nodeId: node.id,
    hostId: node.hostId,
    utilisation: heat?.utilisation ?? null,
    ioThreads,
    usedMemoryBytes: heat?.usedMemoryBytes ?? null,
    maxmemoryBytes,
  };
}

function slotFigures(
  { heat, sinceMs }: CapacityViewParts,
  shards: readonly ShardRecord[],
): SlotFigures {
  const owners = new Int32Array(SLOT_COUNT).fill(NO_SHARD);
  for (const { shard, slots } of shards) {
    for (const { first, last } of slots) owners.fill(shard, first, last + 1);
  }
  return {
    owners,
    ecpu: heat?.rates.ecpu ?? new Float64Array(SLOT_COUNT),
    bytes: heat?.memoryBytes ?? new Float64Array(SLOT_COUNT),
    // Before the first report, as if there had been one when we began to look: only then does silence count.
    sampledAtMs: Math.max(heat?.sampledAtMs ?? 0, sinceMs),
  };
}

function jobOf({ step, occupied }: Job): CapacityJob[] {
  const kind = kindOf(step);
  const move =
    step.kind === 'move-slots' ? { from: step.from, to: step.to, ranges: step.ranges } : null;
  return kind === null ? [] : [{ kind, occupied, move }];
}

/** The planner's name for a step of control's. */
function kindOf(step: Step): CapacityJob['kind'] | null {
  switch (step.kind) {
    case 'move-slots':
    case 'add-shard':
    case 'remove-shard':
    case 'add-replica':
      return step.kind;
    case 'set-shard':
      return step.ioThreads === undefined ? 'set-memory-limit' : 'set-io-threads';
    case 'remove-node':
      return 'remove-replica';
    default:
      return null;
  }
}

function poolOf({ cache, pool }: CapacityViewParts): CapacityView['pool'] {
  if (!cache.spec.sharding) return { ready: COLD_STARTS, starting: 0 };
  const own = pool.find(
    ({ engineLine, databases }) =>
      engineLine === cache.spec.engineVersion && databases === cache.spec.databases,
  );
  return { ready: own?.ready ?? 0, starting: own?.starting ?? 0 };
}

/** The hosts with what the nodes of all caches take of them: the same for every cache of one round. */
export function capacityHosts(store: Store, hosts: readonly HostFigures[]): CapacityHost[] {
  const threads = new Map(
    store.shards.all().map(({ cacheId, shard, ioThreads }) => [`${cacheId} ${shard}`, ioThreads]),
  );
  const taken = new Map(hosts.map(({ id }) => [id, { nodes: 0, ioThreads: 0 }]));
  const take = (hostId: string, ioThreads: number) => {
    const host = taken.get(hostId);
    if (host === undefined) return;
    host.nodes++;
    host.ioThreads += ioThreads;
  };
  for (const { hostId, cacheId, shard } of store.nodes())
    take(hostId, threads.get(`${cacheId} ${shard}`) ?? 1);
  for (const { hostId } of store.warm.all()) take(hostId, 1);
  return hosts.map(({ id, zone, capacity }) => ({
    id,
    zone,
    cores: capacity.cores,
    cpuUtilisation: capacity.cpuUtilisation,
    ioThreadsInUse: taken.get(id)!.ioThreads,
    nodes: taken.get(id)!.nodes,
    freeMemoryBytes: capacity.freeMemoryBytes,
  }));
}

function hotKeysOf(heat: CacheHeat | null): CapacityView['hotKeys'] {
  if (heat === null) return [];
  return heat.hotKeys.flatMap(({ slot, readsPerSecond, writesPerSecond }) => {
    const requests = readsPerSecond + writesPerSecond;
    const all = heat.rates.requests[slot] ?? 0;
    if (requests === 0 || all === 0) return [];
    return [{ slot, share: Math.min(1, requests / all), readShare: readsPerSecond / requests }];
  });
}
