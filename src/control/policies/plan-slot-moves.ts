/**
 * Slot moves by heat per byte: from the shard furthest above what placement can reach to the one furthest below, until it
 * is within `balanceRatio`. Few and bounded: each job at most some seconds of bytes, so that decisions stay fresh; one job
 * a shard, so that no node is source and target at once (docs/decisions/0005).
 *
 *   drained shards first ── they hold nodes that are not needed
 *   empty shards next    ── they were added because they are needed
 *   then the unbalanced  ── heat; a slot heavier than an even share keeps its shard, the others leave it
 *   then the full        ── memory
 */
import type { PlannedCapacityStep } from './capacity-view.ts';
import { percent } from './plan-io-threads.ts';
import type { PlannerState } from './planner-state.ts';
import { slotLoad, type CapacityReading, type ShardReading } from './read-capacity.ts';
import { selectSlots, type SlotChoice } from './select-slots.ts';
import { bytesOfJob, canGrow, fullness, memoryRoom, roomFor } from './shard-room.ts';
import { SlotWeights, weigh, type Weighed } from './weigh-shards.ts';

const SAMPLES_UNBALANCED = 3;
/** Where nobody is busy only this is worth moves: the load that is to come would find one shard overloaded. */
const IDLE_RATIO = 1.6;

export interface SlotMovesPlan {
  readonly steps: readonly PlannedCapacityStep[];
  readonly unbalancedSamples: ReadonlyMap<number, number>;
  /** Heaviest over what placement can reach, of shards whose figures are known; null: nobody carries anything. */
  readonly worstRatio: number | null;
  /** ECPU per second that the moves bring to each target, by shard number. */
  readonly incoming: ReadonlyMap<number, number>;
}

