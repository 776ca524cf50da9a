/**
 * Where the load is, for all caches: what the proxies count by slot, what the nodes say of their slots, and the nodes
 * themselves, put together once a second (model/heat.ts). Decides nothing.
 *
 *   proxies ─ SlotHeatReport ─> SlotRatesBoard ─┐
 *   primaries ─ SLOT-STATS ──> SlotStats ───────┼─> heat(cache): planner, API, /metrics
 *   Fleet's observations ────> NodeRateMeter ───┘
 */
import type { CacheHeat, NodeHeat, SlotHeatReport } from '../model/heat.ts';
import type { NodeObservation } from './node-observation.ts';
import { NodeRateMeter, type NodeRates } from './node-rates.ts';
import { SlotRatesBoard } from './slot-rates.ts';
import { SlotStats, type AskNode } from './slot-stats.ts';
import type { CacheRecord, NodeRecord } from './store-records.ts';
import { NO_SHARD, SLOT_COUNT } from '../model/slot-range.ts';

const TICK_MS = 1_000;
/** Nodes are asked for slots every so many ticks. */
const LOOK_TICKS = 2;
/** Of a cache whose slots are empty, or not counted: shared, never written to. */
const NO_MEMORY = new Float64Array(SLOT_COUNT);
/** The slots to be watched are told again after so many ticks: a proxy may have been started meanwhile. */
const TELL_TICKS = 10;

export interface HeatBoardDependencies {
  readonly store: {
    caches(): readonly CacheRecord[];
    nodes(cacheId: string): readonly NodeRecord[];
  };
  readonly fleet: {
    observation(nodeId: string): NodeObservation | null;
    readonly call: AskNode;
  };
  /** Tells the proxies which slots' keys to watch. */
  watchSlots(cache: string, slots: readonly number[]): void;
  now?(): number;
}

interface BoardCache {
  readonly rates: SlotRatesBoard;
  readonly stats: SlotStats;
  readonly meters: Map<string, NodeRateMeter>;
  memoryBytes: Float64Array;
  /** Mean size of a key of each shard, as it was known last. */
  readonly keyBytes: Map<number, number>;
  watched: readonly number[];
  /** This daemon has told the proxies what to watch. */
  told: boolean;
  looking: boolean;
  heat: CacheHeat | null;
}

export class HeatBoard {
  readonly #deps: HeatBoardDependencies;
  readonly #now: () => number;
  /** By the cache's id. */
  readonly #caches = new Map<string, BoardCache>();
  #timer: NodeJS.Timeout | null = null;
  #ticks = 0;

  constructor(deps: HeatBoardDependencies) {
    this.#deps = deps;
    this.#now = deps.now ?? Date.now;
  }

  start(): void {
    this.#timer = setInterval(() => this.tick(), TICK_MS);
    this.#timer.unref();
  }

  stop(): void {
    if (this.#timer !== null) clearInterval(this.#timer);
  }

  /** A report of a proxy; a late one of a cache that is gone is nobody's. */
  report(proxy: number, pid: number, report: SlotHeatReport): void {
    this.#caches.get(report.cacheId)?.rates.report(proxy, pid, report, this.#now());
  }

  /** The cache's heat as of the last second; null before the first. */
  heat(cacheId: string): CacheHeat | null {
    return this.#caches.get(cacheId)?.heat ?? null;
  }

  /** Has the proxies keep a sketch of the keys of these slots, and of no others. */
  watchSlots({ id, name }: CacheRecord, slots: readonly number[]): void {
    this.#of(id).watched = [...slots];
    this.#deps.watchSlots(name, slots);
  }

  /** Once a second. */
  tick(): void {
    const { store } = this.#deps;
    const caches = store.caches();
    const known = new Set(caches.map(({ id }) => id));
    for (const id of this.#caches.keys()) if (!known.has(id)) this.#caches.delete(id);
    const looks = this.#ticks % LOOK_TICKS === 0;
    const tells = this.#ticks % TELL_TICKS === 0;
    this.#ticks++;
    for (const cache of caches) {
      const board = this.#of(cache.id);
      const nodes = store.nodes(cache.id);
      const nowMs = this.#now();
      board.rates.tick(nowMs);
      if (looks) this.#look(cache, board, nodes, nowMs);
      // At first also that there are none: a daemon before this one may have named some.
      if (tells && (board.watched.length > 0 || !board.told)) {
        board.told = true;
        this.#deps.watchSlots(cache.name, board.watched);
      }
      board.heat = this.#picture(cache, board, nodes, nowMs);
    }
  }

  #of(cacheId: string): BoardCache {
    let board = this.#caches.get(cacheId);
    if (board === undefined) {
      board = {
        rates: new SlotRatesBoard(),
        stats: new SlotStats((...call) => this.#deps.fleet.call(...call)),
        meters: new Map(),
        memoryBytes: NO_MEMORY,
        keyBytes: new Map(),
        watched: [],
        told: false,
        looking: false,
        heat: null,
      };
      this.#caches.set(cacheId, board);
    }
    return board;
  }

  /** Goes on beside; a node that does not answer must not hold up the others' pictures. */
  #look(
    { spec }: CacheRecord,
    board: BoardCache,
    nodes: readonly NodeRecord[],
    nowMs: number,
  ): void {
    const primaries = nodes.flatMap(({ id, role, shard }) => {
      const seen = role === 'primary' ? this.#deps.fleet.observation(id) : null;
      return seen === null ? [] : [{ nodeId: id, shard, keys: seen.keys }];
    });
    if (!spec.sharding) {
      board.stats.owners.fill(primaries[0]?.shard ?? NO_SHARD);
      return;
    }
    if (board.looking) return;
    board.looking = true;
    void board.stats
      .look(primaries, board.rates.smoothed.ecpu, nowMs)
      .finally(() => (board.looking = false));
  }

  #picture(
    cache: CacheRecord,
    board: BoardCache,
    nodes: readonly NodeRecord[],
    nowMs: number,
  ): CacheHeat {
    const { rates, stats, meters } = board;
    for (const id of meters.keys()) if (!nodes.some((node) => node.id === id)) meters.delete(id);
    this.#estimateMemory(board, nodes);
    const loads = loadsOf(board);
    return {
      cache: cache.name,
      atMs: nowMs,
      sampledAtMs: rates.sampledAtMs,
      rates: rates.rates,
      smoothed: rates.smoothed,
      keys: stats.keys,
      cpuUsPerSecond: stats.cpuUsPerSecond,
      memoryBytes: board.memoryBytes,
      owners: stats.owners,
      total: rates.total(),
      nodes: nodes.map((node) => this.#nodeHeat(board, node, nodes, loads)),
      hotKeys: rates.hotKeys(nowMs),
    };
  }

  /** Keys times the mean size of a key in the shard. */
  #estimateMemory(board: BoardCache, nodes: readonly NodeRecord[]): void {
    const { stats, keyBytes } = board;
    for (const { id, shard, role } of nodes) {
      const seen = role === 'primary' ? this.#deps.fleet.observation(id) : null;
      if (seen !== null && seen.keys > 0) keyBytes.set(shard, seen.datasetBytes / seen.keys);
    }
    if (stats.isEmpty) return;
    if (board.memoryBytes === NO_MEMORY) board.memoryBytes = new Float64Array(SLOT_COUNT);
    for (const { shard, first, end } of runsOf(stats.owners)) {
      const each = keyBytes.get(shard) ?? 0;
      for (let slot = first; slot < end; slot++) board.memoryBytes[slot] = stats.keys[slot]! * each;
    }
  }

