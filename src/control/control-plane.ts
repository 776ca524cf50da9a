/**
 * The control plane of one data directory, put together: state, nodes, proxies, and the lanes that keep what is there
 * like what was asked for. The API talks to this and to nothing below it.
 *
 *   API -> ControlPlane -> Store (intent)
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
  Progress,
  ProxyStatus,
  UserChange,
  UserStatus,
} from '../model/admin-api.ts';
import type { CacheSpec } from '../model/cache-spec.ts';
import type { DataDirPaths } from '../model/data-dir.ts';
import type { Topology } from '../model/topology.ts';
import { admitCache, checkSpec } from './admit-cache.ts';
import { CacheLifecycle } from './cache-lifecycle.ts';
import { ControlError } from './control-error.ts';
import { Engines, type EnginesOptions } from './engines.ts';
import { Fleet } from './fleet.ts';
import { FunctionKeeper } from './function-keeper.ts';
import { KeyedQueue, type RunResult } from './keyed-queue.ts';
import type { NodeObservation } from './node-observation.ts';
import { PlaneLinkServer } from './plane-link-server.ts';
import { Ports } from './ports.ts';
import { requireSpace } from './disk-space.ts';
import { ProxySupervisor } from './proxy-supervisor.ts';
import { servingBoard } from './serving-board.ts';
import { ShardKeeper } from './shard-keeper.ts';
import type { StepContext } from './step-context.ts';
import { cacheStatus } from './status.ts';
import { Store } from './store.ts';
import type { CacheRecord, EventRecord } from './store-records.ts';
import { developmentCertificatePaths, topologyOf } from './topology-of.ts';
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

export type Report = (progress: Progress) => void;

interface Waiter {
  readonly report: Report;
  resolve(): void;
  reject(error: ControlError): void;
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
  readonly #waiters = new Map<string, Waiter[]>();
  /** One admission at a time: two must not choose the same name or port. */
  #admission: Promise<unknown> = Promise.resolve();
  #topology: Topology;
  #renewal: NodeJS.Timeout | undefined;
  #stopping = false;

  /** Opens the state; starts nothing yet. The data directory's lock must be held. */
  constructor(options: ControlPlaneOptions) {
    const { paths, log } = options;
    this.#options = options;
    this.#log = log;
    this.#store = new Store(paths.stateFile, (cause) => this.#stateSaved(cause));
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
        topology: () => this.#topology,
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
          this.#tell(cacheId, {
            type: 'progress',
            step,
            fraction,
            ...(detail === undefined ? {} : { detail }),
          }),
        settled: (cacheId, error) => this.#settle(cacheId, error),
      },
      proxies: servingBoard(
        () => this.#supervisor.alive(),
        () => this.#link.proxies(),
        () => this.#topology.version,
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
    this.#topology = this.#makeTopology(this.#store.topologyVersion());
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
    const renew = () =>
      this.#ensureCertificate(this.#store.caches().map(({ spec }) => spec)).catch(
        (error: unknown) =>
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
    for (const cache of caches) {
      this.#queue.add(`cache:${cache.id}`);
      if (cache.formed) this.#lookAtShards(cache);
    }
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
    return this.#status(this.#find(name));
  }

  /**
   * Makes a cache; resolves when it serves. It is made also when whoever asked goes away.
   *
   * @param input a CacheSpecInput, unchecked
   * @throws ControlError; EngineError when the engine is missing
   */
  async createCache(input: unknown, report: Report): Promise<CacheStatus> {
    this.#refuseWhileStopping();
    const spec = checkSpec(input);
    requireSpace(this.#options.paths.root);
    const admission = this.#admission.then(async () => {
      const engine = await this.#engines.find(spec.engineVersion);
      const other = this.#store.cacheByName(spec.name);
      if (other !== undefined && other.state !== 'create-failed') {
        throw new ControlError(
          'ServerlessCacheAlreadyExistsFault',
          `a cache named ${spec.name} already exists (${other.state})`,
        );
      }
      // One that never came to be does not stand in the way of the next try.
      if (other !== undefined) await this.deleteCache(other.name, () => undefined);
      await this.#ensureCertificate([spec]);
      const admitted = await admitCache(spec, this.#ports, Date.now());
      const cache = { ...admitted.cache, engineFullVersion: engine.version };
      this.#store.durable(() => {
        this.#store.insertCache(cache);
        for (const node of admitted.nodes) this.#store.insertNode(node);
        for (const user of admitted.users) this.#store.putUser(cache.id, user);
      });
      return cache;
    });
    this.#admission = admission.catch(() => undefined);
    const cache = await admission;
    const done = this.#wait(cache.id, report);
    this.#queue.add(`cache:${cache.id}`);
    await done;
    return this.cache(spec.name);
  }

  /** Deletes a cache with its data; resolves when nothing of it is left. */
  async deleteCache(name: string, report: Report): Promise<void> {
    this.#refuseWhileStopping();
    const cache = this.#find(name);
    this.#store.durable(() =>
      this.#store.updateCache(cache.id, { state: 'deleting', reason: null }),
    );
    if (cache.state === 'creating') {
      this.#settle(
        cache.id,
        new ControlError('InvalidServerlessCacheStateFault', `cache ${name} is being deleted`),
      );
    }
    const done = this.#wait(cache.id, report);
    this.#queue.add(`cache:${cache.id}`, { interrupt: cache.state === 'creating' });
    await done;
  }

  /**
   * Makes the best replica of a shard its primary, losing nothing; resolves when it is.
   *
   * @throws ControlError InvalidParameterValue for a shard that is not there, InvalidParameterCombination for one without
   *   a live replica, InvalidServerlessCacheStateFault while the cache is not available
   */
  async failover(name: string, shard: number, report: Report): Promise<CacheStatus> {
    this.#refuseWhileStopping();
    const cache = this.#available(name);
    const nodes = this.#store.nodes(cache.id).filter((node) => node.shard === shard);
    const primary = nodes.find((node) => node.role === 'primary');
    if (primary === undefined) {
      throw new ControlError(
        'InvalidParameterValue',
        `cache ${name} has no shard ${shard}: its shards are 0 to ${cache.spec.shards - 1}`,
      );
    }
    const offset = (id: string) => this.#fleet.observation(id)?.offset ?? -1;
    const [best] = nodes
      .filter(
        (node) => node.role === 'replica' && this.#fleet.state(node.id, node.role) === 'online',
      )
      .sort((a, b) => offset(b.id) - offset(a.id));
    if (best === undefined) {
      throw new ControlError(
        'InvalidParameterCombination',
        `shard ${shard} of cache ${name} has no replica that is online`,
      );
    }
    report({ type: 'progress', step: `Moving shard ${shard} to ${best.id}`, fraction: 0.2 });
    const lane = `shard:${cache.id}:${shard}`;
    const done = this.#shards.request(lane, {
      step: { kind: 'planned-failover', nodeId: best.id, primaryId: primary.id },
      reason: `a failover of shard ${shard} was asked for`,
    });
    this.#queue.add(lane);
    await done;
    return this.cache(name);
  }

  // Users

  users(cacheName: string): UserStatus[] {
    return this.#users.list(this.#find(cacheName));
  }

  putUser(cacheName: string, name: string, change: UserChange): Promise<UserStatus> {
    return this.#users.put(this.#available(cacheName), name, change);
  }

  removeUser(cacheName: string, name: string): Promise<void> {
    return this.#users.remove(this.#available(cacheName), name);
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
    return this.#store.events(cacheName, limit, afterId);
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

  /** Development certificates for the caches that use them: made if absent, renewed before they end. */
  async #ensureCertificate(specs: readonly CacheSpec[]): Promise<void> {
    const users = specs.filter((spec) => spec.tls !== 'off' && spec.tlsCertFile === undefined);
    if (users.length === 0) return;
    // Loaded only by those who need it: it is the largest library of the daemon.
    const { ensureDevelopmentCertificate } = await import('./development-certificate.ts');
    const names = users.flatMap((spec) => [spec.bind, spec.announceHost ?? spec.bind]);
    await ensureDevelopmentCertificate(this.#options.paths.tls, names);
  }

  #makeTopology(version: number): Topology {
    return topologyOf(
      version,
      this.#store.caches().map((cache) => ({
        cache,
        nodes: this.#store.nodes(cache.id),
        users: this.#store.users(cache.id),
      })),
      developmentCertificatePaths(this.#options.paths.tls),
    );
  }

  #publish(): void {
    this.#topology = this.#makeTopology(this.#store.nextTopologyVersion(Date.now()));
    this.#link.publish();
  }

  #status(cache: CacheRecord): CacheStatus {
    return cacheStatus(cache, this.#store, this.#fleet, this.#usage);
  }

  #find(name: string): CacheRecord {
    const cache = this.#store.cacheByName(name.toLowerCase());
    if (cache === undefined) {
      throw new ControlError('ServerlessCacheNotFoundFault', `there is no cache named ${name}`);
    }
    return cache;
  }

  #available(name: string): CacheRecord {
    this.#refuseWhileStopping();
    const cache = this.#find(name);
    if (cache.state !== 'available' && cache.state !== 'modifying') {
      throw new ControlError(
        'InvalidServerlessCacheStateFault',
        `cache ${name} is ${cache.state}, not available`,
      );
    }
    return cache;
  }

  #refuseWhileStopping(): void {
    if (this.#stopping) throw new ControlError('ServiceUnavailable', 'Springtide is stopping');
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
    this.#store.addEvent({ atMs: Date.now(), cache, kind, message });
  }

  #wait(cacheId: string, report: Report): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#waiters.set(cacheId, [
        ...(this.#waiters.get(cacheId) ?? []),
        { report, resolve, reject },
      ]);
    });
  }

  #tell(cacheId: string, progress: Progress): void {
    for (const waiter of this.#waiters.get(cacheId) ?? []) waiter.report(progress);
  }

  #settle(cacheId: string, error: ControlError | null): void {
    const waiters = this.#waiters.get(cacheId) ?? [];
    this.#waiters.delete(cacheId);
    for (const waiter of waiters) {
      if (error === null) waiter.resolve();
      else waiter.reject(error);
    }
  }
}
