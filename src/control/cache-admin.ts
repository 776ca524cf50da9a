/** What users ask for caches: make, delete, fail over. Checks, writes down, and leaves the doing to the lanes. */
import { admitCache, checkSpec } from './admit-cache.ts';
import { changedSpec, changeWords } from './changed-spec.ts';
import type { CacheLookup } from './cache-lookup.ts';
import { ControlError } from './control-error.ts';
import { requireSpace } from './disk-space.ts';
import type { Engines } from './engines.ts';
import type { Fleet } from './fleet.ts';
import { shardLane, type Lanes } from './lanes.ts';
import type { OperationWaiters, Report } from './operation-waiters.ts';
import type { Ports } from './ports.ts';
import type { ShardKeeper } from './shard-keeper.ts';
import type { Store } from './store.ts';
import type { TopologySource } from './topology-source.ts';

export interface CacheAdminDependencies {
  readonly dataDir: string;
  readonly caches: CacheLookup;
  readonly store: Store;
  readonly fleet: Fleet;
  readonly ports: Ports;
  readonly engines: Engines;
  readonly lanes: Lanes;
  readonly shards: ShardKeeper;
  readonly topology: TopologySource;
  readonly waiters: OperationWaiters;
  event(cache: string, kind: string, message: string): void;
  /** What is asked of a cache is something else now. */
  onChanged(): void;
}

export class CacheAdmin {
  readonly #deps: CacheAdminDependencies;
  /** One admission at a time: two must not choose the same name or port. */
  #admission: Promise<unknown> = Promise.resolve();

  constructor(deps: CacheAdminDependencies) {
    this.#deps = deps;
  }

