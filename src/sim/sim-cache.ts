/**
 * One simulated cache: shards that serve requests with a queue each, and the executor of the planner's steps in virtual
 * time. It refuses what the product's executor would refuse (two jobs on a shard): a planner that asks for it is wrong.
 *
 * A request is one ECPU. Requests that wait longer than clients or proxies are willing to are lost.
 */
import type { SlotRange } from '../model/slot-range.ts';
import {
  SLOTS,
  type CapacityJob,
  type CapacityLimits,
  type CapacityStep,
  type CapacityView,
  type PlannedCapacityStep,
  type ShardState,
} from '../control/policies/capacity-view.ts';
import { planCapacity } from '../control/policies/plan-capacity.ts';
import type { PlannerParams } from '../control/policies/planner-params.ts';
import { freshPlannerState, type PlannerState } from '../control/policies/planner-state.ts';
import type { Random } from '../lib/seeded-random.ts';
import type { Server } from './queueing.ts';
import type { SimFleet, SimNode } from './sim-fleet.ts';

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

export interface SimCacheOptions {
  readonly limits: CapacityLimits;
  readonly replicas: number;
  readonly nearCacheAllowed: boolean;
  readonly shards: number;
  /** That its first nodes have. */
  readonly ioThreads: number;
  readonly shape: CacheShape;
  readonly params: PlannerParams;
}

interface SimReplica {
  readonly node: SimNode;
  readonly onlineAtMs: number;
}

interface SimShard {
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

interface SimJob {
  readonly kind: CapacityStep['kind'];
  readonly occupied: readonly number[];
  readonly endMs: number;
  readonly move: { from: number; to: number; ranges: readonly SlotRange[] } | null;
  readonly bytes: number;
  readonly finish: () => void;
}

export interface TickResult {
  readonly offered: number;
  readonly served: number;
  readonly lost: number;
  /** Served, after they waited behind a backlog of more than `SLOW_MS`. */
  readonly slow: number;
}

/** Waiting behind a backlog of so long is slow, whatever the queue adds. */
const SLOW_MS = 100;

export class SimCache {
  readonly #fleet: SimFleet;
  readonly #options: SimCacheOptions;
  readonly #random: Random;
  readonly owners: Int32Array;
  readonly shards = new Map<number, SimShard>();
  jobs: SimJob[] = [];
  state: PlannerState = freshPlannerState();
  shape: CacheShape;
  /** Factor on all slots' bytes. */
  bytesScale = 1;
  /** Factor on what every node can do. */
  capacityScale = 1;
  /** A gap in the figures: the view repeats the last ones. */
  blind = false;
  limits: CapacityLimits;
  nodesMissing = 0;
  bytesMoved = 0;
  movesPlanned = 0;
  movesFailed = 0;
  shardsLost = 0;
  readonly stepCounts = new Map<CapacityStep['kind'], number>();
  readonly events: { readonly atMs: number; readonly text: string }[] = [];
  onStep: ((atMs: number, planned: PlannedCapacityStep) => void) | null = null;
  #watched: readonly number[] = [];
  #near: readonly number[] = [];
  #ecpu = new Float64Array(SLOTS);
  #sampledAtMs = 0;
  #sampleStartMs = 0;
  #utilisations = new Map<number, number | null>();

  constructor(fleet: SimFleet, options: SimCacheOptions, random: Random) {
    this.#fleet = fleet;
    this.#options = options;
    this.#random = random;
    this.shape = options.shape;
    this.limits = options.limits;
    this.owners = new Int32Array(SLOTS).fill(-1);
    for (let index = 0; index < options.shards; index += 1) {
      const shard = this.#createShard(index, 'serving', 0);
      if (shard === null) continue;
      for (const node of [shard.primary!, ...shard.replicas.map((replica) => replica.node)])
        node.ioThreads = options.ioThreads;
    }
    for (let slot = 0; slot < SLOTS; slot += 1)
      this.owners[slot] = Math.min(options.shards - 1, Math.floor((slot * options.shards) / SLOTS));
    this.recount();
    // As it would have grown to be.
    for (const { primary, replicas, bytes } of this.shards.values()) {
      for (const node of [primary!, ...replicas.map((replica) => replica.node)])
        node.maxmemoryBytes = Math.max(node.maxmemoryBytes, 2 * bytes);
    }
  }

