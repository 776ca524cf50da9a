/**
 * Down, only after quiet: the peak of the whole quiet time (and of the same hour of earlier days) has to fit fewer shards
 * at a lower utilisation than the one that adds shards, and so has the memory. Far over, several leave at once. Each
 * scale-in that is regretted soon doubles the quiet that the next one needs, and one that was wrong about what nodes can do
 * leaves more room the next time: no period of load makes it flap.
 */
import type { PlannedCapacityStep } from './capacity-view.ts';
import type { HotSlot } from './hot-slots.ts';
import { percent } from './plan-io-threads.ts';
import type { PlannerParams } from './planner-params.ts';
import { PEAK_BUCKETS, PEAK_BUCKET_MS, type Peak, type ScaleInState } from './planner-state.ts';
import { minimumShards, shardsFor } from './plan-shard-count.ts';
import type { CapacityReading, ShardReading } from './read-capacity.ts';
import { SLOT_COUNT } from '../../model/slot-range.ts';

/** Demand so much above another is the same. */
const SAME_LOAD = 1.05;
/** After a scale-in that was misjudged, those who stay may have this much of the utilisation that they were given. */
const MISJUDGED_MARGIN = 0.85;

export interface ScaleInPlan {
  readonly steps: readonly PlannedCapacityStep[];
  /** Demand that those who stay are to carry; null: nothing leaves for want of load. */
  readonly leftForEcpu: number | null;
  /** Why not, or what: one sentence. */
  readonly text: string;
}

/** Takes one sample in. */
export function observePeak(nowMs: number, sample: Peak, state: ScaleInState): ScaleInState {
  const bucket = Math.floor(nowMs / PEAK_BUCKET_MS);
  if (state.bucket === bucket) {
    const newest = state.peaks.at(-1) ?? null;
    const most = {
      ecpu: Math.max(sample.ecpu, newest?.ecpu ?? 0),
      shards: Math.max(sample.shards, newest?.shards ?? 0),
    };
    return { ...state, peaks: [...state.peaks.slice(0, -1), most] };
  }
  const missed = state.bucket === null ? 0 : Math.min(PEAK_BUCKETS, bucket - state.bucket - 1);
  const gaps = Array.from({ length: Math.max(0, missed) }, () => null);
  return { ...state, bucket, peaks: [...state.peaks, ...gaps, sample].slice(-PEAK_BUCKETS) };
}

/**
 * Shards that the load of one sample needs at the utilisation that a scale-in may leave. Kept with the peak, for what made it
 * necessary (a hot slot, what a node was then known to do) may not be seen in the quiet that follows.
 */
export function shardsAtRest(
  ecpu: number,
  reading: CapacityReading,
  hot: readonly HotSlot[],
  state: ScaleInState,
): number {
  return shardsFor(ecpu, 0, reading, hot, restUtilisation(reading.params, state), 1);
}

/**
 * Shards were added: was the last scale-in a mistake? Too early, where the load came back soon; wrong, where no more came back
 * than it had counted on. And are older mistakes forgotten?
 */
export function observeRegret(
  nowMs: number,
  /** Demand that shards were added for; null: none were. */
  addedForEcpu: number | null,
  before: ScaleInState,
  params: PlannerParams,
): ScaleInState {
  let state = before;
  if (addedForEcpu !== null) {
    const { lastInMs, leftForEcpu } = state;
    if (lastInMs !== null && nowMs - lastInMs < params.regretMs) {
      const regrets = Math.min(params.regretsMaximum, state.regrets + 1);
      state = { ...state, regrets, regretAtMs: nowMs, lastInMs: null };
    }
    if (leftForEcpu !== null && addedForEcpu <= leftForEcpu * SAME_LOAD) {
      const misjudged = Math.min(params.regretsMaximum, state.misjudged + 1);
      state = { ...state, misjudged, regretAtMs: nowMs, leftForEcpu: null };
    }
    return state;
  }
  if (state.regretAtMs === null || nowMs - state.regretAtMs < params.regretForgetMs) return state;
  const { regrets, misjudged } = state;
  if (regrets === 0 && misjudged === 0) return state;
  return {
    ...state,
    regrets: Math.max(0, regrets - 1),
    misjudged: Math.max(0, misjudged - 1),
    regretAtMs: nowMs,
  };
}

/** Utilisation that those who stay may have after a scale-in; less for each that was misjudged. */
function restUtilisation(params: PlannerParams, { misjudged }: ScaleInState): number {
  return params.inUtilisation * MISJUDGED_MARGIN ** misjudged;
}

