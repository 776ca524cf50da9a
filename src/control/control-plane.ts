/**
 * The control plane of one data directory: its beginning and its end, and what the API may ask of it. The API talks to this and
 * to nothing below it; what it is made of is in control-parts.ts.
 *
 * Nothing of the data plane depends on it: when it leaves (`leave`), caches go on serving.
 */
import { mkdirSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import type {
  CacheStatus,
  CapacityReport,
  EngineStatus,
  HostStatus,
  ProxyStatus,
  UserChange,
  UpgradeRequest,
  UserStatus,
} from '../model/admin-api.ts';
import type { CacheHeat } from '../model/heat.ts';
import { capacityReport } from './capacity-report.ts';
import { controlParts, type ControlParts, type ControlPlaneOptions } from './control-parts.ts';
import type { NodeObservation } from './node-observation.ts';
import type { Report } from './operation-waiters.ts';
import { cacheStatus } from './status.ts';
import type { CacheRecord, EventRecord } from './store-records.ts';
import type { UsageBoard } from './usage-board.ts';

/** How often certificates are looked at; they are renewed 30 days before their end. */
const RENEWAL_MS = 12 * 3_600_000;
const NODE_STOP_GRACE_MS = 2_000;
/** What is less urgent than a shard without a primary, and keeps this process busy, waits so long for it at a start. */
const FIRST_LOOK_MS = 300;

export class ControlPlane {
  readonly #options: ControlPlaneOptions;
  readonly #parts: ControlParts;
  #renewal: NodeJS.Timeout | undefined;
  #stopping = false;

  /** Opens the state; starts nothing yet. The data directory's lock must be held. */
  constructor(options: ControlPlaneOptions) {
    this.#options = options;
    this.#parts = controlParts(options, () => this.#stopping);
  }

  /** Adopts what runs and begins to look after it. */
  async start(): Promise<void> {
    for (const dir of [this.#options.paths.nodes, this.#options.paths.logs]) {
      mkdirSync(dir, { recursive: true, mode: 0o700 });
    }
    const caches = this.#parts.store.caches();
    await this.#parts.ports.adopt([
      ...[...this.#parts.store.nodes(), ...this.#parts.store.warm.all()].flatMap((node) => [
        node.port,
        node.busPort,
      ]),
      ...caches.flatMap((cache) => [cache.port, cache.readerPort]),
    ]);
    await this.#parts.fleet.adopt();
    for (const cache of caches) this.#formAnewIfGone(cache);
    const renew = () =>
      this.#parts.topology
        .ensureCertificate(this.#parts.store.caches().map(({ spec }) => spec))
        .catch((error: unknown) =>
          this.#options.log.error({ err: error }, 'the development certificate cannot be renewed'),
        );
    await renew();
    this.#renewal = setInterval(() => void renew(), RENEWAL_MS);
    this.#renewal.unref();
    await this.#parts.proxies.start();
    this.#parts.journal.event(null, 'daemon-started', `the daemon runs as process ${process.pid}`);
    // What heals comes first; what makes more nodes goes to the pool for them.
    for (const { id } of caches) if (this.#parts.store.cache(id)?.formed) this.#lookAtShards(id);
    await this.#shardsLookedAt(caches);
    await this.#parts.pool.adopt();
    for (const { id } of caches) {
      this.#parts.lanes.lookAtCache(id);
      this.#parts.lanes.lookAtReplacement(id);
    }
    this.#parts.functions.start();
    this.#parts.disk.start();
    this.#parts.heat.start();
    this.#parts.autoscaler.start();
    this.#parts.hostAdmin.start();
  }

  /** The shards of these caches, once; no longer than one that has nothing to heal may take. */
  async #shardsLookedAt(caches: readonly CacheRecord[]): Promise<void> {
    const { lanes, store } = this.#parts;
    const looks = caches.map(({ id }) => lanes.shardsIdle(id, store.shards.of(id)));
    await Promise.race([Promise.all(looks), delay(FIRST_LOOK_MS, null, { ref: false })]);
  }

  /**
   * None of its nodes is left (after `down`, or a restart of the machine): there is no data and nobody to join. Shards that
   * heal one by one would each wait for peers that are not there; the cache is formed as a new one is.
   */
  #formAnewIfGone(cache: CacheRecord): void {
    if (!cache.formed || (cache.state !== 'available' && cache.state !== 'modifying')) return;
    if (this.#parts.store.nodes(cache.id).some((node) => this.#parts.fleet.isAlive(node.id)))
      return;
    this.#parts.store.updateCache(cache.id, { formed: false, state: 'modifying' });
  }

  /** Ends this daemon's part alone: nodes and proxies go on. */
  async leave(): Promise<void> {
    this.#stopping = true;
    clearInterval(this.#renewal);
    this.#parts.functions.stop();
    this.#parts.disk.stop();
    this.#parts.heat.stop();
    await this.#parts.autoscaler.stop();
    await this.#parts.jobs.stop();
    this.#parts.proxies.detach();
    this.#parts.fleet.detach();
    await this.#parts.lanes.stop();
    await this.#parts.pool.leave();
    await this.#parts.proxies.close();
    this.#parts.ports.close();
    this.#parts.store.close();
  }

  /** Ends everything in order: proxies let their replies out, then the nodes. `leave` is to follow. */
  async shutDown(report: Report): Promise<void> {
    this.#stopping = true;
    await this.#parts.autoscaler.stop();
    await this.#parts.jobs.stop();
    await this.#parts.lanes.stop();
    report({ type: 'progress', step: 'Draining proxies', fraction: 0.1 });
    await this.#parts.proxies.stop();
    report({ type: 'progress', step: 'Stopping nodes', fraction: 0.5 });
    await this.#parts.pool.empty();
    await Promise.all(
      this.#parts.store.nodes().map(async (node) => {
        await this.#parts.fleet.stop(node.id, NODE_STOP_GRACE_MS);
        this.#parts.store.updateNode(node.id, { stopped: true });
      }),
    );
    report({ type: 'progress', step: 'Stopping the daemon', fraction: 0.95 });
  }

  // Caches

  caches(): CacheStatus[] {
    return this.#parts.store.caches().map((cache) => this.#status(cache));
  }

  /** @throws ControlError ServerlessCacheNotFoundFault */
  cache(name: string): CacheStatus {
    return this.#status(this.#parts.lookup.find(name));
  }

  /**
   * Makes a cache; resolves when it serves. It is made also when whoever asked goes away.
   *
   * @param input a CacheSpecInput, unchecked
   * @throws ControlError; EngineError when the engine is missing
   */
  async createCache(input: unknown, report: Report): Promise<CacheStatus> {
    return this.cache(await this.#parts.admin.create(input, report));
  }

  /** Changes what is asked of a cache. @param input a CacheChange, unchecked @throws ControlError */
  async modifyCache(name: string, input: unknown): Promise<CacheStatus> {
    await this.#parts.admin.modify(name, input);
    return this.cache(name);
  }

  /** Why a cache has the shape that it has. @throws ControlError ServerlessCacheNotFoundFault */
  explain(name: string): CapacityReport {
    const cache = this.#parts.lookup.find(name);
    return capacityReport(cache, {
      store: this.#parts.store,
      jobs: this.#parts.jobs,
      explanations: this.#parts.autoscaler.explanations(cache.id),
      pool: this.#parts.pool.status(),
    });
  }

  /** Deletes a cache with its data; resolves when nothing of it is left. */
  deleteCache(name: string, report: Report): Promise<void> {
    return this.#parts.admin.delete(name, report);
  }

  /** Makes the best replica of a shard its primary, losing nothing; resolves when it is. @throws ControlError */
  async failover(name: string, shard: number, report: Report): Promise<CacheStatus> {
    await this.#parts.admin.failover(name, shard, report);
    return this.cache(name);
  }

  /** Replaces every node by one of another engine line; resolves when all are. @throws ControlError, EngineError */
  async upgrade(name: string, change: UpgradeRequest, report: Report): Promise<CacheStatus> {
    await this.#parts.replacements.upgrade(
      name,
      change.engineVersion,
      change.parallelShards,
      report,
    );
    return this.cache(name);
  }

  /** Replaces one node by a new one; resolves when it is. @throws ControlError */
  async replaceNode(name: string, nodeId: string, report: Report): Promise<CacheStatus> {
    await this.#parts.replacements.replace(name, nodeId, report);
    return this.cache(name);
  }

  /** Replaces all nodes, shard by shard; resolves when all are. @throws ControlError */
  async restart(name: string, parallelShards: number, report: Report): Promise<CacheStatus> {
    await this.#parts.replacements.restart(name, parallelShards, report);
    return this.cache(name);
  }

  // Hosts

  hosts(): Promise<HostStatus[]> {
    return this.#parts.hostAdmin.list();
  }

  /** Puts nodes on other hosts in the places of a host's own; resolves when it has none. @throws ControlError */
  drainHost(hostId: string, report: Report): Promise<void> {
    return this.#parts.hostAdmin.drain(hostId, report);
  }

  /** Has a host take nodes again. @throws ControlError */
  undrainHost(hostId: string): Promise<HostStatus> {
    return this.#parts.hostAdmin.undrain(hostId);
  }

  /** Takes the nodes of a lost host as dead; resolves when others are in their places. @throws ControlError */
  removeHost(hostId: string, dead: boolean, report: Report): Promise<void> {
    return this.#parts.hostAdmin.remove(hostId, dead, report);
  }

  // Users

  users(cacheName: string): UserStatus[] {
    return this.#parts.users.list(this.#parts.lookup.find(cacheName));
  }

  putUser(cacheName: string, name: string, change: UserChange): Promise<UserStatus> {
    return this.#parts.users.put(this.#parts.lookup.available(cacheName), name, change);
  }

  removeUser(cacheName: string, name: string): Promise<void> {
    return this.#parts.users.remove(this.#parts.lookup.available(cacheName), name);
  }

  // Engines, proxies, events

  engines(): Promise<EngineStatus[]> {
    return this.#parts.engines.list();
  }

  installEngine(line: string, report: Report): Promise<void> {
    return this.#parts.engines.install(line, report);
  }

  removeEngine(line: string): Promise<void> {
    return this.#parts.engines.remove(line);
  }

  proxies(): ProxyStatus[] {
    return this.#parts.proxies.status();
  }

  /** What a node said last; null while it does not answer. */
  observation(nodeId: string): NodeObservation | null {
    return this.#parts.fleet.observation(nodeId);
  }

  /** Where the load of a cache is; null before the first second. @throws ControlError */
  heat(name: string): CacheHeat | null {
    return this.#parts.heat.heat(this.#parts.lookup.find(name).id);
  }

  get usage(): UsageBoard {
    return this.#parts.proxies.usage;
  }

  /** Newest first; of a cache that is no more, too. */
  events(cacheName: string | null, limit: number, afterId: number): EventRecord[] {
    return this.#parts.store.events.latest(cacheName, limit, afterId);
  }

  // Inside

  #lookAtShards(cacheId: string): void {
    this.#parts.lanes.lookAtShards(cacheId, this.#parts.store.shards.of(cacheId));
  }

  #status(cache: CacheRecord): CacheStatus {
    return cacheStatus(cache, this.#parts.store, this.#parts.fleet, this.#parts.proxies.usage);
  }
}
