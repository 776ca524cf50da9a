/**
 * What the control plane of one data directory is made of, put together: the only place that knows who is given whom.
 *
 *   API -> ControlPlane -> CacheAdmin, UserAdmin, ReplacementAdmin -> Store (intent)
 *                       -> Lanes -> CacheLifecycle, ShardKeeper, NodeReplacement -> policies -> steps -> Fleet -> nodes
 *                       -> HostAdmin -> Lanes -> HostDrain -> ReplacementAdmin
 *                       -> Autoscaler -> planCapacity -> JobBoard -> steps
 *                       -> ProxyFleet -> proxies -> HeatBoard
 *   nodes, proxies -> NodeNews -> Lanes
 */
import type { Logger } from 'pino';
import type { Host } from '../engine/host.ts';
import type { DataDirPaths } from '../model/data-dir.ts';
import { Autoscaler } from './autoscaler.ts';
import { CacheAdmin } from './cache-admin.ts';
import { CacheLifecycle } from './cache-lifecycle.ts';
import { CacheLookup } from './cache-lookup.ts';
import { DiskWatch } from './disk-watch.ts';
import { Engines, type EnginesOptions } from './engines.ts';
import { Fleet } from './fleet.ts';
import { FunctionKeeper } from './function-keeper.ts';
import { HeatBoard } from './heat-board.ts';
import { HostAdmin } from './host-admin.ts';
import { HostDrain } from './host-drain.ts';
import { Hosts } from './hosts.ts';
import { JobBoard } from './job-board.ts';
import { Journal, logStateSaved } from './journal.ts';
import { Lanes, shardLane } from './lanes.ts';
import { NodeNews } from './node-news.ts';
import { NodeReplacement } from './node-replacement.ts';
import { DEFAULT_PLANNER_PARAMS, type PlannerParams } from './policies/planner-params.ts';
import { OperationWaiters } from './operation-waiters.ts';
import { Ports } from './ports.ts';
import { ProxyFleet } from './proxy-fleet.ts';
import { ReplacementAdmin } from './replacement-admin.ts';
import { ShardKeeper } from './shard-keeper.ts';
import type { StepContext } from './step-context.ts';
import { Store } from './store.ts';
import type { CacheRecord } from './store-records.ts';
import { TopologySource } from './topology-source.ts';
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
  /** Those of the planner's that are not to be its own. */
  readonly plannerParams?: Partial<PlannerParams>;
  readonly log: Logger;
}

/** A proxy that has not taken a change of users by then hangs, or is being restarted, and will have it from its start. */
const USERS_SETTLED_MS = 1_000;

export type ControlParts = ReturnType<typeof controlParts>;

/**
 * Opens the state; starts nothing yet. The data directory's lock must be held.
 *
 * @param isStopping whether this daemon is on its way out: nothing new is begun then
 */
