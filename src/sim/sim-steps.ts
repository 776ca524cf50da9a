/**
 * Carries the planner's steps out on simulated shards: at once, or as a job that takes its time. It refuses what the product's
 * executor would refuse (two jobs on a shard): a planner that asks for it is wrong.
 */
import type { CapacityStep } from '../control/policies/capacity-view.ts';
import type { SlotRange } from '../model/slot-range.ts';
import type { SimFleet } from './sim-fleet.ts';
import { SimulationError, type SimShards } from './sim-shards.ts';

export interface SimJob {
  readonly kind: CapacityStep['kind'];
  readonly occupied: readonly number[];
  readonly endMs: number;
  readonly move: { from: number; to: number; ranges: readonly SlotRange[] } | null;
  readonly bytes: number;
  readonly finish: () => void;
}

export class SimSteps {
  readonly #fleet: SimFleet;
  readonly #shards: SimShards;
  jobs: SimJob[] = [];
  /** Slots whose keys are sketched. */
  watched: readonly number[] = [];
  bytesMoved = 0;
  movesPlanned = 0;
  movesFailed = 0;
  readonly counts = new Map<CapacityStep['kind'], number>();
  readonly events: { readonly atMs: number; readonly text: string }[] = [];

  constructor(fleet: SimFleet, shards: SimShards) {
    this.#fleet = fleet;
    this.#shards = shards;
  }

  /** Whether it is the source of a move. */
  exports(shard: number): boolean {
    return this.jobs.some(({ move }) => move?.from === shard);
  }

  /** @param bytesScale factor on all slots' bytes */
  apply(step: CapacityStep, nowMs: number, bytesScale: number): void {
    this.counts.set(step.kind, (this.counts.get(step.kind) ?? 0) + 1);
    switch (step.kind) {
      case 'set-io-threads': {
        // The replicas get what their primary has: they may have to take its place.
        for (const { primary, replicas } of this.#shards.byNumber.values()) {
          if (primary?.id !== step.nodeId) continue;
          for (const node of [primary, ...replicas.map((replica) => replica.node)])
            node.ioThreads = step.ioThreads;
        }
        return;
      }
      case 'set-memory-limit': {
        const shard = this.#shards.get(step.shard);
        for (const node of [shard.primary, ...shard.replicas.map((replica) => replica.node)])
          if (node !== null) node.maxmemoryBytes = step.bytes;
        return;
      }
      case 'add-shard': {
        const shard = this.#shards.create(step.shard, 'joining', nowMs);
        if (shard === null) return;
        this.#start('add-shard', [step.shard], nowMs + this.#fleet.calibration.joinMs, () => {
          shard.state = 'serving';
        });
        return;
      }
      case 'move-slots':
        return this.#moveSlots(step, nowMs, bytesScale);
      case 'drain-shard':
        this.#shards.get(step.shard).state = 'draining';
        return;
      case 'keep-shard':
        this.#shards.get(step.shard).state = 'serving';
        return;
      case 'remove-shard':
        return this.#shards.remove(step.shard);
      case 'add-replica':
        return this.#shards.addReplica(this.#shards.get(step.shard), nowMs);
      case 'remove-replica': {
        const shard = this.#shards.get(step.shard);
        const replica = shard.replicas.find(({ node }) => node.id === step.nodeId);
        if (replica === undefined) return;
        shard.replicas = shard.replicas.filter((one) => one !== replica);
        this.#fleet.giveBack(replica.node);
        return;
      }
      case 'watch-slots':
        this.watched = step.slots;
        return;
      case 'near-cache-slots':
        this.#shards.near = step.slots;
        return;
      case 'raise-event':
        this.events.push({ atMs: nowMs, text: `${step.event}: ${step.message}` });
    }
  }

  /** Those whose time has come. */
  end(nowMs: number): void {
    if (this.jobs.length === 0) return;
    const ended = this.jobs.filter((job) => job.endMs <= nowMs);
    if (ended.length === 0) return;
    this.jobs = this.jobs.filter((job) => job.endMs > nowMs);
    for (const job of ended) job.finish();
  }

  /** A node of this shard died: what it was in has failed. */
  fail(shardNumber: number): void {
    const failed = this.jobs.filter((job) => job.occupied.includes(shardNumber));
    this.movesFailed += failed.filter((job) => job.move !== null).length;
    this.jobs = this.jobs.filter((job) => !failed.includes(job));
    for (const job of failed)
      if (job.kind === 'add-shard') this.#shards.get(job.occupied[0]!).state = 'serving';
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

  #moveSlots(step: CapacityStep & { kind: 'move-slots' }, nowMs: number, bytesScale: number): void {
    const { moveFixedMs, moveBytesPerSecond, moveUsPerKey, bytesPerKey } = this.#fleet.calibration;
    let bytes = 0;
    for (const { first, last } of step.ranges) {
      for (let slot = first; slot <= last; slot += 1) {
        if (this.#shards.owners[slot] !== step.from)
          throw new SimulationError('NOT_OWNER', `shard ${step.from} does not own slot ${slot}`);
        bytes += this.#shards.shape.slotBytes[slot]! * bytesScale;
      }
    }
    this.movesPlanned += 1;
    const keysMs = ((bytes / bytesPerKey) * moveUsPerKey) / 1000;
    const endMs = nowMs + moveFixedMs + keysMs + (bytes / moveBytesPerSecond) * 1000;
    const move = { from: step.from, to: step.to, ranges: step.ranges };
    const finish = (): void => {
      const from = this.#shards.get(step.from);
      const to = this.#shards.get(step.to);
      const shareBefore = from.share;
      for (const { first, last } of step.ranges) {
        for (let slot = first; slot <= last; slot += 1) {
          this.#shards.owners[slot] = step.to;
          from.share -= this.#shards.shape.slotShare[slot]!;
          to.share += this.#shards.shape.slotShare[slot]!;
          from.bytes -= this.#shards.shape.slotBytes[slot]!;
          to.bytes += this.#shards.shape.slotBytes[slot]!;
          from.slots -= 1;
          to.slots += 1;
        }
      }
      // Requests that waited for these slots follow them: their node sends them on.
      const followed = shareBefore > 0 ? from.backlog * (1 - from.share / shareBefore) : 0;
      from.backlog -= followed;
      to.backlog += followed;
      this.bytesMoved += bytes;
      if (from.slots === 0) from.share = 0;
    };
    this.#start('move-slots', [step.from, step.to], endMs, finish, move, bytes);
  }
}
