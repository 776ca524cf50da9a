/**
 * The shards of a simulated cache: nodes, slots, and what each can do. It knows no time but that of replicas that copy and of
 * primaries that fail over.
 */
import type { ShardState } from '../control/policies/capacity-view.ts';
import type { SimFleet, SimNode } from './sim-fleet.ts';
import { SLOT_COUNT } from '../model/slot-range.ts';

export class SimulationError extends Error {
  readonly code: 'ROLE_CLASH' | 'NO_SUCH_SHARD' | 'NOT_EMPTY' | 'NOT_OWNER';
  constructor(code: SimulationError['code'], message: string) {
    super(message);
    this.name = 'SimulationError';
    this.code = code;
  }
}

export interface HotKeyModel {
  readonly slot: number;
  readonly share: number;
  readonly readShare: number;
  /** Part of its reads that a near cache answers. */
  readonly nearHitShare: number;
}

export interface CacheShape {
  /** Share of each slot in the requests; sums to 1. */
  readonly slotShare: Float64Array;
  readonly slotBytes: Float64Array;
  readonly hotKey: HotKeyModel | null;
}

export interface SimReplica {
  readonly node: SimNode;
  readonly onlineAtMs: number;
}

export interface SimShard {
  readonly shard: number;
  state: ShardState;
  primary: SimNode | null;
  replicas: SimReplica[];
  /** Share of all requests, of the slots it owns. */
  share: number;
  bytes: number;
  slots: number;
  backlog: number;
  /** A backlog from while it had no primary: the proxies hold it longer than clients wait for a slow node. */
  holding: boolean;
  promoteAtMs: number | null;
  /** Since the last sample. */
  served: number;
  busyMs: number;
  /** Of the last tick. */
  utilisation: number;
}

export interface SimShardsOptions {
  readonly replicas: number;
  readonly shards: number;
  /** That its first nodes have. */
  readonly ioThreads: number;
  readonly shape: CacheShape;
}

export class SimShards {
  readonly #fleet: SimFleet;
  readonly #replicas: number;
  readonly byNumber = new Map<number, SimShard>();
  readonly owners = new Int32Array(SLOT_COUNT).fill(-1);
  shape: CacheShape;
  /** Factor on what every node can do. */
  capacityScale = 1;
  /** Slots that near caches may answer. */
  near: readonly number[] = [];
  /** Shards that had to begin again with an empty node. */
  lost = 0;

  constructor(fleet: SimFleet, options: SimShardsOptions) {
    this.#fleet = fleet;
    this.#replicas = options.replicas;
    this.shape = options.shape;
    for (let index = 0; index < options.shards; index += 1) {
      const shard = this.create(index, 'serving', 0);
      if (shard === null) continue;
      for (const node of nodesOf(shard)) node.ioThreads = options.ioThreads;
    }
    for (let slot = 0; slot < SLOT_COUNT; slot += 1)
      this.owners[slot] = Math.min(
        options.shards - 1,
        Math.floor((slot * options.shards) / SLOT_COUNT),
      );
    this.recount();
    // As it would have grown to be.
    for (const shard of this.byNumber.values())
      for (const node of nodesOf(shard))
        node.maxmemoryBytes = Math.max(node.maxmemoryBytes, 2 * shard.bytes);
  }

  get(number: number): SimShard {
    const shard = this.byNumber.get(number);
    if (shard === undefined)
      throw new SimulationError('NO_SUCH_SHARD', `there is no shard ${number}`);
    return shard;
  }

  /** Sums by shard, after owners or the shape changed. */
  recount(): void {
    for (const shard of this.byNumber.values()) {
      shard.share = 0;
      shard.bytes = 0;
      shard.slots = 0;
    }
    for (let slot = 0; slot < SLOT_COUNT; slot += 1) {
      const shard = this.get(this.owners[slot]!);
      shard.share += this.shape.slotShare[slot]!;
      shard.bytes += this.shape.slotBytes[slot]!;
      shard.slots += 1;
    }
  }

  /** Null: the pool is empty. */
  create(number: number, state: ShardState, nowMs: number): SimShard | null {
    const primary = this.#fleet.take('primary', [], this.#primariesByHost());
    if (primary === null) return null;
    const shard: SimShard = {
      shard: number,
      state,
      primary,
      replicas: [],
      share: 0,
      bytes: 0,
      slots: 0,
      backlog: 0,
      holding: false,
      promoteAtMs: null,
      served: 0,
      busyMs: 0,
      utilisation: 0,
    };
    for (let index = 0; index < this.#replicas; index += 1) this.addReplica(shard, nowMs);
    this.byNumber.set(number, shard);
    return shard;
  }

  addReplica(shard: SimShard, nowMs: number): void {
    const hosts = [shard.primary, ...shard.replicas.map((replica) => replica.node)].flatMap(
      (node) => (node === null ? [] : [node.hostId]),
    );
    const node = this.#fleet.take('replica', hosts, this.#primariesByHost());
    if (node === null) return;
    node.ioThreads = shard.primary?.ioThreads ?? 1;
    node.maxmemoryBytes = shard.primary?.maxmemoryBytes ?? node.maxmemoryBytes;
    const { replicaJoinMs, moveBytesPerSecond } = this.#fleet.calibration;
    const copyMs = nowMs === 0 ? 0 : replicaJoinMs + (shard.bytes / moveBytesPerSecond) * 1000;
    shard.replicas.push({ node, onlineAtMs: nowMs + copyMs });
  }

  #primariesByHost(): Record<string, number> {
    const primaries: Record<string, number> = {};
    for (const { primary } of this.byNumber.values())
      if (primary !== null) primaries[primary.hostId] = (primaries[primary.hostId] ?? 0) + 1;
    return primaries;
  }