export function planSlotMoves(
  reading: CapacityReading,
  state: PlannerState,
  /** Shards that another step of this plan occupies. */
  taken: ReadonlySet<number>,
  /** There are more shards than the load needs, because a minimum asks for them: they are made ready for it. */
  preScaled: boolean,
): SlotMovesPlan {
  const { params, view } = reading;
  const unbalanced = new Map<number, number>();
  const incoming = new Map<number, number>();
  const recent = state.movesAtMs.filter((at) => view.nowMs - at < 60_000).length;
  let allowed = Math.ceil(reading.shards.length * params.movesPerShardMinute) - recent;
  const known = reading.shards.filter(
    (shard) => shard.view.state === 'draining' || shard.view.state === 'serving',
  );
  const none = { steps: [], unbalancedSamples: unbalanced, worstRatio: null, incoming };
  if (!view.sharding || !reading.fresh || known.length < 2) return none;

  const weights = new SlotWeights(reading);
  const staying = known.filter((shard) => shard.view.state === 'serving' && isKnown(shard));
  const weighed = weigh(staying, reading, weights);
  for (const one of weighed) {
    const over = one.shard.slots > 0 && one.weight > one.target * params.balanceRatio;
    const before = state.shards[one.shard.shard]?.unbalancedSamples ?? 0;
    unbalanced.set(one.shard.shard, over ? before + (reading.newSample ? 1 : 0) : 0);
  }

  const steps: PlannedCapacityStep[] = [];
  const used = new Set(taken);
  const free = (shard: ShardReading): boolean => shard.idle && !used.has(shard.shard);
  const plan = (
    source: ShardReading,
    target: ShardReading,
    choice: SlotChoice,
    reason: string,
    rejected: readonly string[],
  ): void => {
    used.add(source.shard).add(target.shard);
    allowed -= 1;
    incoming.set(target.shard, loadOf(source, choice, reading));
    steps.push({
      step: { kind: 'move-slots', from: source.shard, to: target.shard, ranges: choice.ranges },
      reason: `${reason}: ${choice.slots} slots, ${mib(choice.bytes)} MB`,
      rejected,
    });
  };

  const sinks = (): Weighed[] =>
    weighed
      .filter((one) => free(one.shard))
      .sort((a, b) => a.weight - b.weight || a.shard.shard - b.shard.shard);

  for (const source of known.filter(
    (shard) => shard.view.state === 'draining' && shard.slots > 0,
  )) {
    // Not bounded by the number of moves: it comes to its end, and what it frees may be what shrank that number.
    if (!free(source) || source.load === null) continue;
    const target = sinks().find(
      (one) => roomFor(one, reading) > 0 && memoryRoom(one.shard, reading) > 0,
    );
    if (target === undefined) break;
    const choice = selectSlots(weights.slotsOf(source, new Set()), {
      weight: roomFor(target, reading),
      bytes: Math.min(bytesOfJob(reading), memoryRoom(target.shard, reading)),
      roomBytes: memoryRoom(target.shard, reading),
      ranges: params.moveRangesMaximum,
    });
    if (choice !== null)
      plan(
        source,
        target.shard,
        choice,
        `shard ${source.shard} is draining; shard ${target.shard.shard} carries least`,
        ['all of it in one job: its slots would be stale decisions by the time they move'],
      );
  }

  const sources = weighed
    .filter((one) => one.shard.slots > 1 && one.weight > one.target * params.balanceRatio)
    .sort((a, b) => b.weight - b.target - (a.weight - a.target) || a.shard.shard - b.shard.shard);
  for (const source of sources) {
    if (!free(source.shard)) continue;
    const below = sinks().filter(
      (one) => one !== source && one.weight < one.target && !isSaturated(one.shard, reading),
    );
    const target = below[0];
    if (target === undefined) break;
    const empty = target.shard.slots === 0;
    // One that was added because it is needed does not wait for its first slots.
    if (allowed <= 0 && !empty) continue;
    const busy = (source.shard.utilisation ?? 0) >= params.balanceUtilisation;
    const far = source.weight > source.target * IDLE_RATIO;
    if (!empty && !busy && !far && !preScaled) continue;
    const urgent = empty || (source.shard.utilisation ?? 0) > params.outForecastUtilisation;
    // A single sample is noise: what is not urgent has to be so on average as well.
    const lasting =
      (unbalanced.get(source.shard.shard) ?? 0) >= SAMPLES_UNBALANCED &&
      source.steady > source.target * params.balanceRatio;
    if (!urgent && !lasting) continue;
    const made = balance(
      source,
      target,
      urgent,
      below.length > sources.length * 2,
      reading,
      weights,
    );
    if (made !== null) plan(source.shard, target.shard, made.choice, made.reason, made.rejected);
  }

  for (const source of [...weighed].sort((a, b) => fullness(b.shard) - fullness(a.shard))) {
    if (allowed <= 0 || fullness(source.shard) <= params.memoryUp) break;
    if (!free(source.shard) || source.shard.slots < 2 || canGrow(source.shard, reading)) continue;
    const target = sinks()
      .filter((one) => one !== source && fullness(one.shard) < params.memoryIn)
      .sort((a, b) => memoryRoom(b.shard, reading) - memoryRoom(a.shard, reading))[0];
    if (target === undefined) break;
    const limit = source.shard.view.primary!.maxmemoryBytes;
    const excess = source.shard.usedMemoryBytes! - limit * params.memoryIn;
    // By bytes: what is cold leaves first, it costs the least heat for its room.
    const choice = selectSlots(
      weights
        .slotsOf(source.shard, new Set(source.own))
        .map((one) => ({ ...one, weight: one.bytes })),
      {
        weight: Math.min(excess, memoryRoom(target.shard, reading), bytesOfJob(reading)),
        bytes: bytesOfJob(reading),
        roomBytes: memoryRoom(target.shard, reading),
        ranges: params.moveRangesMaximum,
      },
    );
    if (choice !== null)
      plan(
        source.shard,
        target.shard,
        choice,
        `shard ${source.shard.shard} uses ${percent(fullness(source.shard))} of its memory`,
        [
          'a larger memory limit: the host has none to give',
          'eviction: it loses data that another shard has room for',
        ],
      );
  }

  const ratios = weighed
    .filter((one) => one.target > 0 && one.shard.slots > 0)
    .map((one) => one.weight / one.target);
  return {
    steps,
    unbalancedSamples: unbalanced,
    worstRatio: ratios.length === 0 ? null : Math.max(...ratios),
    incoming,
  };
}