export function planScaleIn(
  reading: CapacityReading,
  state: ScaleInState,
  hot: readonly HotSlot[],
  /** Demand of earlier days in the time ahead; null: not known. */
  seasonPeak: number | null,
  taken: ReadonlySet<number>,
): ScaleInPlan {
  const { params } = reading;
  const stays = (text: string): ScaleInPlan => ({ steps: [], leftForEcpu: null, text });
  const staying = reading.shards.filter((shard) => shard.view.state !== 'draining');
  const draining = reading.shards.length - staying.length;
  const minimum = minimumShards(reading, params.inUtilisation);
  if (staying.length <= minimum) return stays(`${staying.length} shards are the minimum`);
  if (!reading.fresh || !reading.complete) return stays('metrics are missing: nothing leaves');
  if (staying.some((shard) => shard.view.state === 'joining')) return stays('a shard is joining');

  const most = Math.max(1, reading.view.limits.shardsMaximum);
  if (staying.length > most) return toMaximum(reading, staying, draining, most, taken);

  const rest = restUtilisation(params, state);
  const always = Math.max(
    minimum,
    shardsFor(seasonPeak ?? 0, reading.usedBytes, reading, hot, rest, params.memoryIn),
  );
  const longMs = params.inQuietMs * 2 ** state.regrets;
  const shortMs = longMs * params.inFarQuietShare;
  // Far over it takes less: even a load that comes back finds room.
  const shortPeak = peakOf(state, shortMs);
  const roomy =
    shortPeak === null ? null : Math.ceil(Math.max(always, shortPeak.shards) * params.inFarRatio);
  const far = roomy !== null && roomy < staying.length;
  const quietMs = far ? shortMs : longMs;
  const peak = far ? shortPeak : peakOf(state, longMs);
  if (peak === null) return stays(`not observed for ${Math.round(quietMs / 1000)} s without a gap`);
  const needed = far ? roomy : Math.max(always, peak.shards);
  const figures = `the most in ${Math.round(quietMs / 1000)} s was ${Math.round(peak.ecpu)} ECPU/s${seasonPeak === null ? '' : ` (earlier days: ${Math.round(seasonPeak)})`}, which ${Math.max(always, peak.shards)} shards carry at ${percent(rest)}`;
  if (needed >= staying.length) return stays(`${figures}; ${staying.length} are there`);

  const atOnce = Math.max(1, Math.floor(reading.shards.length * params.inShareMaximum)) - draining;
  const hotOwners = new Set(
    hot
      .filter((slot) => slot.load > params.hotShare * reading.newShardEcpu)
      .map((slot) => slot.shard),
  );
  const leaving = staying
    .filter((shard) => shard.idle && !taken.has(shard.shard) && !hotOwners.has(shard.shard))
    .sort((a, b) => cost(a, reading) - cost(b, reading) || b.shard - a.shard)
    .slice(0, Math.max(0, Math.min(staying.length - needed, atOnce)));
  return {
    steps: leaving.map((shard) => ({
      step: { kind: 'drain-shard', shard: shard.shard },
      reason: `${figures}; of ${staying.length}, shard ${shard.shard} carries least for its bytes`,
      rejected: [
        state.regrets > 0
          ? `sooner: ${state.regrets} scale-ins were regretted lately`
          : 'sooner: a short quiet says nothing',
        ...(staying.length - needed > leaving.length
          ? [`all ${staying.length - needed} at once: those that stay take their load in turn`]
          : []),
      ],
    })),
    leftForEcpu: leaving.length > 0 ? peak.ecpu : null,
    text: `${figures}; ${leaving.length} of ${staying.length} leave`,
  };
}

/** The user's maximum is no forecast: it is in force at once, as far as the data fits. */
function toMaximum(
  reading: CapacityReading,
  staying: readonly ShardReading[],
  draining: number,
  most: number,
  taken: ReadonlySet<number>,
): ScaleInPlan {
  const { params } = reading;
  const byMemory = shardsFor(0, reading.usedBytes, reading, [], 1, params.memoryUp);
  const figures = `the maximum in force is ${most} shards, ${staying.length} are there`;
  const needed = Math.max(most, byMemory);
  if (needed >= staying.length)
    return { steps: [], leftForEcpu: null, text: `${figures}; their data needs ${byMemory}` };
  const atOnce = Math.max(1, Math.floor(reading.shards.length * params.inShareMaximum)) - draining;
  const leaving = staying
    .filter((shard) => shard.idle && !taken.has(shard.shard))
    .sort((a, b) => cost(a, reading) - cost(b, reading) || b.shard - a.shard)
    .slice(0, Math.max(0, Math.min(staying.length - needed, atOnce)));
  return {
    steps: leaving.map((shard) => ({
      step: { kind: 'drain-shard', shard: shard.shard },
      reason: `${figures}; shard ${shard.shard} carries least for its bytes`,
      rejected: ['waiting for a quiet time: a maximum that was asked for is in force at once'],
    })),
    leftForEcpu: null,
    text: `${figures}; ${leaving.length} leave`,
  };
}

/** Null: not all of the time was observed. */
function peakOf(state: ScaleInState, quietMs: number): Peak | null {
  const buckets = Math.min(PEAK_BUCKETS, Math.ceil(quietMs / PEAK_BUCKET_MS) + 1);
  const window = state.peaks.slice(-buckets);
  if (window.length < buckets) return null;
  const most = { ecpu: 0, shards: 1 };
  for (const peak of window) {
    if (peak === null) return null;
    most.ecpu = Math.max(most.ecpu, peak.ecpu);
    most.shards = Math.max(most.shards, peak.shards);
  }
  return most;
}

/** Load, bytes and slots all have to be moved; where slots move key by key, each of them takes its time. */
function cost(shard: ShardReading, reading: CapacityReading): number {
  const load = (shard.load ?? 0) / Math.max(1, reading.newShardEcpu);
  const bytes = (shard.usedMemoryBytes ?? shard.slotBytes) / Math.max(1, reading.usedBytes);
  return load + bytes + shard.slots / SLOT_COUNT;
}
