/**
 * The part of the control plane that keeps a cache's nodes alive, without daemon and proxies: real store, nodes,
 * lanes and steps, in a directory of its own. What it began may be gone on with by another one on the same directory, in
 * this process or in another, as one daemon goes on after another. An in-process proxy serves the cache where asked.
 */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { admitCache, checkSpec } from '../../src/control/admit-cache.ts';
import { executeStep } from '../../src/control/execute-step.ts';
import { Fleet } from '../../src/control/fleet.ts';
import { Hosts } from '../../src/control/hosts.ts';
import { Journal } from '../../src/control/journal.ts';
import { Lanes } from '../../src/control/lanes.ts';
import { PlaneLinkServer } from '../../src/control/plane-link-server.ts';
import { NodeNews } from '../../src/control/node-news.ts';
import { parseClusterNodes } from '../../src/control/node-observation.ts';
import { Ports } from '../../src/control/ports.ts';
import { servingBoard } from '../../src/control/serving-board.ts';
import { ShardKeeper } from '../../src/control/shard-keeper.ts';
import type { Step } from '../../src/control/step.ts';
import type { StepContext } from '../../src/control/step-context.ts';
import { primaryOf, type ShardPrimary } from '../../src/control/steps/move-ends.ts';
import { Store } from '../../src/control/store.ts';
import type { CacheRecord, NodeRecord } from '../../src/control/store-records.ts';
import { TopologySource } from '../../src/control/topology-source.ts';
import { WarmPool } from '../../src/control/warm-pool.ts';
import { findEngine, installEngine } from '../../src/engine/catalogue.ts';
import type { Host } from '../../src/engine/host.ts';
import { LocalHost } from '../../src/engine/local-host.ts';
import { dataDirPaths } from '../../src/model/data-dir.ts';
import type { EngineLine } from '../../src/model/cache-spec.ts';
import type { Proxy } from '../../src/proxy/proxy.ts';
import { CONTROL_SOCKET, startInProcessProxy } from './in-process-proxy.ts';
import { RawClient, type RawClientOptions } from './raw-client.ts';
import { until } from './until.ts';

export interface SmallPlaneOptions {
  /** Default true. False: one shard, and no test that asks nodes for their slots. */
  readonly sharding?: boolean;
  readonly shards?: number;
  readonly replicas?: number;
  /** Of each shard's nodes; the last one goes for the shards after it. */
  readonly lines?: readonly EngineLine[];
  /** Memory of the whole cache. */
  readonly memoryBytes?: number;
  /** Whether a proxy of this process serves it. */
  readonly proxy?: boolean;
}

export class SmallPlane {
  readonly root: string;
  readonly store: Store;
  readonly fleet: Fleet;
  readonly events: string[] = [];
  /** What steps reported of themselves. */
  readonly progress: [number, string][] = [];
  readonly #lanes: Lanes;
  readonly #hosts: Hosts;
  readonly #pool: WarmPool;
  readonly #ports = new Ports();
  readonly #log = pino({ level: process.env['SPRINGTIDE_TEST_LOG'] ?? 'silent' });
  readonly #ownsRoot: boolean;
  #proxy: Proxy | null = null;
  /** The end of the link that a proxy keeps to its control plane. */
  #link: PlaneLinkServer | null = null;
  readonly #topology: TopologySource;
  #stopping = false;

