/**
 * The control plane of one data directory, put together: state, nodes, proxies, and the lanes that keep what is there
 * like what was asked for. The API talks to this and to nothing below it.
 *
 *   API -> ControlPlane -> CacheAdmin, UserAdmin -> Store (intent)
 *                       -> KeyedQueue -> CacheLifecycle, ShardKeeper -> policies -> steps -> Fleet -> nodes
 *                       -> PlaneLinkServer, ProxySupervisor -> proxies
 *
 * Nothing of the data plane depends on it: when it leaves (`leave`), caches go on serving.
 */
import { mkdirSync } from 'node:fs';
import type { Logger } from 'pino';
import type { Host } from '../engine/host.ts';
import type {
  CacheStatus,
  EngineStatus,
  ProxyStatus,
  UserChange,
  UserStatus,
} from '../model/admin-api.ts';
import type { DataDirPaths } from '../model/data-dir.ts';
import { CacheAdmin } from './cache-admin.ts';
import { CacheLifecycle } from './cache-lifecycle.ts';
import { CacheLookup } from './cache-lookup.ts';
import { Engines, type EnginesOptions } from './engines.ts';
import { Fleet } from './fleet.ts';
import { FunctionKeeper } from './function-keeper.ts';
import { KeyedQueue, type RunResult } from './keyed-queue.ts';
import type { NodeObservation } from './node-observation.ts';
import { OperationWaiters, type Report } from './operation-waiters.ts';
import { PlaneLinkServer } from './plane-link-server.ts';
import { Ports } from './ports.ts';
import { ProxySupervisor } from './proxy-supervisor.ts';
import { servingBoard } from './serving-board.ts';
import { ShardKeeper } from './shard-keeper.ts';
import type { StepContext } from './step-context.ts';
import { cacheStatus } from './status.ts';
import { Store } from './store.ts';
import type { CacheRecord, EventRecord } from './store-records.ts';
import { TopologySource } from './topology-source.ts';
import { UsageBoard } from './usage-board.ts';
import { UserAdmin } from './user-admin.ts';

export interface ControlPlaneOptions {
  readonly paths: DataDirPaths;
  readonly engines: EnginesOptions;
  /** Where nodes run. */
  readonly host: Host;
  /** Number of proxy processes. */
  readonly proxies: number;
  readonly proxyScriptPath: string;
  readonly log: Logger;
}

/** How often certificates are looked at; they are renewed 30 days before their end. */
const RENEWAL_MS = 12 * 3_600_000;
const PROXY_DRAIN_MS = 3_000;
const NODE_STOP_GRACE_MS = 2_000;

