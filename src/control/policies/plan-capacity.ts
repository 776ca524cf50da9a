/**
 * The capacity planner: one cache's snapshot in, steps with reasons out. Pure, no clock, no chance: control runs it on real
 * nodes each second, `sim/` runs the very same code in virtual time.
 *
 *   learn capacity ─► observe demand ─► up (memory) ─► out (keep, add) ─► replicas for hot keys
 *     ─► moves (drain, balance, isolate) ─► up (io-threads, also for what the moves bring) ─► in (drain, remove)
 *
 * Later parts see which shards earlier parts occupy: a shard gets one job at a time.
 */
import type {
  CapacityEventName,
  CapacityPlan,
  CapacityView,
  Explanation,
  PlannedCapacityStep,
} from './capacity-view.ts';
import { forecastDemand, observeDemand, type Demand } from './forecast-demand.ts';
import { hotSlots, type HotSlot } from './hot-slots.ts';
import { learnCapacity, learnCostFactor } from './learn-capacity.ts';
import { planHotKeys } from './plan-hot-keys.ts';
import { percent, planIoThreads } from './plan-io-threads.ts';
import { planMemory } from './plan-memory.ts';
import { observePeak, observeRegret, planScaleIn, shardsAtRest } from './plan-scale-in.ts';
import { planShardCount } from './plan-shard-count.ts';
import { planSlotMoves } from './plan-slot-moves.ts';
import type { PlannerParams } from './planner-params.ts';
import { RECENT_SAMPLES, type PlannerState, type ShardMemory } from './planner-state.ts';
import { readCapacity, type CapacityReading, type ShardReading } from './read-capacity.ts';
import { observeSeason, seasonalPeak } from './season.ts';
import { sumSlots } from './slot-sums.ts';

/** Samples missing for so long are an event. */
const MISSING_MS = 10_000;
/** The season that a scale-in looks ahead to. */
const IN_SEASON_AHEAD_MS = 1_800_000;
const REQUESTS_APPROACHING = 0.75;

export function planCapacity(
  view: CapacityView,
  before: PlannerState,
  params: PlannerParams,
): CapacityPlan {
  const sums = sumSlots(view);
  const sampleIsNew = view.slots.sampledAtMs !== before.demand.sampledAtMs;
  const capacity = sampleIsNew ? learnCapacity(view, sums, before, params) : before.capacity;
  const reading = readCapacity(view, before, capacity, sums, params);
  const hot = hotSlots(reading, params.coolShare);
  const { demandState, season, peaks } = observe(reading, before, hot, params);
  const demand = forecastDemand(view.nowMs, demandState, season, params);

  const memory = planMemory(
    reading,
    before,
    demandState.bytes > 0 ? Math.max(1, demand.bytesAhead / demandState.bytes) : 1,
  );
  const out = planShardCount(reading, demand, hot, before.demand.samplesShort);
  const added = out.steps.length > 0;
  const keys = planHotKeys(reading, before, new Set());
  const taken = occupiedBy(keys.steps);
  const moves = planSlotMoves(reading, before, taken, out.preScaled);
  for (const shard of occupiedBy(moves.steps)) taken.add(shard);
  const growth = demand.now > 0 ? Math.max(1, demand.ahead / demand.now) : 1;
  const io = planIoThreads(reading, before, growth, moves.incoming);
  const regretted = observeRegret(view.nowMs, added ? demand.ahead : null, peaks, params);
  const season30 = params.forecast ? seasonalPeak(view.nowMs, IN_SEASON_AHEAD_MS, season) : null;
  const scaleIn =
    added || out.needed >= stayingShards(reading)
      ? { steps: [], leftForEcpu: null, text: `${out.needed} shards are needed` }
      : planScaleIn(reading, regretted, hot, season30, taken);
  const removals = planRemovals(reading);
  const events = dedupe(
    [
      ...memory.events,
      ...out.events,
      ...keys.events,
      ...limitEvents(reading, demand),
      ...metricEvents(view),
    ],
    before.raisedAtMs,
    view.nowMs,
    params,
  );
  const steps = [
    ...io.steps,
    ...memory.steps,
    ...out.steps,
    ...keys.steps,
    ...moves.steps,
    ...scaleIn.steps,
    ...removals,
    ...events.steps,
  ];
  const moved = moves.steps.map(() => view.nowMs);
  const state: PlannerState = {
    version: 2,
    demand: { ...demandState, samplesShort: out.samplesShort },
    capacity,
    season,
    scaleIn:
      scaleIn.steps.length > 0
        ? { ...regretted, lastInMs: view.nowMs, leftForEcpu: scaleIn.leftForEcpu }
        : regretted,
    shards: rememberShards(
      reading,
      before,
      io.quietSinceMs,
      memory.quietSinceMs,
      moves.unbalancedSamples,
      occupiedBy(moves.steps),
    ),
    raisedAtMs: events.raisedAtMs,
    movesAtMs: [...before.movesAtMs.filter((at) => view.nowMs - at < 60_000), ...moved],
    hotSlotSeenMs: keys.seenMs,
  };
  return {
    steps,
    state,
    explanations: explain(reading, demand, out.needed, moves.worstRatio, scaleIn.text),
    nodesMissing: out.nodesMissing + keys.nodesMissing,
  };
}