  #nodeHeat(
    board: BoardCache,
    node: NodeRecord,
    all: readonly NodeRecord[],
    loads: ReadonlyMap<number, ShardLoad>,
  ): NodeHeat {
    const { fleet } = this.#deps;
    const seen = fleet.observation(node.id);
    const primary = all.find(({ shard, role }) => shard === node.shard && role === 'primary');
    const head = primary === undefined ? null : fleet.observation(primary.id);
    const isReplica = node.role === 'replica';
    return {
      nodeId: node.id,
      shard: node.shard,
      role: node.role,
      ...this.#ratesOf(board, node.id, seen),
      ioThreads: seen?.ioThreads ?? null,
      usedMemoryBytes: seen?.usedMemoryBytes ?? null,
      memoryMaximumBytes: seen?.memoryMaximumBytes ?? null,
      datasetBytes: seen?.datasetBytes ?? null,
      residentBytes: seen?.residentBytes ?? null,
      // The two were asked at slightly different moments: never below zero.
      replicationLagBytes:
        isReplica && seen !== null && head !== null ? Math.max(0, head.offset - seen.offset) : null,
      keys: seen?.keys ?? null,
      ...((isReplica ? undefined : loads.get(node.shard)) ?? NO_LOAD),
    };
  }

  #ratesOf({ meters }: BoardCache, nodeId: string, seen: NodeObservation | null): NodeRates {
    let meter = meters.get(nodeId);
    if (meter === undefined) {
      meter = new NodeRateMeter();
      meters.set(nodeId, meter);
    }
    return meter.take(seen);
  }
}

type ShardLoad = Pick<NodeHeat, 'requestsPerSecond' | 'ecpuPerSecond' | 'slots'>;

const NO_LOAD: ShardLoad = { requestsPerSecond: 0, ecpuPerSecond: 0, slots: 0 };

/** By shard. */
function loadsOf({ stats, rates: { rates } }: BoardCache): ReadonlyMap<number, ShardLoad> {
  const loads = new Map<number, ShardLoad>();
  for (const { shard, first, end } of runsOf(stats.owners)) {
    let { requestsPerSecond, ecpuPerSecond, slots } = loads.get(shard) ?? NO_LOAD;
    slots += end - first;
    for (let slot = first; slot < end; slot++) {
      requestsPerSecond += rates.requests[slot]!;
      ecpuPerSecond += rates.ecpu[slot]!;
    }
    loads.set(shard, { requestsPerSecond, ecpuPerSecond, slots });
  }
  return loads;
}

/** Neighbouring slots with one owner: of each cache in each second, so nothing is looked up for each of them. */
function* runsOf(owners: Int32Array): Generator<{ shard: number; first: number; end: number }> {
  let first = 0;
  for (let slot = 1; slot <= owners.length; slot++) {
    if (slot < owners.length && owners[slot] === owners[first]) continue;
    yield { shard: owners[first]!, first, end: slot };
    first = slot;
  }
}