  /**
   * Makes a cache; resolves when it serves. It is made also when whoever asked goes away.
   *
   * @param input a CacheSpecInput, unchecked
   * @returns its name
   * @throws ControlError; EngineError when the engine is missing
   */
  async create(input: unknown, report: Report): Promise<string> {
    const { caches, engines, lanes, ports, store, topology, waiters } = this.#deps;
    caches.refuseWhileStopping();
    const spec = checkSpec(input);
    requireSpace(this.#deps.dataDir);
    const admission = this.#admission.then(async () => {
      const engine = await engines.find(spec.engineVersion);
      const other = store.cacheByName(spec.name);
      if (other !== undefined && other.state !== 'create-failed') {
        throw new ControlError(
          'ServerlessCacheAlreadyExistsFault',
          `a cache named ${spec.name} already exists (${other.state})`,
        );
      }
      // One that never came to be does not stand in the way of the next try.
      if (other !== undefined) await this.delete(other.name, () => undefined);
      await topology.ensureCertificate([spec]);
      const { hosts } = this.#deps.fleet;
      const admitted = await admitCache(
        spec,
        ports,
        (role, shardHosts, planned) => {
          const hostId = hosts.place(store, role, shardHosts, planned);
          return { hostId, address: hosts.address(hostId) };
        },
        Date.now(),
      );
      const cache = { ...admitted.cache, engineFullVersion: engine.version };
      try {
        store.durable(() => {
          store.insertCache(cache);
          for (const shard of admitted.shards) store.shards.insert(shard);
          for (const node of admitted.nodes) store.insertNode(node);
          for (const user of admitted.users) store.putUser(cache.id, user);
        });
      } catch (error) {
        ports.release(admitted.nodes.flatMap((node) => [node.port, node.busPort]));
        ports.release([cache.port, cache.readerPort]);
        throw error;
      }
      return cache;
    });
    this.#admission = admission.catch(() => undefined);
    const cache = await admission;
    const done = waiters.wait(cache.id, report);
    lanes.lookAtCache(cache.id);
    await done;
    return spec.name;
  }

  /**
   * Changes what is asked of a cache that runs. Limits hold at once; what the cache must become for them follows by itself.
   *
   * @param input a CacheChange, unchecked
   * @throws ControlError InvalidParameterValue, InvalidParameterCombination; nothing is changed then
   */
  async modify(name: string, input: unknown): Promise<void> {
    const { caches, fleet, store } = this.#deps;
    const cache = caches.available(name);
    const spec = changedSpec(cache.spec, input);
    const before = cache.spec.limits.memoryMaximumBytes;
    const maximum = spec.limits.memoryMaximumBytes;
    const stored = store
      .nodes(cache.id)
      .filter(({ role }) => role === 'primary')
      .reduce((sum, { id }) => sum + (fleet.observation(id)?.datasetBytes ?? 0), 0);
    if (maximum !== 0 && (before === 0 || maximum < before) && stored > maximum) {
      // AWS's words (reference section 1).
      const message = `A limit update to the cache ${cache.name} failed because current cached data exceeds new limits. Please flush some data before applying the limits.`;
      this.#deps.event(cache.name, 'cache-update-failed', message);
      throw new ControlError('InvalidParameterValue', message);
    }
    const changes = changeWords(cache.spec, spec);
    if (changes === '') return;
    store.durable(() => {
      store.updateCache(cache.id, { spec });
      // How many copies a shard is meant to have: who replaces its nodes goes by that.
      for (const { shard } of store.shards.of(cache.id))
        store.shards.update(cache.id, shard, { replicas: spec.replicas });
      this.#deps.event(
        cache.name,
        'cache-updated',
        `Limits updated for the cache ${cache.name}: ${changes}.`,
      );
    });
    this.#deps.onChanged();
  }

  /** Deletes a cache with its data; resolves when nothing of it is left. */
  async delete(name: string, report: Report): Promise<void> {
    const { caches, lanes, store, waiters } = this.#deps;
    caches.refuseWhileStopping();
    const cache = caches.find(name);
    // On a full disk this is what makes room; a cache that a power cut brings back then is an empty one.
    store.durableIfPossible(() => store.updateCache(cache.id, { state: 'deleting', reason: null }));
    if (cache.state === 'creating' || cache.state === 'modifying') {
      waiters.settled(
        cache.id,
        new ControlError('InvalidServerlessCacheStateFault', `cache ${name} is being deleted`),
      );
    }
    const done = waiters.wait(cache.id, report);
    lanes.lookAtCache(cache.id, { interrupt: cache.state === 'creating' });
    await done;
  }

  /**
   * Makes the best replica of a shard its primary, losing nothing; resolves when it is.
   *
   * @throws ControlError InvalidParameterValue for a shard that is not there, InvalidParameterCombination for one without
   *   a live replica, InvalidServerlessCacheStateFault while the cache is not available
   */
  async failover(name: string, shard: number, report: Report): Promise<void> {
    const { caches, fleet, lanes, shards, store } = this.#deps;
    const cache = caches.available(name);
    const nodes = store.nodes(cache.id).filter((node) => node.shard === shard && !node.leaving);
    const primary = nodes.find((node) => node.role === 'primary');
    if (primary === undefined) {
      throw new ControlError(
        'InvalidParameterValue',
        `cache ${name} has no shard ${shard}: its shards are ${store.shards
          .of(cache.id)
          .map((one) => one.shard)
          .join(', ')}`,
      );
    }
    const offset = (id: string) => fleet.observation(id)?.offset ?? -1;
    const [best] = nodes
      .filter((node) => node.role === 'replica' && fleet.state(node.id, node.role) === 'online')
      .sort((a, b) => offset(b.id) - offset(a.id));
    if (best === undefined) {
      throw new ControlError(
        'InvalidParameterCombination',
        `shard ${shard} of cache ${name} has no replica that is online`,
      );
    }
    report({ type: 'progress', step: `Moving shard ${shard} to ${best.id}`, fraction: 0.2 });
    const done = shards.request(shardLane(cache.id, shard), {
      step: { kind: 'planned-failover', nodeId: best.id, primaryId: primary.id },
      reason: `a failover of shard ${shard} was asked for`,
    });
    lanes.lookAtShard(cache.id, shard);
    await done;
  }
}