function observe(
  reading: CapacityReading,
  before: PlannerState,
  hot: readonly HotSlot[],
  params: PlannerParams,
) {
  if (!reading.newSample)
    return { demandState: before.demand, season: before.season, peaks: before.scaleIn };
  const demandState = observeDemand(reading, before.demand, params);
  const { sampledAtMs } = reading.view.slots;
  return {
    demandState,
    season: observeSeason(sampledAtMs, demandState.fast, before.season),
    peaks: observePeak(
      sampledAtMs,
      {
        ecpu: demandState.fast,
        shards: shardsAtRest(demandState.fast, reading, hot, before.scaleIn),
      },
      before.scaleIn,
    ),
  };
}

function planRemovals(reading: CapacityReading): PlannedCapacityStep[] {
  return reading.shards
    .filter((shard) => shard.view.state === 'draining' && shard.slots === 0 && shard.idle)
    .map((shard) => ({
      step: { kind: 'remove-shard', shard: shard.shard },
      reason: `shard ${shard.shard} was drained and owns nothing`,
      rejected: ['keeping it empty: its node serves better in the pool'],
    }));
}

function stayingShards(reading: CapacityReading): number {
  return reading.shards.filter((shard) => shard.view.state !== 'draining').length;
}

function occupiedBy(steps: readonly PlannedCapacityStep[]): Set<number> {
  const shards = new Set<number>();
  for (const { step } of steps) {
    if (step.kind === 'move-slots') shards.add(step.from).add(step.to);
    else if ('shard' in step) shards.add(step.shard);
  }
  return shards;
}

function rememberShards(
  reading: CapacityReading,
  before: PlannerState,
  ioQuietSinceMs: ReadonlyMap<number, number | null>,
  memoryQuietSinceMs: ReadonlyMap<number, number | null>,
  unbalancedSamples: ReadonlyMap<number, number>,
  /** Shards that get a move of slots in this plan. */
  planned: ReadonlySet<number>,
): Record<string, ShardMemory> {
  // A job may be over before the next plan looks: what is planned counts from now.
  const busy = new Set([...reading.view.jobs.flatMap((job) => job.occupied), ...planned]);
  return Object.fromEntries(
    reading.shards.map((one) => {
      const { shard } = one;
      const known = before.shards[shard];
      const costFactor = reading.newSample
        ? learnCostFactor(one, known, reading.view, reading.params)
        : known?.costFactor;
      const memory: ShardMemory = {
        loadShare:
          one.idle && one.steadyLoad !== null && reading.load > 0
            ? one.steadyLoad / reading.load
            : null,
        ioQuietSinceMs: ioQuietSinceMs.get(shard) ?? null,
        memoryQuietSinceMs: memoryQuietSinceMs.get(shard) ?? null,
        unbalancedSamples: unbalancedSamples.get(shard) ?? 0,
        occupiedAtMs: busy.has(shard) ? reading.view.nowMs : (known?.occupiedAtMs ?? null),
        recentEcpu:
          busy.has(shard) || one.relieved ? [] : recentEcpu(one, known, reading.newSample),
        ...(costFactor === undefined ? {} : { costFactor }),
      };
      return [shard, memory];
    }),
  );
}