export class ControlPlane {
  readonly #options: ControlPlaneOptions;
  readonly #log: Logger;
  readonly #store: Store;
  readonly #fleet: Fleet;
  readonly #ports = new Ports();
  readonly #usage = new UsageBoard();
  readonly #queue: KeyedQueue;
  readonly #link: PlaneLinkServer;
  readonly #supervisor: ProxySupervisor;
  readonly #lifecycle: CacheLifecycle;
  readonly #shards: ShardKeeper;
  readonly #users: UserAdmin;
  readonly #engines: Engines;
  readonly #functions: FunctionKeeper;
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
    this.#store = new Store(paths.stateFile, (cause) => this.#stateSaved(cause));
    this.#lookup = new CacheLookup(this.#store, () => this.#stopping);
    this.#topology = new TopologySource(this.#store, paths.tls);
    this.#engines = new Engines(options.engines, this.#store);
    this.#fleet = new Fleet(
      options.host,
      this.#store,
      paths.nodes,
      {
        onExit: (nodeId) => this.#nodeExited(nodeId),
        onHung: (nodeId, hung) => this.#nodeHung(nodeId, hung),
        onRoleChange: (nodeId) => this.#lookAtNode(nodeId),
      },
      log,
    );
    this.#functions = new FunctionKeeper(this.#store, this.#fleet, log);
    this.#queue = new KeyedQueue(
      (key, signal) => this.#run(key, signal),
      (key, error, retryMs) => log.warn({ lane: key, err: error, retryMs }, 'will look again'),
    );
    this.#link = new PlaneLinkServer(
      paths.controlSocket,
      {
        topology: () => this.#topology.current,
        onUsage: (usage) => this.#usage.report(usage),
        onServing: (proxy) => this.#proxyServes(proxy.failures),
        onNodeLost: (cache, nodeId) => this.#nodeReportedLost(cache, nodeId),
        onUnlinked: () => this.#supervisor.check(),
      },
      log,
    );
    this.#supervisor = new ProxySupervisor(
      {
        dataDir: paths.root,
        proxiesDir: paths.proxies,
        logsDir: paths.logs,
        scriptPath: options.proxyScriptPath,
        proxies: options.proxies,
      },
      {
        onRestart: (_index, message) => this.#event(null, 'proxy-restarted', message),
        onCrashLoop: (_index, message) => this.#event(null, 'proxy-crash-loop', message),
      },
      log,
    );
    const context = (cache: CacheRecord, signal: AbortSignal) => this.#context(cache, signal);
    this.#shards = new ShardKeeper({ store: this.#store, fleet: this.#fleet, context });
    this.#lifecycle = new CacheLifecycle({
      store: this.#store,
      fleet: this.#fleet,
      ports: this.#ports,
      log,
      context,
      observer: {
        progress: (cacheId, step, fraction, detail) =>
          this.#waiters.tell(cacheId, {
            type: 'progress',
            step,
            fraction,
            ...(detail === undefined ? {} : { detail }),
          }),
        settled: (cacheId, error) => this.#waiters.settle(cacheId, error),
      },
      proxies: servingBoard(
        () => this.#supervisor.alive(),
        () => this.#link.proxies(),
        () => this.#topology.current.version,
      ),
      onFormed: (cache) => this.#lookAtShards(cache),
      drainShards: async (cache) => {
        await Promise.all(this.#shardLanes(cache).map((lane) => this.#queue.drain(lane)));
      },
      onDeleted: (cache) => this.#usage.forget(cache.name),
    });
    this.#users = new UserAdmin({
      store: this.#store,
      fleet: this.#fleet,
      publish: () => this.#publish(),
      syncNodes: (cache) => this.#syncUsers(cache),
      event: (cache, kind, message) => this.#event(cache.name, kind, message),
    });
    this.#admin = new CacheAdmin({
      dataDir: paths.root,
      caches: this.#lookup,
      store: this.#store,
      fleet: this.#fleet,
      ports: this.#ports,
      engines: this.#engines,
      queue: this.#queue,
      shards: this.#shards,
      topology: this.#topology,
      waiters: this.#waiters,
    });
  }

  /** Adopts what runs and begins to look after it. */
  async start(): Promise<void> {
    for (const dir of [this.#options.paths.nodes, this.#options.paths.logs]) {
      mkdirSync(dir, { recursive: true, mode: 0o700 });
    }
    const caches = this.#store.caches();
    await this.#ports.adopt([
      ...this.#store.nodes().flatMap((node) => [node.port, node.busPort]),
      ...caches.flatMap((cache) => [cache.port, cache.readerPort]),
    ]);
    await this.#fleet.adopt();
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
    this.#publish();
    await this.#link.listen();
    this.#supervisor.start();
    this.#functions.start();
    this.#event(null, 'daemon-started', `the daemon runs as process ${process.pid}`);
    for (const { id } of caches) {
      this.#queue.add(`cache:${id}`);
      const cache = this.#store.cache(id);
      if (cache?.formed) this.#lookAtShards(cache);
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
    this.#supervisor.detach();
    this.#fleet.detach();
    await this.#queue.stop();
    await this.#link.close();
    this.#ports.close();
    this.#store.close();
  }

  /** Ends everything in order: proxies let their replies out, then the nodes. `leave` is to follow. */
  async shutDown(report: Report): Promise<void> {
    this.#stopping = true;
    await this.#queue.stop();
    report({ type: 'progress', step: 'Draining proxies', fraction: 0.1 });
    this.#link.drain(PROXY_DRAIN_MS);
    await this.#supervisor.stop(PROXY_DRAIN_MS + 1_000);
    report({ type: 'progress', step: 'Stopping nodes', fraction: 0.5 });
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

  /** Deletes a cache with its data; resolves when nothing of it is left. */
  deleteCache(name: string, report: Report): Promise<void> {
    return this.#admin.delete(name, report);
  }

  /** Makes the best replica of a shard its primary, losing nothing; resolves when it is. @throws ControlError */
  async failover(name: string, shard: number, report: Report): Promise<CacheStatus> {
    await this.#admin.failover(name, shard, report);
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
    const linked = new Map(this.#link.proxies().map((proxy) => [proxy.index, proxy]));
    const alive = new Set(this.#supervisor.alive());
    return Array.from({ length: this.#supervisor.count }, (_, index) => {
      const link = linked.get(index);
      const usage = this.#usage.proxy(index);
      return {
        ...this.#supervisor.status(index),
        state: !alive.has(index)
          ? 'lost'
          : (link?.servingVersion ?? 0) > 0
            ? 'serving'
            : 'starting',
        topologyVersion: link?.servingVersion ?? 0,
        cpuSeconds: usage?.cpuSeconds ?? 0,
        memoryBytes: usage?.memoryBytes ?? 0,
      };
    });
  }

  /** What a node said last; null while it does not answer. */
  observation(nodeId: string): NodeObservation | null {
    return this.#fleet.observation(nodeId);
  }

  get usage(): UsageBoard {
    return this.#usage;
  }

  /** Newest first; of a cache that is no more, too. */
  events(cacheName: string | null, limit: number, afterId: number): EventRecord[] {
    return this.#store.events.latest(cacheName, limit, afterId);
  }

  // Inside

  async #run(key: string, signal: AbortSignal): Promise<RunResult> {
    const [kind, cacheId = '', shard] = key.split(':');
    if (kind === 'cache') return this.#lifecycle.run(cacheId, key, signal);
    return this.#shards.run(cacheId, Number(shard), key, signal);
  }

  #context(cache: CacheRecord, signal: AbortSignal): StepContext {
    return {
      cache,
      store: this.#store,
      fleet: this.#fleet,
      ports: this.#ports,
      log: this.#log,
      signal,
      event: (kind, message) => this.#event(cache.name, kind, message),
      refresh: () => this.#link.refresh(cache.name),
      publish: () => this.#publish(),
    };
  }

  #publish(): void {
    this.#topology.renew();
    this.#link.publish();
  }

  #status(cache: CacheRecord): CacheStatus {
    return cacheStatus(cache, this.#store, this.#fleet, this.#usage);
  }

  #shardLanes(cache: CacheRecord): string[] {
    return Array.from({ length: cache.spec.shards }, (_, i) => `shard:${cache.id}:${i}`);
  }

  #lookAtShards(cache: CacheRecord): void {
    for (const lane of this.#shardLanes(cache)) this.#queue.add(lane);
  }

  #nodeExited(nodeId: string): void {
    const node = this.#store.node(nodeId);
    const cache = node && this.#store.cache(node.cacheId);
    if (this.#stopping || node === undefined || cache === undefined) return;
    // The shard first, the paper work after: a failover starts within this turn of the event loop.
    if (cache.formed) {
      this.#queue.add(`shard:${cache.id}:${node.shard}`, { interrupt: true });
    } else {
      this.#queue.add(`cache:${cache.id}`, { interrupt: true });
    }
    this.#event(
      cache.name,
      'node-lost',
      `node ${nodeId}, ${node.role} of shard ${node.shard}, ended`,
    );
  }

  /** The lane that runs already is looking, or will see it at its next look. */
  #lookAtNode(nodeId: string): void {
    const node = this.#store.node(nodeId);
    const cache = node && this.#store.cache(node.cacheId);
    if (cache?.formed) this.#queue.add(`shard:${cache.id}:${node!.shard}`);
  }

  #nodeHung(nodeId: string, hung: boolean): void {
    const node = this.#store.node(nodeId);
    const cache = node && this.#store.cache(node.cacheId);
    if (node === undefined || cache === undefined) return;
    this.#event(
      cache.name,
      hung ? 'node-hung' : 'node-answers',
      hung
        ? `node ${nodeId}, ${node.role} of shard ${node.shard}, runs but does not answer`
        : `node ${nodeId} answers again`,
    );
    this.#lookAtNode(nodeId);
  }

  #nodeReportedLost(cacheName: string, nodeId: string): void {
    const node = this.#store.node(nodeId);
    const cache = node && this.#store.cache(node.cacheId);
    if (cache?.name !== cacheName || !cache.formed) return;
    this.#queue.add(`shard:${cache.id}:${node!.shard}`);
  }

  /** A proxy's word about ports that it could (not) take, kept as the cache's reason. */
  #proxyServes(failures: Readonly<Record<string, string>>): void {
    for (const cache of this.#store.caches()) {
      if (cache.state !== 'available') continue;
      const reason = failures[cache.name] ?? null;
      if (cache.reason !== reason) this.#store.updateCache(cache.id, { reason });
    }
  }

  /** Not an event: one says that the events cannot be written down, and the other comes when all of them are. */
  #stateSaved(cause: unknown): void {
    if (cause === null) this.#log.warn('the state is on the disk again, all of it');
    else {
      this.#log.error(
        { err: cause },
        'the state cannot be written to the disk; it is kept in memory and written when there is room',
      );
    }
  }

  async #syncUsers(cache: CacheRecord): Promise<void> {
    const lane = `cache:${cache.id}`;
    this.#queue.add(lane);
    await this.#queue.idle(lane);
  }

  #event(cache: string | null, kind: string, message: string): void {
    this.#log.info({ cache, event: kind }, message);
    this.#store.events.add({ atMs: Date.now(), cache, kind, message });
  }
}
