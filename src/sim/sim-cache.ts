/**
 * One simulated cache: shards (sim-shards.ts) that serve requests with a queue each, what the planner is shown of them, and
 * its steps, carried out in virtual time (sim-steps.ts).
 *
 * A request is one ECPU. Requests that wait longer than clients or proxies are willing to are lost.
 */
import type {
  CapacityJob,
  CapacityLimits,
  CapacityView,
  PlannedCapacityStep,
} from '../control/policies/capacity-view.ts';
import { planCapacity } from '../control/policies/plan-capacity.ts';
import type { PlannerParams } from '../control/policies/planner-params.ts';
import { freshPlannerState, type PlannerState } from '../control/policies/planner-state.ts';
import type { Random } from '../lib/seeded-random.ts';
import type { Server } from './queueing.ts';
import type { SimFleet, SimNode } from './sim-fleet.ts';
import { SimShards, type SimShard, type SimShardsOptions } from './sim-shards.ts';
import { SimSteps } from './sim-steps.ts';
import { SLOT_COUNT } from '../model/slot-range.ts';

export interface SimCacheOptions extends SimShardsOptions {
  readonly limits: CapacityLimits;
  readonly nearCacheAllowed: boolean;
  readonly params: PlannerParams;
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
  readonly shards: SimShards;
  readonly steps: SimSteps;
  state: PlannerState = freshPlannerState();
  /** Factor on all slots' bytes. */
  bytesScale = 1;
  /** A gap in the figures: the view repeats the last ones. */
  blind = false;
  limits: CapacityLimits;
  nodesMissing = 0;
  onStep: ((atMs: number, planned: PlannedCapacityStep) => void) | null = null;
  #ecpu = new Float64Array(SLOT_COUNT);
  #sampledAtMs = 0;
  #sampleStartMs = 0;
  #utilisations = new Map<number, number | null>();

  constructor(fleet: SimFleet, options: SimCacheOptions, random: Random) {
    this.#fleet = fleet;
    this.#options = options;
    this.#random = random;
    this.limits = options.limits;
    this.shards = new SimShards(fleet, options);
    this.steps = new SimSteps(fleet, this.shards);
  }

  /** Nodes of it: primaries and replicas. */
  get nodes(): number {
    let nodes = 0;
    for (const shard of this.shards.byNumber.values())
      nodes += (shard.primary === null ? 0 : 1) + shard.replicas.length;
    return nodes;
  }

  /** One tick: jobs end, requests are served. `rate` in requests per second. */
  advance(nowMs: number, tickMs: number, rate: number): TickResult {
    this.steps.end(nowMs);
    let served = 0;
    let lost = 0;
    let slow = 0;
    const seconds = tickMs / 1000;
    for (const shard of this.shards.byNumber.values()) {
      this.shards.promote(shard, nowMs);
      const parts = this.shards.parts(shard, nowMs);
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
      this.onStep?.(nowMs, planned);
      this.steps.apply(planned.step, nowMs, this.bytesScale);
    }
  }

  view(nowMs: number): CapacityView {
    const { replicas, nearCacheAllowed } = this.#options;
    const slotBytes =
      this.bytesScale === 1
        ? this.shards.shape.slotBytes
        : this.shards.shape.slotBytes.map((bytes) => bytes * this.bytesScale);
    const { hotKey } = this.shards.shape;
    return {
      nowMs,
      limits: this.limits,
      replicasWanted: replicas,
      nearCacheAllowed,
      sharding: true,
      shards: [...this.shards.byNumber.values()].map((shard) => ({
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
        owners: this.shards.owners,
        ecpu: this.#ecpu,
        bytes: slotBytes,
        sampledAtMs: this.#sampledAtMs,
      },
      jobs: this.steps.jobs.map(({ kind, occupied, move }): CapacityJob => ({
        kind,
        occupied,
        move,
      })),
      pool: { ready: this.#fleet.ready.length, starting: this.#fleet.starting.length },
      hosts: this.#fleet.hostViews(),
      hotKeys:
        hotKey !== null && this.steps.watched.includes(hotKey.slot)
          ? [{ slot: hotKey.slot, share: hotKey.share, readShare: hotKey.readShare }]
          : [],
      watchedSlots: this.steps.watched,
      nearCachedSlots: this.shards.near,
    };
  }

  /** What clients wait in, by server. */
  servers(rate: number, nowMs: number): Server[] {
    return [...this.shards.byNumber.values()]
      .filter((shard) => shard.slots > 0)
      .map((shard) => {
        const capacity = this.#capacity(shard);
        const { primary } = this.shards.parts(shard, nowMs);
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

  /** All nodes on hosts that died are gone at once. */
  loseHosts(nowMs: number): void {
    for (const { shard } of this.shards.loseDeadNodes())
      this.losePrimary(shard, nowMs, this.#fleet.calibration.failoverMs);
  }

  /** A primary is gone; a replica takes over after `failoverMs`, or an empty node from the pool does. */
  losePrimary(shardNumber: number, nowMs: number, failoverMs: number): void {
    const shard = this.shards.get(shardNumber);
    if (shard.primary !== null) this.#fleet.lose(shard.primary);
    shard.primary = null;
    shard.promoteAtMs = nowMs + failoverMs;
    this.steps.fail(shardNumber);
  }

  #capacity(shard: SimShard): number {
    return this.shards.capacity(shard, this.steps.exports(shard.shard));
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

  #sample(nowMs: number): void {
    if (this.blind) return;
    const elapsedMs = Math.max(1, nowMs - this.#sampleStartMs);
    const { utilisationNoise } = this.#fleet.calibration;
    const perShare = new Map<number, number>();
    this.#utilisations = new Map();
    for (const shard of this.shards.byNumber.values()) {
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
    for (let slot = 0; slot < SLOT_COUNT; slot += 1) {
      if (this.shards.owners[slot] !== owner) {
        owner = this.shards.owners[slot]!;
        factor = perShare.get(owner) ?? 0;
      }
      this.#ecpu[slot] = this.shards.shape.slotShare[slot]! * factor;
    }
    this.#sampledAtMs = nowMs;
    this.#sampleStartMs = nowMs;
  }
}