  private constructor(root: string, ownsRoot: boolean) {
    this.root = root;
    this.#ownsRoot = ownsRoot;
    const paths = dataDirPaths(root);
    mkdirSync(paths.nodes, { recursive: true });
    this.store = new Store(paths.stateFile);
    const journal = new Journal(this.store.events, this.#log);
    const keeper = new ShardKeeper({
      store: this.store,
      get fleet() {
        return fleet;
      },
      context: (_, signal) => this.context(signal),
      onOldRules: () => undefined,
    });
    this.#lanes = new Lanes(
      {
        cache: () => Promise.resolve({}),
        shard: (cacheId, shard, lane, signal) => keeper.run(cacheId, shard, lane, signal),
        replacement: () => Promise.resolve({}),
        host: () => Promise.resolve({}),
      },
      this.#log,
    );
    const news = new NodeNews({
      store: this.store,
      lanes: this.#lanes,
      journal,
      isStopping: () => this.#stopping,
    });
    const host = new LocalHost({ dataDir: root, findEngine: (version) => findEngine(version, {}) });
    this.#hosts = new Hosts([host], news, this.#log);
    const fleet = new Fleet(this.#hosts, this.store, paths.nodes, news, this.#log);
    this.fleet = fleet;
    this.#topology = new TopologySource(this.store, root, (node) => fleet.address(node));
    this.#pool = new WarmPool({
      store: this.store,
      hosts: this.#hosts,
      ports: this.#ports,
      log: this.#log,
      journal,
    });
  }

  /** A new cache, formed and healthy. */
  static async create(options: SmallPlaneOptions = {}): Promise<SmallPlane> {
    const plane = new SmallPlane(mkdtempSync(join(tmpdir(), 'springtide-plane-')), true);
    try {
      await plane.fleet.adopt();
      await plane.#form(options);
      plane.#watch();
      if (options.proxy) await plane.#serve();
      return plane;
    } catch (error) {
      await plane.destroy();
      throw error;
    }
  }

  /** One that takes up what another left in the directory. */
  static async open(root: string): Promise<SmallPlane> {
    const plane = new SmallPlane(root, false);
    await plane.fleet.adopt();
    plane.#watch();
    return plane;
  }

  get cache(): CacheRecord {
    return this.store.caches()[0]!;
  }

  context(signal: AbortSignal = new AbortController().signal): StepContext {
    return {
      cache: this.cache,
      store: this.store,
      fleet: this.fleet,
      ports: this.#ports,
      pool: this.#pool,
      log: this.#log,
      signal,
      event: (kind) => void this.events.push(kind),
      progress: (fraction, detail) => void this.progress.push([fraction, detail]),
      refresh: () => this.#link?.refresh('test'),
      publish: () => this.#publish(),
      left: (timeoutMs) => this.#left(timeoutMs),
      lookAtShard: (shard) => this.#lanes.lookAtShard(this.cache.id, shard),
      drainShard: (shard) => this.#lanes.drainShard(this.cache.id, shard),
    };
  }

  /** Runs a step as a lane would, recorded. */
  run(step: Step, signal?: AbortSignal): Promise<void> {
    return executeStep(this.context(signal), 'test', { step, reason: 'a test' });
  }

  move(from: number, to: number, first: number, last: number, signal?: AbortSignal): Promise<void> {
    return this.run({ kind: 'move-slots', from, to, ranges: [{ first, last }] }, signal);
  }

  connect(options: RawClientOptions = {}): Promise<RawClient> {
    return RawClient.connect(this.cache.port, options);
  }

  async primary(shard: number): Promise<ShardPrimary> {
    let found: ShardPrimary | null = null;
    await until(async () => (found = await primaryOf(this.context(), shard)) !== null);
    return found!;
  }

  /** SIGKILL, and nobody is told but by its end. */
  kill(nodeId: string): void {
    process.kill(this.fleet.pid(nodeId)!, 'SIGKILL');
  }

  /** Every node runs; sharded: all agree about every slot, and none is on its way. */
  async settled(): Promise<void> {
    await until(async () => {
      const nodes = this.store.nodes();
      const states = nodes.map(({ id, role }) => this.fleet.state(id, role));
      if (states.some((state) => state !== 'online')) return false;
      if (!this.cache.spec.sharding) return true;
      const views = await this.views(nodes);
      if (views.some((view) => view === null)) return false;
      const pictures = views.map((view) =>
        view!
          .filter(({ slots }) => slots > 0)
          .map(({ id, slotRanges }) => `${id} ${JSON.stringify(slotRanges)}`)
          .sort()
          .join('\n'),
      );
      const covered = views[0]!.reduce((sum, { slots }) => sum + slots, 0);
      const marks = views.flatMap((view) => view!.flatMap((peer) => peer.marks));
      return new Set(pictures).size === 1 && covered === 16_384 && marks.length === 0;
    });
  }

  views(nodes: readonly NodeRecord[] = this.store.nodes()) {
    return Promise.all(
      nodes.map(async ({ id }) => {
        const text = await this.fleet.call(id, ['CLUSTER', 'NODES']).catch(() => null);
        return text === null ? null : parseClusterNodes(String(text));
      }),
    );
  }

  /** The shard that owns a slot by its primary's own word. */
  async shardOf(slot: number): Promise<number | undefined> {
    for (const shard of new Set(this.store.nodes().map((node) => node.shard))) {
      const { myself } = await this.primary(shard);
      if (myself.slotRanges.some(({ first, last }) => first <= slot && slot <= last)) return shard;
    }
    return undefined;
  }

  /** Nobody looks after the nodes any more: they are a test's alone. */
  async rest(): Promise<void> {
    await this.#lanes.stop();
  }

  /** This one goes, the nodes stay. */
  async leave(): Promise<void> {
    this.#stopping = true;
    await this.#serveNoMore();
    await this.#lanes.stop();
    this.fleet.detach();
    this.#ports.close();
    this.store.close();
  }

  /** The nodes go too, and all that they wrote. */
  async destroy(): Promise<void> {
    this.#stopping = true;
    await this.#serveNoMore();
    await this.#lanes.stop();
    await Promise.all(this.store.nodes().map(({ id }) => this.fleet.stop(id, 0)));
    await this.leave();
    if (this.#ownsRoot) rmSync(this.root, { recursive: true, force: true });
  }

  async #form(options: SmallPlaneOptions): Promise<void> {
    const { lines = ['9.1'], sharding = true, replicas = 0 } = options;
    const { shards = sharding ? 2 : 1 } = options;
    await Promise.all([...new Set(lines)].map((line) => installEngine(line)));
    const spec = checkSpec({
      name: 'test',
      sharding,
      ...(sharding ? { shards } : {}),
      replicas,
      engineVersion: lines[0],
      ...(options.memoryBytes === undefined
        ? {}
        : { limits: { memoryMaximumBytes: options.memoryBytes } }),
    });
    const place = () => {
      const [{ id: hostId, address }] = this.#hosts.all as [Host];
      return { hostId, address };
    };
    const admitted = await admitCache(spec, this.#ports, place, Date.now());
    this.store.transaction(() => {
      this.store.insertCache(admitted.cache);
      for (const shard of admitted.shards) this.store.shards.insert(shard);
      for (const node of admitted.nodes)
        this.store.insertNode({ ...node, engineLine: lines[node.shard] ?? lines.at(-1)! });
      for (const user of admitted.users) this.store.putUser(admitted.cache.id, user);
    });
    const start = ({ id }: NodeRecord) =>
      this.run({ kind: 'start-node', nodeId: id, identity: 'kept', replicaOf: null });
    await Promise.all(this.store.nodes().map(start));
    await this.run({ kind: sharding ? 'form-cluster' : 'form-replication' });
    this.store.updateCache(this.cache.id, { state: 'available' });
  }

  #watch(): void {
    for (const shard of new Set(this.store.nodes().map((node) => node.shard)))
      this.#lanes.lookAtShard(this.cache.id, shard);
  }

  async #serve(): Promise<void> {
    this.#topology.renew();
    this.#link = new PlaneLinkServer(
      join(this.root, CONTROL_SOCKET),
      {
        topology: () => this.#topology.current,
        onUsage: () => undefined,
        onHeat: () => undefined,
        onServing: () => undefined,
        onNodeLost: () => undefined,
        onUnlinked: () => undefined,
      },
      this.#log,
    );
    await this.#link.listen();
    const [cache] = this.#topology.current.caches;
    this.#proxy = await startInProcessProxy(this.root, cache!, { index: 0, proxies: 1 });
  }

  async #serveNoMore(): Promise<void> {
    await this.#proxy?.drain(0);
    this.#proxy = null;
    await this.#link?.close();
    this.#link = null;
  }

  #publish(): void {
    this.#topology.renew();
    this.#link?.publish();
  }

  #left(timeoutMs: number): Promise<boolean> {
    const board = servingBoard(
      () => (this.#proxy === null ? [] : [0]),
      () => this.#link?.proxies() ?? [],
      () => this.#topology.current.version,
    );
    return board.left(this.cache.name, timeoutMs);
  }
}
