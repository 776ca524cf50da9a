/**
 * The control plane of one data directory, put together: state, nodes, proxies, and the lanes that keep what is there
 * like what was asked for. The API talks to this and to nothing below it.
 *
 *   API -> ControlPlane -> CacheAdmin, UserAdmin -> Store (intent)
 *                       -> Lanes -> CacheLifecycle, ShardKeeper -> policies -> steps -> Fleet -> nodes
 *                       -> ProxyFleet -> proxies
 *   nodes, proxies -> NodeNews -> Lanes
 *
 * Nothing of the data plane depends on it: when it leaves (`leave`), caches go on serving.
 */
import { mkdirSync } from 'node:fs';
import type { Logger } from 'pino';
import type { Host } from '../engine/host.ts';
import type {
  CacheStatus,
  CapacityReport,
  EngineStatus,
  ProxyStatus,
  UserChange,
  UpgradeRequest,
  UserStatus,
} from '../model/admin-api.ts';
import type { DataDirPaths } from '../model/data-dir.ts';
import type { CacheHeat } from '../model/heat.ts';
import { Autoscaler } from './autoscaler.ts';
import { CacheAdmin } from './cache-admin.ts';
import { CacheLifecycle } from './cache-lifecycle.ts';
import { CacheLookup } from './cache-lookup.ts';
import { capacityReport } from './capacity-report.ts';
import { DiskWatch } from './disk-watch.ts';
import { Engines, type EnginesOptions } from './engines.ts';
import { Fleet } from './fleet.ts';
import { FunctionKeeper } from './function-keeper.ts';
import { HeatBoard } from './heat-board.ts';
import { Hosts } from './hosts.ts';
import { JobBoard } from './job-board.ts';
import { Journal, logStateSaved } from './journal.ts';
import { Lanes, shardLane } from './lanes.ts';
import { NodeNews } from './node-news.ts';
import { NodeReplacement } from './node-replacement.ts';
import type { NodeObservation } from './node-observation.ts';
import { DEFAULT_PLANNER_PARAMS, type PlannerParams } from './policies/planner-params.ts';
import { OperationWaiters, type Report } from './operation-waiters.ts';
import { Ports } from './ports.ts';
import { ProxyFleet } from './proxy-fleet.ts';
import { ReplacementAdmin } from './replacement-admin.ts';
import { ShardKeeper } from './shard-keeper.ts';
import type { StepContext } from './step-context.ts';
import { cacheStatus } from './status.ts';
import { Store } from './store.ts';
import type { CacheRecord, EventRecord } from './store-records.ts';
import { TopologySource } from './topology-source.ts';
import type { UsageBoard } from './usage-board.ts';
import { UserAdmin } from './user-admin.ts';
import { WarmPool } from './warm-pool.ts';

export interface ControlPlaneOptions {
  readonly paths: DataDirPaths;
  readonly engines: EnginesOptions;
  /** Where nodes run. The first has the nodes of a data directory from before there were several. */
  readonly hosts: readonly [Host, ...Host[]];
  /** Number of proxy processes. */
  readonly proxies: number;
  readonly proxyScriptPath: string;
  /** How long a cache must need fewer shards before it gets them; undefined: the planner's own. */
  readonly scaleInAfterMs?: number | undefined;
  readonly log: Logger;
}

/** How often certificates are looked at; they are renewed 30 days before their end. */
const RENEWAL_MS = 12 * 3_600_000;
/** A proxy that has not taken a change of users by then hangs, or is being restarted, and will have it from its start. */
const USERS_SETTLED_MS = 1_000;
const NODE_STOP_GRACE_MS = 2_000;

export class ControlPlane {
  readonly #options: ControlPlaneOptions;
  readonly #log: Logger;
  readonly #store: Store;
  readonly #fleet: Fleet;
  readonly #ports = new Ports();
  readonly #pool: WarmPool;
  readonly #jobs: JobBoard;
  readonly #autoscaler: Autoscaler;
  readonly #journal: Journal;
  readonly #lanes: Lanes;
  readonly #proxies: ProxyFleet;
  readonly #heat: HeatBoard;
  readonly #lifecycle: CacheLifecycle;
  readonly #shards: ShardKeeper;
  readonly #replacement: NodeReplacement;
  readonly #replacements: ReplacementAdmin;
  readonly #users: UserAdmin;
  readonly #engines: Engines;
  readonly #functions: FunctionKeeper;
  readonly #disk: DiskWatch;
  readonly #waiters = new OperationWaiters();
  readonly #lookup: CacheLookup;
  readonly #admin: CacheAdmin;
  readonly #topology: TopologySource;
  #renewal: NodeJS.Timeout | undefined;
  #stopping = false;

