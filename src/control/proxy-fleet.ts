/**
 * The proxies as the control plane has them: processes that are kept running, the link on which they are sent the topology
 * and say what they serve, and what they have counted. They need none of it to serve.
 */
import type { Logger } from 'pino';
import type { ProxyStatus } from '../model/admin-api.ts';
import type { DataDirPaths } from '../model/data-dir.ts';
import type { SlotHeatReport } from '../model/heat.ts';
import type { Journal } from './journal.ts';
import { LimitDivider } from './limit-divider.ts';
import { PlaneLinkServer } from './plane-link-server.ts';
import { ProxySupervisor } from './proxy-supervisor.ts';
import { servingBoard, type ServingBoard } from './serving-board.ts';
import type { Store } from './store.ts';
import type { TopologySource } from './topology-source.ts';
import { UsageBoard } from './usage-board.ts';

export interface ProxyFleetOptions {
  readonly paths: DataDirPaths;
  /** Number of processes. */
  readonly proxies: number;
  readonly scriptPath: string;
}

export interface ProxyFleetDependencies {
  readonly store: Store;
  readonly topology: TopologySource;
  readonly journal: Journal;
  readonly log: Logger;
  /** What a proxy counted by slot. */
  onHeat(proxy: number, pid: number, report: SlotHeatReport): void;
  /** A proxy has lost a node. */
  onNodeLost(cacheName: string, nodeId: string): void;
}

const DRAIN_MS = 3_000;

export class ProxyFleet {
  readonly usage = new UsageBoard();
  /** Whether they serve what was published last. */
  readonly board: ServingBoard;
  readonly #deps: ProxyFleetDependencies;
  readonly #link: PlaneLinkServer;
  readonly #supervisor: ProxySupervisor;
  readonly #divider: LimitDivider;

  constructor(options: ProxyFleetOptions, deps: ProxyFleetDependencies) {
    const { paths, proxies, scriptPath } = options;
    const { topology, journal, log } = deps;
    this.#deps = deps;
    this.#link = new PlaneLinkServer(
      paths.controlSocket,
      {
        topology: () => topology.current,
        onUsage: (usage) => this.usage.report(usage),
        onHeat: ({ index, pid }, report) => deps.onHeat(index, pid, report),
        onServing: ({ failures }) => this.#keepFailures(failures),
        onNodeLost: (cache, nodeId) => deps.onNodeLost(cache, nodeId),
        onUnlinked: () => this.#supervisor.check(),
      },
      log,
    );
    this.#supervisor = new ProxySupervisor(
      {
        dataDir: paths.root,
        proxiesDir: paths.proxies,
        logsDir: paths.logs,
        scriptPath,
        proxies,
      },
      {
        onRestart: (_index, message) => journal.event(null, 'proxy-restarted', message),
        onCrashLoop: (_index, message) => journal.event(null, 'proxy-crash-loop', message),
      },
      log,
    );
    this.#divider = new LimitDivider({
      store: deps.store,
      usage: this.usage,
      share: (proxy, cache, ecpuPerSecond) => this.#link.ecpuShare(proxy, cache, ecpuPerSecond),
      event: (cache, kind, message) => journal.event(cache, kind, message),
    });
    this.board = servingBoard(
      () => this.#supervisor.alive(),
      () => this.#link.proxies(),
      () => topology.current.version,
    );
  }

  /** Publishes, adopts the processes that run and starts those that do not. */
  async start(): Promise<void> {
    this.publish();
    await this.#link.listen();
    this.#supervisor.start();
    this.#divider.start();
  }

  /** Sends them a topology made from the store as it is now. */
  publish(): void {
    this.#deps.topology.renew();
    this.#link.publish();
  }

  /** Has them ask the nodes of a cache for roles and slots at once. */
  refresh(cacheName: string): void {
    this.#link.refresh(cacheName);
  }

  /** Says which slots' keys they are to watch. */
  watchSlots(cacheName: string, slots: readonly number[]): void {
    this.#link.watchSlots(cacheName, slots);
  }

  status(): ProxyStatus[] {
    const linked = new Map(this.#link.proxies().map((proxy) => [proxy.index, proxy]));
    const alive = new Set(this.#supervisor.alive());
    return Array.from({ length: this.#supervisor.count }, (_, index) => {
      const version = linked.get(index)?.servingVersion ?? 0;
      const usage = this.usage.proxy(index);
      return {
        ...this.#supervisor.status(index),
        state: !alive.has(index) ? 'lost' : version > 0 ? 'serving' : 'starting',
        topologyVersion: version,
        cpuSeconds: usage?.cpuSeconds ?? 0,
        memoryBytes: usage?.memoryBytes ?? 0,
      };
    });
  }

  /** Ends them; their clients' replies are let out first. */
  async stop(): Promise<void> {
    this.#link.drain(DRAIN_MS);
    await this.#supervisor.stop(DRAIN_MS + 1_000);
  }

  /** Starts none again from now on; they go on. */
  detach(): void {
    this.#divider.stop();
    this.#supervisor.detach();
  }

  /** Closes the link; they go on. */
  close(): Promise<void> {
    return this.#link.close();
  }

  /** A proxy's word about ports that it could (not) take, kept as the cache's reason. */
  #keepFailures(failures: Readonly<Record<string, string>>): void {
    const { store } = this.#deps;
    for (const cache of store.caches()) {
      if (cache.state !== 'available') continue;
      const reason = failures[cache.name] ?? null;
      if (cache.reason !== reason) store.updateCache(cache.id, { reason });
    }
  }
}