  /** Requests per second that it can serve now. */
  capacity(shard: SimShard, exporting: boolean): number {
    if (shard.primary === null) return 0;
    const { nodeEcpuByIoThreads: curve, forkTax } = this.#fleet.calibration;
    const full = curve[Math.min(shard.primary.ioThreads, curve.length) - 1]!;
    const host = this.#fleet.hosts.get(shard.primary.hostId)!;
    // More busy threads than cores: everybody on the host gets less.
    const squeeze = host.lastBusy > host.cores ? host.cores / host.lastBusy : 1;
    return this.capacityScale * full * (exporting ? 1 - forkTax : 1) * squeeze;
  }

  /** Shares of all requests: those its primary has to serve, and those that replicas and near caches answer. */
  parts(shard: SimShard, nowMs: number): { primary: number; aside: number } {
    const { hotKey } = this.shape;
    if (hotKey === null || this.owners[hotKey.slot] !== shard.shard)
      return { primary: shard.share, aside: 0 };
    const reads = this.shape.slotShare[hotKey.slot]! * hotKey.share * hotKey.readShare;
    const near = this.near.includes(hotKey.slot) ? reads * hotKey.nearHitShare : 0;
    const online = shard.replicas.filter((replica) => replica.onlineAtMs <= nowMs).length;
    const extra = Math.max(0, online - this.#replicas);
    const spread = extra > 0 ? (reads - near) * (online / (online + 1)) : 0;
    return { primary: shard.share - near - spread, aside: near + spread };
  }

  /** A replica takes over when it is time, or an empty node from the pool. */
  promote(shard: SimShard, nowMs: number): void {
    if (shard.promoteAtMs === null || nowMs < shard.promoteAtMs) return;
    const heir = shard.replicas.find((replica) => replica.onlineAtMs <= nowMs);
    if (heir === undefined) {
      const node = this.#fleet.take('primary', [], this.#primariesByHost());
      if (node === null) return;
      shard.primary = node;
      if (shard.slots > 0) this.lost += 1;
    } else {
      shard.primary = heir.node;
      shard.replicas = shard.replicas.filter((replica) => replica !== heir);
    }
    shard.promoteAtMs = null;
  }

  /** All that is on hosts that died is gone; shards whose primary that was. */
  loseDeadNodes(): SimShard[] {
    const gone = (node: SimNode): boolean => this.#fleet.hosts.get(node.hostId)?.alive !== true;
    for (const shard of this.byNumber.values()) {
      for (const { node } of shard.replicas.filter((replica) => gone(replica.node)))
        this.#fleet.lose(node);
      shard.replicas = shard.replicas.filter(({ node }) => !gone(node));
    }
    return [...this.byNumber.values()].filter(({ primary }) => primary !== null && gone(primary));
  }

  /** Its nodes go back to the pool. */
  remove(number: number): void {
    const shard = this.get(number);
    if (shard.slots > 0)
      throw new SimulationError('NOT_EMPTY', `shard ${number} owns ${shard.slots} slots`);
    if (shard.primary !== null) this.#fleet.giveBack(shard.primary);
    for (const { node } of shard.replicas) this.#fleet.giveBack(node);
    this.byNumber.delete(number);
  }

  /** Heaviest shard over what placement can reach for it (a slot is not divisible). */
  maxOverReachable(nowMs: number): number {
    const largest = new Map<number, number>();
    const hotSlot = this.shape.hotKey?.slot ?? -1;
    for (let slot = 0; slot < SLOT_COUNT; slot += 1) {
      const owner = this.owners[slot]!;
      let share = this.shape.slotShare[slot]!;
      if (slot === hotSlot) share -= this.parts(this.get(owner), nowMs).aside;
      if (share > (largest.get(owner) ?? 0)) largest.set(owner, share);
    }
    const serving = [...this.byNumber.values()]
      .filter((shard) => shard.state === 'serving')
      .map((shard) => ({ shard: shard.shard, share: this.parts(shard, nowMs).primary }));
    let rest = serving.reduce((sum, shard) => sum + shard.share, 0);
    let left = serving.length;
    for (const share of [...largest.values()].sort((a, b) => b - a)) {
      if (left <= 1 || share <= rest / left) break;
      rest -= share;
      left -= 1;
    }
    const mean = rest / Math.max(1, left);
    return Math.max(
      0,
      ...serving.map((shard) => shard.share / Math.max(mean, largest.get(shard.shard) ?? 0)),
    );
  }
}

function nodesOf({ primary, replicas }: SimShard): SimNode[] {
  return [...(primary === null ? [] : [primary]), ...replicas.map(({ node }) => node)];
}