/** What a choice brings; a saturated source hides how much. */
function loadOf(source: ShardReading, choice: SlotChoice, reading: CapacityReading): number {
  let load = 0;
  for (const { first, last } of choice.ranges)
    for (let slot = first; slot <= last; slot += 1) load += slotLoad(reading, source, slot);
  return load * (isSaturated(source, reading) ? reading.params.saturatedGrowth : 1);
}

/** It serves what it can: how much more is asked of it nobody sees, so it may look like the one that carries least. */
function isSaturated({ utilisation }: ShardReading, { params }: CapacityReading): boolean {
  return (utilisation ?? 0) >= params.saturatedUtilisation;
}

/** What to move between two shards, and why so. */
function balance(
  source: Weighed,
  target: Weighed,
  urgent: boolean,
  manyBelow: boolean,
  reading: CapacityReading,
  weights: SlotWeights,
): { choice: SlotChoice; reason: string; rejected: string[] } | null {
  const { params } = reading;
  // In a calm not more than the averages bear out; in a hurry what is seen now.
  const sourceWeight = urgent ? source.weight : Math.min(source.weight, source.steady);
  const targetWeight = urgent ? target.weight : Math.max(target.weight, target.steady);
  const excess = sourceWeight - source.target;
  const deficit = target.target - targetWeight;
  // With far more takers than givers each taker takes half and gives on: n shards become 2n in a round.
  const wanted = manyBelow
    ? Math.max(Math.min(excess, deficit), (sourceWeight - targetWeight) / 2)
    : Math.min(excess, deficit);
  const roomBytes = memoryRoom(target.shard, reading);
  const bytes = Math.min(bytesOfJob(reading), roomBytes);
  const budget = { weight: wanted, bytes, roomBytes, ranges: params.moveRangesMaximum };
  const from = source.shard.shard;
  const to = target.shard.shard;
  const figures = `shard ${from} carries ${percent(source.weight / Math.max(1, source.shard.potentialEcpu))} of a shard's capacity, ${percent(source.target / Math.max(1, source.shard.potentialEcpu))} is what placement can reach`;
  const [hottest] = source.own;
  if (hottest === undefined) {
    const choice = selectSlots(weights.slotsOf(source.shard, new Set()), budget);
    return (
      choice && {
        choice,
        reason: `${figures}; shard ${to} carries least`,
        rejected: ['colder slots: they cost more bytes for the same load'],
      }
    );
  }
  const others = selectSlots(weights.slotsOf(source.shard, new Set(source.own)), budget);
  const hot = weights.slotsOf(source.shard, new Set()).find((one) => one.slot === hottest)!;
  // The hottest traffic is never paused, unless leaving it in place would move many times its bytes.
  const dearer =
    source.shard.slotBytes - hot.bytes > params.isolateBytesRatio * Math.max(hot.bytes, 1024 ** 2);
  const headRoom = (source.shard.utilisation ?? 1) < params.outUrgentUtilisation;
  if (
    others === null ||
    (dearer && headRoom && target.shard.slots === 0 && source.own.length === 1)
  ) {
    if (target.shard.slots > 0 || hot.bytes > roomBytes) return null;
    const choice: SlotChoice = {
      ranges: [{ first: hottest, last: hottest }],
      slots: 1,
      weight: hot.weight,
      bytes: hot.bytes,
    };
    return {
      choice,
      reason: `slot ${hottest} fills a shard by itself; it moves to empty shard ${to}`,
      rejected: [
        `moving the other slots away: ${mib(source.shard.slotBytes - hot.bytes)} MB instead of ${mib(hot.bytes)} MB`,
      ],
    };
  }
  return {
    choice: others,
    reason: `slot ${hottest} fills a shard by itself and stays on shard ${from}; the other hot slots leave it for shard ${to}`,
    rejected: [
      headRoom
        ? `moving slot ${hottest} itself: the hottest traffic would be paused, and ${target.shard.slots === 0 ? 'the others hold few bytes' : 'no shard is empty'}`
        : `moving slot ${hottest} itself: shard ${from} has no head-room for a pause of its hottest slot`,
    ],
  };
}

/** An empty shard needs no figures. */
function isKnown(shard: ShardReading): boolean {
  return shard.view.primary !== null && (shard.slots === 0 || shard.load !== null);
}

function mib(bytes: number): string {
  return (bytes / 1024 ** 2).toFixed(1);
}