export function controlParts(options: ControlPlaneOptions, isStopping: () => boolean) {
  const { paths, log } = options;
  const ports = new Ports();
  const waiters = new OperationWaiters();
  const context = (cache: CacheRecord, signal: AbortSignal): StepContext => ({
    cache,
    store,
    fleet,
    ports,
    pool,
    log,
    signal,
    event: (kind, message) => journal.event(cache.name, kind, message),
    refresh: () => proxies.refresh(cache.name),
    publish: () => proxies.publish(),
    left: (timeoutMs) => proxies.board.left(cache.name, timeoutMs),
    lookAtShard: (shard) => lanes.lookAtShard(cache.id, shard),
    drainShard: async (shard) => {
      await lanes.drainShard(cache.id, shard);
      shards.forget(shardLane(cache.id, shard));
    },
  });
  const store = new Store(paths.stateFile, logStateSaved(log));
  const journal = new Journal(store.events, log);
  const lookup = new CacheLookup(store, isStopping);
  const engines = new Engines(options.engines, store);
  const lanes = new Lanes(
    {
      cache: (cacheId, lane, signal) => lifecycle.run(cacheId, lane, signal),
      shard: (cacheId, shard, lane, signal) => shards.run(cacheId, shard, lane, signal),
      replacement: (cacheId, lane, signal) => replacement.run(cacheId, lane, signal),
      host: (hostId) => drain.run(hostId),
    },
    log,
  );
  const news = new NodeNews({
    store,
    lanes,
    journal,
    isStopping,
  });
  const hosts = new Hosts(options.hosts, news, log);
  const topology = new TopologySource(store, paths.tls, ({ hostId }) => hosts.address(hostId));
  const fleet = new Fleet(hosts, store, paths.nodes, news, log);
  const pool = new WarmPool({ store, hosts, ports, log, journal });
  const jobs = new JobBoard({
    store,
    journal,
    context,
    onEnd: () => autoscaler.plan(),
  });
  const disk = new DiskWatch({
    dataDir: paths.root,
    event: (kind, message) => journal.event(null, kind, message),
  });
  const functions = new FunctionKeeper(store, fleet, log);
  const proxies = new ProxyFleet(
    { paths, proxies: options.proxies, scriptPath: options.proxyScriptPath },
    {
      store,
      topology,
      journal,
      log,
      onHeat: (proxy, pid, report) => heat.report(proxy, pid, report),
      onNodeLost: (cache, nodeId) => news.onReportedLost(cache, nodeId),
    },
  );
  const heat = new HeatBoard({
    store,
    fleet: {
      observation: (nodeId) => fleet.observation(nodeId),
      call: (...call) => fleet.call(...call),
    },
    watchSlots: (cache, slots) => proxies.watchSlots(cache, slots),
  });
  const autoscaler = new Autoscaler({
    store,
    fleet,
    pool,
    jobs,
    journal,
    log,
    heat: (cacheId) => heat.heat(cacheId),
    hosts: () => hosts.capacities(store),
    watchSlots: (cache, slots) => heat.watchSlots(cache, slots),
    params: { ...DEFAULT_PLANNER_PARAMS, ...options.plannerParams },
  });
  const shards = new ShardKeeper({
    store,
    fleet,
    context,
    onOldRules: (cache) => lanes.lookAtCache(cache.id, { patient: true }),
  });
  const replacement = new NodeReplacement({
    store,
    fleet,
    observer: waiters,
    context,
    isOccupied: (cacheId, shard) => jobs.isOccupied(cacheId, shard),
    inShardLane: (cacheId, shard, planned) => {
      const done = shards.request(shardLane(cacheId, shard), planned);
      lanes.lookAtShard(cacheId, shard);
      return done;
    },
  });
  const replacements = new ReplacementAdmin({
    caches: lookup,
    store,
    fleet,
    engines,
    lanes,
    journal,
    waiters,
    publish: () => proxies.publish(),
  });
  const drain = new HostDrain({
    store,
    fleet,
    ports,
    lanes,
    journal,
    waiters,
    leaveHost: (cacheName, hostId) => replacements.leaveHost(cacheName, hostId),
    publish: () => proxies.publish(),
  });
  const hostAdmin = new HostAdmin({ caches: lookup, store, fleet, lanes, journal, waiters });
  const lifecycle = new CacheLifecycle({
    store,
    fleet,
    ports,
    log,
    context,
    observer: waiters,
    proxies: proxies.board,
    onFormed: (cache) => lanes.lookAtShards(cache.id, store.shards.of(cache.id)),
    drainShards: async (cacheId) => {
      await lanes.drainShards(cacheId);
      for (const { shard } of store.shards.of(cacheId)) shards.forget(shardLane(cacheId, shard));
    },
    cancelJobs: (cacheId) => jobs.cancel(cacheId),
    onDeleted: (cache) => {
      proxies.usage.forget(cache.name);
      autoscaler.forget(cache.id);
      jobs.forget(cache.id);
    },
  });
  const users = new UserAdmin({
    store,
    fleet,
    publish: async (cache) => {
      proxies.publish();
      await proxies.board.settled(cache.name, USERS_SETTLED_MS);
    },
    syncNodes: (cache) => lanes.settleCache(cache.id),
    event: (cache, kind, message) => journal.event(cache.name, kind, message),
  });
  const admin = new CacheAdmin({
    dataDir: paths.root,
    caches: lookup,
    store,
    fleet,
    ports,
    engines,
    lanes,
    shards,
    topology,
    waiters,
    event: (cache, kind, message) => journal.event(cache, kind, message),
    onChanged: () => {
      proxies.publish();
      autoscaler.plan();
    },
  });
  return {
    admin,
    autoscaler,
    disk,
    engines,
    fleet,
    functions,
    heat,
    hostAdmin,
    jobs,
    journal,
    lanes,
    lookup,
    pool,
    ports,
    proxies,
    replacements,
    store,
    topology,
    users,
  };
}