function recentEcpu(
  { ecpu }: ShardReading,
  known: ShardMemory | undefined,
  isNew: boolean,
): readonly number[] {
  const before = known?.recentEcpu ?? [];
  return isNew ? [...before, ecpu].slice(-RECENT_SAMPLES) : before;
}

interface RaisedEvent {
  readonly event: CapacityEventName;
  readonly message: string;
}

function limitEvents(reading: CapacityReading, demand: Demand): RaisedEvent[] {
  const maximum = reading.view.limits.ecpuPerSecondMaximum;
  if (maximum === 0 || !reading.fresh || demand.now < maximum * REQUESTS_APPROACHING) return [];
  return [
    {
      event: 'limit-approaching',
      message: `${Math.round(demand.now)} of at most ${maximum} ECPU/s are used (${percent(demand.now / maximum)})`,
    },
  ];
}

function metricEvents(view: CapacityView): RaisedEvent[] {
  const ageMs = view.nowMs - view.slots.sampledAtMs;
  if (ageMs < MISSING_MS) return [];
  return [
    {
      event: 'metrics-missing',
      message: `no figures from the proxies for ${Math.round(ageMs / 1000)} s: what rests on them is frozen`,
    },
  ];
}

/** Each kind at most once in `eventRepeatMs`. */
function dedupe(
  events: readonly RaisedEvent[],
  raisedAtMs: Readonly<Record<string, number>>,
  nowMs: number,
  params: PlannerParams,
): { steps: PlannedCapacityStep[]; raisedAtMs: Record<string, number> } {
  const raised: Record<string, number> = { ...raisedAtMs };
  const steps: PlannedCapacityStep[] = [];
  for (const { event, message } of events) {
    const last = raised[event];
    if (last !== undefined && nowMs - last < params.eventRepeatMs) continue;
    raised[event] = nowMs;
    steps.push({ step: { kind: 'raise-event', event, message }, reason: message, rejected: [] });
  }
  return { steps, raisedAtMs: raised };
}

function explain(
  reading: CapacityReading,
  demand: Demand,
  needed: number,
  worstRatio: number | null,
  scaleIn: string,
): Explanation[] {
  const { view } = reading;
  const texts: Explanation[] = [
    {
      about: 'demand',
      text: `${Math.round(demand.now)} ECPU/s now, ${Math.round(demand.trendAhead)} by the trend, ${demand.season === null ? 'no season known' : `${Math.round(demand.season)} by earlier days`}`,
    },
    {
      about: 'capacity',
      text: `a shard does ${Math.round(reading.newShardEcpu)} ECPU/s with the threads its host allows`,
    },
    {
      about: 'shards',
      text: `${stayingShards(reading)} serve, ${needed} are needed; pool: ${view.pool.ready} ready`,
    },
    {
      about: 'moves',
      text:
        worstRatio === null
          ? 'nothing to balance'
          : `the heaviest shard carries ${worstRatio.toFixed(2)} times what placement can reach`,
    },
    { about: 'scale-in', text: scaleIn },
  ];
  for (const room of reading.rooms.values())
    if (room.full) texts.push({ about: 'hosts', text: `host ${room.hostId} has no core to spare` });
  if (!reading.fresh) texts.push({ about: 'metrics', text: 'figures are missing: nothing moves' });
  return texts;
}