  /** Nodes of it: primaries and replicas. */
  get nodes(): number {
    let nodes = 0;
    for (const shard of this.shards.values())
      nodes += (shard.primary === null ? 0 : 1) + shard.replicas.length;
    return nodes;
  }

  /** One tick: jobs end, requests are served. `rate` in requests per second. */
  advance(nowMs: number, tickMs: number, rate: number): TickResult {
    this.#endJobs(nowMs);
    let served = 0;
    let lost = 0;
    let slow = 0;
    const seconds = tickMs / 1000;
    for (const shard of this.shards.values()) {
      this.#promote(shard, nowMs);
      const parts = this.#parts(shard, nowMs);
      const wanted = rate * seconds * parts.primary;
      const aside = rate * seconds * parts.aside;
      const capacity = this.#capacity(shard) * seconds;
      const done = Math.min(shard.backlog + wanted, capacity);
      shard.backlog += wanted - done;
      const limit = this.#backlogLimit(shard, rate * parts.primary);
      const over = Math.max(0, shard.backlog - limit);
      shard.backlog -= over;
      shard.utilisation = capacity > 0 ? done / capacity : 1;
      shard.served += done + aside;
      shard.busyMs += shard.utilisation * tickMs;
      served += done + aside;
      lost += over;
      if (shard.backlog > (this.#capacity(shard) * SLOW_MS) / 1000) slow += wanted;
      if (shard.primary !== null) this.#busy(shard.primary, shard.utilisation);
      for (const replica of shard.replicas) this.#busy(replica.node, 0.1);
    }
    return { offered: rate * seconds, served, lost, slow };
  }

  /** Plans on the figures since the last call, and carries the steps out. */
  plan(nowMs: number): void {
    this.#sample(nowMs);
    const view = this.view(nowMs);
    const plan = planCapacity(view, this.state, this.#options.params);
    this.state = plan.state;
    this.nodesMissing = plan.nodesMissing;
    for (const planned of plan.steps) {
      this.stepCounts.set(planned.step.kind, (this.stepCounts.get(planned.step.kind) ?? 0) + 1);
      this.onStep?.(nowMs, planned);
      this.#apply(planned.step, nowMs);
    }
  }

  view(nowMs: number): CapacityView {
    const { replicas, nearCacheAllowed } = this.#options;
    const slotBytes =
      this.bytesScale === 1
        ? this.shape.slotBytes
        : this.shape.slotBytes.map((bytes) => bytes * this.bytesScale);
    const { hotKey } = this.shape;
    return {
      nowMs,
      limits: this.limits,
      replicasWanted: replicas,
      nearCacheAllowed,
      sharding: true,
      shards: [...this.shards.values()].map((shard) => ({
        shard: shard.shard,
        state: shard.state,
        primary:
          shard.primary === null
            ? null
            : {
                nodeId: shard.primary.id,
                hostId: shard.primary.hostId,
                utilisation: this.blind ? null : (this.#utilisations.get(shard.shard) ?? null),
                ioThreads: shard.primary.ioThreads,
                usedMemoryBytes: this.blind ? null : shard.bytes * this.bytesScale,
                maxmemoryBytes: shard.primary.maxmemoryBytes,
              },
        replicas: shard.replicas.map(({ node, onlineAtMs }) => ({
          nodeId: node.id,
          hostId: node.hostId,
          online: onlineAtMs <= nowMs,
          lagBytes: 0,
        })),
      })),
      slots: {
        owners: this.owners,
        ecpu: this.#ecpu,
        bytes: slotBytes,
        sampledAtMs: this.#sampledAtMs,
      },
      jobs: this.jobs.map(({ kind, occupied, move }): CapacityJob => ({ kind, occupied, move })),
      pool: { ready: this.#fleet.ready.length, starting: this.#fleet.starting.length },
      hosts: this.#fleet.hostViews(),
      hotKeys:
        hotKey !== null && this.#watched.includes(hotKey.slot)
          ? [{ slot: hotKey.slot, share: hotKey.share, readShare: hotKey.readShare }]
          : [],
      watchedSlots: this.#watched,
      nearCachedSlots: this.#near,
    };
  }

  /** What clients wait in, by server. */
  servers(rate: number, nowMs: number): Server[] {
    return [...this.shards.values()]
      .filter((shard) => shard.slots > 0)
      .map((shard) => {
        const capacity = this.#capacity(shard);
        const { primary } = this.#parts(shard, nowMs);
        return {
          share: primary,
          utilisation: capacity > 0 ? Math.min(1, (rate * primary) / capacity) : 1,
          serviceMs: capacity > 0 ? 1000 / capacity : 1,
          variation: this.#fleet.calibration.serviceVariation,
          delayMs:
            capacity > 0 ? (shard.backlog / capacity) * 1000 : this.#fleet.calibration.holdMs,
        };
      });
  }

  /** Heaviest shard over what placement can reach for it (a slot is not divisible). */
  maxOverReachable(nowMs: number): number {
    const largest = new Map<number, number>();
    const hotSlot = this.shape.hotKey?.slot ?? -1;
    for (let slot = 0; slot < SLOTS; slot += 1) {
      const owner = this.owners[slot]!;
      let share = this.shape.slotShare[slot]!;
      if (slot === hotSlot) share -= this.#parts(this.#shard(owner), nowMs).aside;
      if (share > (largest.get(owner) ?? 0)) largest.set(owner, share);
    }
    const serving = [...this.shards.values()]
      .filter((shard) => shard.state === 'serving')
      .map((shard) => ({ shard: shard.shard, share: this.#parts(shard, nowMs).primary }));
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

  /** All nodes on hosts that died are gone at once. */
  loseHosts(nowMs: number): void {
    const gone = (node: SimNode): boolean => this.#fleet.hosts.get(node.hostId)?.alive !== true;
    for (const shard of this.shards.values()) {
      for (const replica of shard.replicas.filter(({ node }) => gone(node)))
        this.#fleet.lose(replica.node);
      shard.replicas = shard.replicas.filter(({ node }) => !gone(node));
      if (shard.primary === null || !gone(shard.primary)) continue;
      this.losePrimary(shard.shard, nowMs, this.#fleet.calibration.failoverMs);
    }
  }

  /** A primary is gone; a replica takes over after `failoverMs`, or an empty node from the pool does. */
  losePrimary(shardNumber: number, nowMs: number, failoverMs: number): void {
    const shard = this.#shard(shardNumber);
    if (shard.primary !== null) this.#fleet.lose(shard.primary);
    shard.primary = null;
    shard.promoteAtMs = nowMs + failoverMs;
    const failed = this.jobs.filter((job) => job.occupied.includes(shardNumber));
    this.movesFailed += failed.filter((job) => job.move !== null).length;
    this.jobs = this.jobs.filter((job) => !failed.includes(job));
    for (const job of failed)
      if (job.kind === 'add-shard') this.#shard(job.occupied[0]!).state = 'serving';
  }

  /** Sums by shard, after owners or the shape changed. */
  recount(): void {
    for (const shard of this.shards.values()) {
      shard.share = 0;
      shard.bytes = 0;
      shard.slots = 0;
    }
    for (let slot = 0; slot < SLOTS; slot += 1) {
      const shard = this.#shard(this.owners[slot]!);
      shard.share += this.shape.slotShare[slot]!;
      shard.bytes += this.shape.slotBytes[slot]!;
      shard.slots += 1;
    }
  }

  #createShard(number: number, state: ShardState, nowMs: number): SimShard | null {
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
    for (let index = 0; index < this.#options.replicas; index += 1) this.#addReplica(shard, nowMs);
    this.shards.set(number, shard);
    return shard;
  }

  #addReplica(shard: SimShard, nowMs: number): void {
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
    for (const { primary } of this.shards.values())
      if (primary !== null) primaries[primary.hostId] = (primaries[primary.hostId] ?? 0) + 1;
    return primaries;
  }

  #capacity(shard: SimShard): number {
    if (shard.primary === null) return 0;
    const { nodeEcpuByIoThreads: curve, forkTax } = this.#fleet.calibration;
    const full = curve[Math.min(shard.primary.ioThreads, curve.length) - 1]!;
    const exporting = this.jobs.some((job) => job.move?.from === shard.shard);
    const host = this.#fleet.hosts.get(shard.primary.hostId)!;
    // More busy threads than cores: everybody on the host gets less.
    const squeeze = host.lastBusy > host.cores ? host.cores / host.lastBusy : 1;
    return this.capacityScale * full * (exporting ? 1 - forkTax : 1) * squeeze;
  }

  /** Shares of all requests: those its primary has to serve, and those that replicas and near caches answer. */
  #parts(shard: SimShard, nowMs: number): { primary: number; aside: number } {
    const { hotKey } = this.shape;
    if (hotKey === null || this.owners[hotKey.slot] !== shard.shard)
      return { primary: shard.share, aside: 0 };
    const reads = this.shape.slotShare[hotKey.slot]! * hotKey.share * hotKey.readShare;
    const near = this.#near.includes(hotKey.slot) ? reads * hotKey.nearHitShare : 0;
    const online = shard.replicas.filter((replica) => replica.onlineAtMs <= nowMs).length;
    const extra = Math.max(0, online - this.#options.replicas);
    const spread = extra > 0 ? (reads - near) * (online / (online + 1)) : 0;
    return { primary: shard.share - near - spread, aside: near + spread };
  }

  #backlogLimit(shard: SimShard, rate: number): number {
    const { patienceMs, holdMs } = this.#fleet.calibration;
    if (shard.primary === null) {
      shard.holding = true;
      return (rate * holdMs) / 1000;
    }
    const patient = (this.#capacity(shard) * patienceMs) / 1000;
    if (shard.holding && shard.backlog <= patient) shard.holding = false;
    return shard.holding ? Math.max(patient, (rate * holdMs) / 1000) : patient;
  }

  #busy(node: SimNode, utilisation: number): void {
    const host = this.#fleet.hosts.get(node.hostId);
    if (host !== undefined) host.busy += utilisation * node.ioThreads;
  }

  #promote(shard: SimShard, nowMs: number): void {
    if (shard.promoteAtMs === null || nowMs < shard.promoteAtMs) return;
    const heir = shard.replicas.find((replica) => replica.onlineAtMs <= nowMs);
    if (heir === undefined) {
      const node = this.#fleet.take('primary', [], this.#primariesByHost());
      if (node === null) return;
      shard.primary = node;
      if (shard.slots > 0) this.shardsLost += 1;
    } else {
      shard.primary = heir.node;
      shard.replicas = shard.replicas.filter((replica) => replica !== heir);
    }
    shard.promoteAtMs = null;
  }

  #sample(nowMs: number): void {
    if (this.blind) return;
    const elapsedMs = Math.max(1, nowMs - this.#sampleStartMs);
    const { utilisationNoise } = this.#fleet.calibration;
    const perShare = new Map<number, number>();
    this.#utilisations = new Map();
    for (const shard of this.shards.values()) {
      const rate = (shard.served / elapsedMs) * 1000;
      perShare.set(shard.shard, shard.share > 0 ? rate / shard.share : 0);
      const noise =
        1 + utilisationNoise * (this.#random() + this.#random() + this.#random() - 1.5) * 2;
      const busy = shard.busyMs / elapsedMs;
      this.#utilisations.set(shard.shard, busy >= 0.999 ? 1 : Math.min(1, busy * noise));
      shard.served = 0;
      shard.busyMs = 0;
    }
    let owner = -1;
    let factor = 0;
    for (let slot = 0; slot < SLOTS; slot += 1) {
      if (this.owners[slot] !== owner) {
        owner = this.owners[slot]!;
        factor = perShare.get(owner) ?? 0;
      }
      this.#ecpu[slot] = this.shape.slotShare[slot]! * factor;
    }
    this.#sampledAtMs = nowMs;
    this.#sampleStartMs = nowMs;
  }

  #endJobs(nowMs: number): void {
    if (this.jobs.length === 0) return;
    const ended = this.jobs.filter((job) => job.endMs <= nowMs);
    if (ended.length === 0) return;
    this.jobs = this.jobs.filter((job) => job.endMs > nowMs);
    for (const job of ended) job.finish();
  }

  #start(
    kind: CapacityStep['kind'],
    occupied: readonly number[],
    endMs: number,
    finish: () => void,
    move: SimJob['move'] = null,
    bytes = 0,
  ): void {
    const clash = this.jobs.find((job) => job.occupied.some((shard) => occupied.includes(shard)));
    if (clash !== undefined)
      throw new SimulationError(
        'ROLE_CLASH',
        `${kind} of shards ${occupied.join(', ')} while ${clash.kind} of ${clash.occupied.join(', ')} is under way`,
      );
    this.jobs.push({ kind, occupied, endMs, move, bytes, finish });
  }

  #apply(step: CapacityStep, nowMs: number): void {
    switch (step.kind) {
      case 'set-io-threads': {
        // The replicas get what their primary has: they may have to take its place.
        for (const { primary, replicas } of this.shards.values()) {
          if (primary?.id !== step.nodeId) continue;
          for (const node of [primary, ...replicas.map((replica) => replica.node)])
            node.ioThreads = step.ioThreads;
        }
        return;
      }
      case 'set-memory-limit': {
        const shard = this.#shard(step.shard);
        for (const node of [shard.primary, ...shard.replicas.map((replica) => replica.node)])
          if (node !== null) node.maxmemoryBytes = step.bytes;
        return;
      }
      case 'add-shard': {
        const shard = this.#createShard(step.shard, 'joining', nowMs);
        if (shard === null) return;
        this.#start('add-shard', [step.shard], nowMs + this.#fleet.calibration.joinMs, () => {
          shard.state = 'serving';
        });
        return;
      }
      case 'move-slots':
        return this.#moveSlots(step, nowMs);
      case 'drain-shard':
        this.#shard(step.shard).state = 'draining';
        return;
      case 'keep-shard':
        this.#shard(step.shard).state = 'serving';
        return;
      case 'remove-shard':
        return this.#removeShard(step.shard);
      case 'add-replica':
        return this.#addReplica(this.#shard(step.shard), nowMs);
      case 'remove-replica': {
        const shard = this.#shard(step.shard);
        const replica = shard.replicas.find(({ node }) => node.id === step.nodeId);
        if (replica === undefined) return;
        shard.replicas = shard.replicas.filter((one) => one !== replica);
        this.#fleet.giveBack(replica.node);
        return;
      }
      case 'watch-slots':
        this.#watched = step.slots;
        return;
      case 'near-cache-slots':
        this.#near = step.slots;
        return;
      case 'raise-event':
        this.events.push({ atMs: nowMs, text: `${step.event}: ${step.message}` });
    }
  }

  #moveSlots(step: CapacityStep & { kind: 'move-slots' }, nowMs: number): void {
    const { moveFixedMs, moveBytesPerSecond, moveUsPerKey, bytesPerKey } = this.#fleet.calibration;
    let bytes = 0;
    for (const { first, last } of step.ranges) {
      for (let slot = first; slot <= last; slot += 1) {
        if (this.owners[slot] !== step.from)
          throw new SimulationError('NOT_OWNER', `shard ${step.from} does not own slot ${slot}`);
        bytes += this.shape.slotBytes[slot]! * this.bytesScale;
      }
    }
    this.movesPlanned += 1;
    const keysMs = ((bytes / bytesPerKey) * moveUsPerKey) / 1000;
    const endMs = nowMs + moveFixedMs + keysMs + (bytes / moveBytesPerSecond) * 1000;
    const move = { from: step.from, to: step.to, ranges: step.ranges };
    const finish = (): void => {
      const from = this.#shard(step.from);
      const to = this.#shard(step.to);
      for (const { first, last } of step.ranges) {
        for (let slot = first; slot <= last; slot += 1) {
          this.owners[slot] = step.to;
          from.share -= this.shape.slotShare[slot]!;
          to.share += this.shape.slotShare[slot]!;
          from.bytes -= this.shape.slotBytes[slot]!;
          to.bytes += this.shape.slotBytes[slot]!;
          from.slots -= 1;
          to.slots += 1;
        }
      }
      // Requests that waited for these slots follow them.
      this.bytesMoved += bytes;
      if (from.slots === 0) from.share = 0;
    };
    this.#start('move-slots', [step.from, step.to], endMs, finish, move, bytes);
  }

  #removeShard(number: number): void {
    const shard = this.#shard(number);
    if (shard.slots > 0)
      throw new SimulationError('NOT_EMPTY', `shard ${number} owns ${shard.slots} slots`);
    if (shard.primary !== null) this.#fleet.giveBack(shard.primary);
    for (const { node } of shard.replicas) this.#fleet.giveBack(node);
    this.shards.delete(number);
  }

  #shard(number: number): SimShard {
    const shard = this.shards.get(number);
    if (shard === undefined)
      throw new SimulationError('NO_SUCH_SHARD', `there is no shard ${number}`);
    return shard;
  }
}