  /** Opens the state; starts nothing yet. The data directory's lock must be held. */
  constructor(options: ControlPlaneOptions) {
    const { paths, log } = options;
    this.#options = options;
    this.#log = log;
    this.#store = new Store(paths.stateFile, logStateSaved(log));
    this.#journal = new Journal(this.#store.events, log);
    this.#lookup = new CacheLookup(this.#store, () => this.#stopping);
    this.#engines = new Engines(options.engines, this.#store);
    this.#lanes = new Lanes(
      {
        cache: (cacheId, lane, signal) => this.#lifecycle.run(cacheId, lane, signal),
        shard: (cacheId, shard, lane, signal) => this.#shards.run(cacheId, shard, lane, signal),
        replacement: (cacheId, lane, signal) => this.#replacement.run(cacheId, lane, signal),
      },
      log,
    );
    const news = new NodeNews({
      store: this.#store,
      lanes: this.#lanes,
      journal: this.#journal,
      isStopping: () => this.#stopping,
    });
    const hosts = new Hosts(options.hosts, news, log);
    this.#topology = new TopologySource(this.#store, paths.tls, ({ hostId }) =>
      hosts.address(hostId),
    );
    this.#fleet = new Fleet(hosts, this.#store, paths.nodes, news, log);
    this.#pool = new WarmPool({ store: this.#store, hosts, ports: this.#ports, log });
    this.#jobs = new JobBoard({
      store: this.#store,
      journal: this.#journal,
      context: (cache, signal) => this.#context(cache, signal),
      onEnd: () => this.#autoscaler.plan(),
    });
    this.#disk = new DiskWatch({
      dataDir: paths.root,
      event: (kind, message) => this.#journal.event(null, kind, message),
    });
    this.#functions = new FunctionKeeper(this.#store, this.#fleet, log);
    this.#proxies = new ProxyFleet(
      { paths, proxies: options.proxies, scriptPath: options.proxyScriptPath },
      {
        store: this.#store,
        topology: this.#topology,
        journal: this.#journal,
        log,
        onHeat: (proxy, pid, report) => this.#heat.report(proxy, pid, report),
        onNodeLost: (cache, nodeId) => news.onReportedLost(cache, nodeId),
      },
    );
    this.#heat = new HeatBoard({
      store: this.#store,
      fleet: {
        observation: (nodeId) => this.#fleet.observation(nodeId),
        call: (...call) => this.#fleet.call(...call),
      },
      watchSlots: (cache, slots) => this.#proxies.watchSlots(cache, slots),
    });
    this.#autoscaler = new Autoscaler({
      store: this.#store,
      fleet: this.#fleet,
      pool: this.#pool,
      jobs: this.#jobs,
      journal: this.#journal,
      log,
      heat: (cacheName) => this.#heat.heat(cacheName),
      hosts: () => hosts.capacities(),
      watchSlots: (cache, slots) => this.#heat.watchSlots(cache.name, slots),
      isHeld: () => false,
      params: plannerParams(options.scaleInAfterMs),
    });
    const context = (cache: CacheRecord, signal: AbortSignal) => this.#context(cache, signal);
    this.#shards = new ShardKeeper({
      store: this.#store,
      fleet: this.#fleet,
      context,
      onOldRules: (cache) => this.#lanes.lookAtCache(cache.id, { patient: true }),
    });
    this.#replacement = new NodeReplacement({
      store: this.#store,
      fleet: this.#fleet,
      observer: this.#waiters,
      context,
      isOccupied: (cacheId, shard) => this.#jobs.isOccupied(cacheId, shard),
      inShardLane: (cacheId, shard, planned) => {
        const done = this.#shards.request(shardLane(cacheId, shard), planned);
        this.#lanes.lookAtShard(cacheId, shard);
        return done;
      },
    });
    this.#replacements = new ReplacementAdmin({
      caches: this.#lookup,
      store: this.#store,
      fleet: this.#fleet,
      engines: this.#engines,
      lanes: this.#lanes,
      journal: this.#journal,
      waiters: this.#waiters,
      publish: () => this.#proxies.publish(),
    });
    this.#lifecycle = new CacheLifecycle({
      store: this.#store,
      fleet: this.#fleet,
      ports: this.#ports,
      log,
      context,
      observer: this.#waiters,
      proxies: this.#proxies.board,
      onFormed: (cache) => this.#lookAtShards(cache.id),
      drainShards: (cacheId) => this.#lanes.drainShards(cacheId),
      cancelJobs: (cacheId) => this.#jobs.cancel(cacheId),
      onDeleted: (cache) => {
        this.#proxies.usage.forget(cache.name);
        this.#autoscaler.forget(cache.id);
      },
    });
    this.#users = new UserAdmin({
      store: this.#store,
      fleet: this.#fleet,
      publish: async (cache) => {
        this.#proxies.publish();
        await this.#proxies.board.settled(cache.name, USERS_SETTLED_MS);
      },
      syncNodes: (cache) => this.#lanes.settleCache(cache.id),
      event: (cache, kind, message) => this.#journal.event(cache.name, kind, message),
    });
    this.#admin = new CacheAdmin({
      dataDir: paths.root,
      caches: this.#lookup,
      store: this.#store,
      fleet: this.#fleet,
      ports: this.#ports,
      engines: this.#engines,
      lanes: this.#lanes,
      shards: this.#shards,
      topology: this.#topology,
      waiters: this.#waiters,
      event: (cache, kind, message) => this.#journal.event(cache, kind, message),
      onChanged: () => {
        this.#proxies.publish();
        this.#autoscaler.plan();
      },
    });
  }

  /** Adopts what runs and begins to look after it. */
  async start(): Promise<void> {
    for (const dir of [this.#options.paths.nodes, this.#options.paths.logs]) {
      mkdirSync(dir, { recursive: true, mode: 0o700 });
    }
    const caches = this.#store.caches();
    await this.#ports.adopt([
      ...[...this.#store.nodes(), ...this.#store.warm.all()].flatMap((node) => [
        node.port,
        node.busPort,
      ]),
      ...caches.flatMap((cache) => [cache.port, cache.readerPort]),
    ]);
    await this.#fleet.adopt();
    await this.#pool.adopt();
    for (const cache of caches) this.#formAnewIfGone(cache);
    const renew = () =>
      this.#topology
        .ensureCertificate(this.#store.caches().map(({ spec }) => spec))
        .catch((error: unknown) =>
          this.#log.error({ err: error }, 'the development certificate cannot be renewed'),
        );
    await renew();
    this.#renewal = setInterval(() => void renew(), RENEWAL_MS);
    this.#renewal.unref();
    await this.#proxies.start();
    this.#functions.start();
    this.#disk.start();
    this.#heat.start();
    this.#autoscaler.start();
    this.#journal.event(null, 'daemon-started', `the daemon runs as process ${process.pid}`);
    for (const { id } of caches) {
      this.#lanes.lookAtCache(id);
      const cache = this.#store.cache(id);
      if (cache?.formed) this.#lookAtShards(id);
      this.#lanes.lookAtReplacement(id);
    }
  }

  /**
   * None of its nodes is left (after `down`, or a restart of the machine): there is no data and nobody to join. Shards that
   * heal one by one would each wait for peers that are not there; the cache is formed as a new one is.
   */
  #formAnewIfGone(cache: CacheRecord): void {
    if (!cache.formed || (cache.state !== 'available' && cache.state !== 'modifying')) return;
    if (this.#store.nodes(cache.id).some((node) => this.#fleet.isAlive(node.id))) return;
    this.#store.updateCache(cache.id, { formed: false, state: 'modifying' });
  }

  /** Ends this daemon's part alone: nodes and proxies go on. */
  async leave(): Promise<void> {
    this.#stopping = true;
    clearInterval(this.#renewal);
    this.#functions.stop();
    this.#disk.stop();
    this.#heat.stop();
    await this.#autoscaler.stop();
    await this.#jobs.stop();
    this.#proxies.detach();
    this.#fleet.detach();
    await this.#lanes.stop();
    await this.#pool.leave();
    await this.#proxies.close();
    this.#ports.close();
    this.#store.close();
  }

  /** Ends everything in order: proxies let their replies out, then the nodes. `leave` is to follow. */
  async shutDown(report: Report): Promise<void> {
    this.#stopping = true;
    await this.#autoscaler.stop();
    await this.#jobs.stop();
    await this.#lanes.stop();
    report({ type: 'progress', step: 'Draining proxies', fraction: 0.1 });
    await this.#proxies.stop();
    report({ type: 'progress', step: 'Stopping nodes', fraction: 0.5 });
    await this.#pool.empty();
    await Promise.all(
      this.#store.nodes().map(async (node) => {
        await this.#fleet.stop(node.id, NODE_STOP_GRACE_MS);
        this.#store.updateNode(node.id, { stopped: true });
      }),
    );
    report({ type: 'progress', step: 'Stopping the daemon', fraction: 0.95 });
  }

  // Caches

  caches(): CacheStatus[] {
    return this.#store.caches().map((cache) => this.#status(cache));
  }

  /** @throws ControlError ServerlessCacheNotFoundFault */
  cache(name: string): CacheStatus {
    return this.#status(this.#lookup.find(name));
  }

  /**
   * Makes a cache; resolves when it serves. It is made also when whoever asked goes away.
   *
   * @param input a CacheSpecInput, unchecked
   * @throws ControlError; EngineError when the engine is missing
   */
  async createCache(input: unknown, report: Report): Promise<CacheStatus> {
    return this.cache(await this.#admin.create(input, report));
  }

  /** Changes what is asked of a cache. @param input a CacheChange, unchecked @throws ControlError */
  async modifyCache(name: string, input: unknown): Promise<CacheStatus> {
    await this.#admin.modify(name, input);
    return this.cache(name);
  }

  /** Why a cache has the shape that it has. @throws ControlError ServerlessCacheNotFoundFault */
  explain(name: string): CapacityReport {
    const cache = this.#lookup.find(name);
    return capacityReport(cache, {
      store: this.#store,
      jobs: this.#jobs,
      explanations: this.#autoscaler.explanations(cache.id),
      pool: this.#pool.status(),
    });
  }

  /** Deletes a cache with its data; resolves when nothing of it is left. */
  deleteCache(name: string, report: Report): Promise<void> {
    return this.#admin.delete(name, report);
  }

  /** Makes the best replica of a shard its primary, losing nothing; resolves when it is. @throws ControlError */
  async failover(name: string, shard: number, report: Report): Promise<CacheStatus> {
    await this.#admin.failover(name, shard, report);
    return this.cache(name);
  }

  /** Replaces every node by one of another engine line; resolves when all are. @throws ControlError, EngineError */
  async upgrade(name: string, change: UpgradeRequest, report: Report): Promise<CacheStatus> {
    await this.#replacements.upgrade(name, change.engineVersion, change.parallelShards, report);
    return this.cache(name);
  }

  /** Replaces one node by a new one; resolves when it is. @throws ControlError */
  async replaceNode(name: string, nodeId: string, report: Report): Promise<CacheStatus> {
    await this.#replacements.replace(name, nodeId, report);
    return this.cache(name);
  }

  /** Replaces all nodes, shard by shard; resolves when all are. @throws ControlError */
  async restart(name: string, parallelShards: number, report: Report): Promise<CacheStatus> {
    await this.#replacements.restart(name, parallelShards, report);
    return this.cache(name);
  }

  // Users

  users(cacheName: string): UserStatus[] {
    return this.#users.list(this.#lookup.find(cacheName));
  }

  putUser(cacheName: string, name: string, change: UserChange): Promise<UserStatus> {
    return this.#users.put(this.#lookup.available(cacheName), name, change);
  }

  removeUser(cacheName: string, name: string): Promise<void> {
    return this.#users.remove(this.#lookup.available(cacheName), name);
  }

  // Engines, proxies, events

  engines(): Promise<EngineStatus[]> {
    return this.#engines.list();
  }

  installEngine(line: string, report: Report): Promise<void> {
    return this.#engines.install(line, report);
  }

  removeEngine(line: string): Promise<void> {
    return this.#engines.remove(line);
  }

  proxies(): ProxyStatus[] {
    return this.#proxies.status();
  }

  /** What a node said last; null while it does not answer. */
  observation(nodeId: string): NodeObservation | null {
    return this.#fleet.observation(nodeId);
  }

  /** Where the load of a cache is; null before the first second. @throws ControlError */
  heat(name: string): CacheHeat | null {
    return this.#heat.heat(this.#lookup.find(name).name);
  }

  get usage(): UsageBoard {
    return this.#proxies.usage;
  }

  /** Newest first; of a cache that is no more, too. */
  events(cacheName: string | null, limit: number, afterId: number): EventRecord[] {
    return this.#store.events.latest(cacheName, limit, afterId);
  }

  // Inside

  #lookAtShards(cacheId: string): void {
    this.#lanes.lookAtShards(cacheId, this.#store.shards.of(cacheId));
  }

  #context(cache: CacheRecord, signal: AbortSignal): StepContext {
    return {
      cache,
      store: this.#store,
      fleet: this.#fleet,
      ports: this.#ports,
      pool: this.#pool,
      log: this.#log,
      signal,
      event: (kind, message) => this.#journal.event(cache.name, kind, message),
      refresh: () => this.#proxies.refresh(cache.name),
      publish: () => this.#proxies.publish(),
      served: async (timeoutMs) => {
        await this.#proxies.board.settled(cache.name, timeoutMs);
      },
      lookAtShard: (shard) => this.#lanes.lookAtShard(cache.id, shard),
      drainShard: (shard) => this.#lanes.drainShard(cache.id, shard),
    };
  }

  #status(cache: CacheRecord): CacheStatus {
    return cacheStatus(cache, this.#store, this.#fleet, this.#proxies.usage);
  }
}

function plannerParams(inQuietMs: number | undefined): PlannerParams {
  return inQuietMs === undefined
    ? DEFAULT_PLANNER_PARAMS
    : { ...DEFAULT_PLANNER_PARAMS, inQuietMs };
}
