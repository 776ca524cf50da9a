/**
 * Hosts and the warm pool, shared by all simulated caches. The pool is refilled by the product's `planPool`, nodes are
 * placed by its `placeNode`; a start takes `coldStartMs`.
 */
import type { CapacityHost } from '../control/policies/capacity-view.ts';
import { choosePoolNode, placeNode } from '../control/policies/place-node.ts';
import { planPool, type PoolParams } from '../control/policies/plan-pool.ts';
import type { Calibration } from './calibration.ts';

export interface SimHost {
  readonly id: string;
  readonly zone: string;
  readonly cores: number;
  readonly memoryBytes: number;
  alive: boolean;
  /** Cores that its nodes are busy with, summed up in this tick, and of the last whole one. */
  busy: number;
  lastBusy: number;
}

export interface SimNode {
  readonly id: string;
  readonly hostId: string;
  ioThreads: number;
  maxmemoryBytes: number;
}

export interface HostShape {
  readonly hosts: number;
  readonly zones: number;
  readonly cores: number;
  readonly memoryBytes: number;
}

const MIB = 1024 ** 2;
const NEW_NODE_BYTES = 512 * MIB;

export class SimFleet {
  readonly hosts = new Map<string, SimHost>();
  readonly calibration: Calibration;
  readonly pool: PoolParams;
  ready: SimNode[] = [];
  starting: { readonly node: SimNode; readonly readyAtMs: number }[] = [];
  /** Nodes of caches; the pool's are not among them. */
  readonly #used = new Set<SimNode>();
  #nextNode = 0;
  #views: readonly CapacityHost[] | null = null;

  constructor(shape: HostShape, calibration: Calibration, pool: PoolParams) {
    this.calibration = calibration;
    this.pool = pool;
    for (let index = 0; index < shape.hosts; index += 1) {
      const id = `host-${index}`;
      const zone = `zone-${index % shape.zones}`;
      this.hosts.set(id, {
        id,
        zone,
        cores: shape.cores,
        memoryBytes: shape.memoryBytes,
        alive: true,
        busy: 0,
        lastBusy: 0,
      });
    }
  }

  get nodes(): number {
    return this.#used.size;
  }

  /** Nodes that are ready at the beginning: the pool that a scenario states. */
  prewarm(count: number): void {
    for (let index = 0; index < count; index += 1) this.ready.push(this.#newNode());
  }

  /** From the pool, on the host that suits its shard best; null: the pool is empty. */
  take(
    role: 'primary' | 'replica',
    shardHosts: readonly string[],
    primariesByHost: Readonly<Record<string, number>>,
  ): SimNode | null {
    const chosen = choosePoolNode(this.ready, this.hostViews(), {
      memoryBytes: NEW_NODE_BYTES,
      shardHosts,
      primariesByHost,
      role,
    });
    if (chosen === null) return null;
    this.ready = this.ready.filter((node) => node !== chosen.node);
    this.#used.add(chosen.node);
    this.#views = null;
    return chosen.node;
  }

  beginTick(): void {
    this.#views = null;
    for (const host of this.hosts.values()) {
      host.lastBusy = host.busy;
      host.busy = 0;
    }
  }

  giveBack(node: SimNode): void {
    this.#views = null;
    this.#used.delete(node);
    if (this.hosts.get(node.hostId)?.alive !== true) return;
    node.ioThreads = 1;
    node.maxmemoryBytes = NEW_NODE_BYTES;
    this.ready.push(node);
  }

  lose(node: SimNode): void {
    this.#used.delete(node);
  }

  killHost(id: string): void {
    const host = this.hosts.get(id)!;
    host.alive = false;
    this.#views = null;
    this.ready = this.ready.filter((node) => node.hostId !== id);
    this.starting = this.starting.filter(({ node }) => node.hostId !== id);
  }

  refill(nowMs: number, cacheNodes: readonly number[], missing: number): void {
    const started = this.starting.filter((one) => one.readyAtMs <= nowMs);
    this.ready.push(...started.map((one) => one.node));
    this.starting = this.starting.filter((one) => one.readyAtMs > nowMs);
    const plan = planPool(
      {
        cacheNodes,
        ready: this.ready.length,
        starting: this.starting.length,
        missing,
        roomNodes: Math.floor(
          this.hostViews().reduce((sum, host) => sum + host.freeMemoryBytes, 0) / NEW_NODE_BYTES,
        ),
      },
      this.pool,
    );
    for (let index = 0; index < plan.start; index += 1) {
      this.starting.push({
        node: this.#newNode(),
        readyAtMs: nowMs + this.calibration.coldStartMs,
      });
    }
    this.ready.splice(0, plan.stop);
  }

  /** The same until the next tick or the next node that comes or goes. */
  hostViews(): readonly CapacityHost[] {
    this.#views ??= this.#makeViews();
    return this.#views;
  }

  #makeViews(): CapacityHost[] {
    const nodes = [...this.#used, ...this.ready, ...this.starting.map((one) => one.node)];
    const sums = new Map<string, { threads: number; nodes: number; bytes: number }>();
    for (const node of nodes) {
      const sum = sums.get(node.hostId) ?? { threads: 0, nodes: 0, bytes: 0 };
      sum.threads += node.ioThreads;
      sum.nodes += 1;
      sum.bytes += node.maxmemoryBytes;
      sums.set(node.hostId, sum);
    }
    return [...this.hosts.values()]
      .filter((host) => host.alive)
      .map((host) => {
        const sum = sums.get(host.id) ?? { threads: 0, nodes: 0, bytes: 0 };
        return {
          id: host.id,
          zone: host.zone,
          cores: host.cores,
          cpuUtilisation: Math.min(1, host.lastBusy / host.cores),
          ioThreadsInUse: sum.threads,
          nodes: sum.nodes,
          freeMemoryBytes: Math.max(0, host.memoryBytes - sum.bytes),
        };
      });
  }

  #newNode(): SimNode {
    const placement = placeNode(this.hostViews(), {
      memoryBytes: NEW_NODE_BYTES,
      shardHosts: [],
      primariesByHost: {},
      role: 'replica',
    });
    const id = `node-${this.#nextNode}`;
    this.#nextNode += 1;
    this.#views = null;
    return {
      id,
      hostId: placement?.hostId ?? this.hosts.keys().next().value!,
      ioThreads: 1,
      maxmemoryBytes: NEW_NODE_BYTES,
    };
  }
}
