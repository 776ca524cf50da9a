/**
 * Down, only after quiet: the peak of the whole quiet time (and of the same hour of earlier days) has to fit fewer shards
 * at a lower utilisation than the one that adds shards, and so has the memory. Far over, several leave at once. Each
 * scale-in that is regretted soon doubles the quiet that the next one needs: no period of load makes it flap.
 */
import { SLOTS, type PlannedCapacityStep } from './capacity-view.ts';
import type { HotSlot } from './hot-slots.ts';
import { percent } from './plan-io-threads.ts';
import type { PlannerParams } from './planner-params.ts';
import { PEAK_BUCKETS, PEAK_BUCKET_MS, type ScaleInState } from './planner-state.ts';
import { minimumShards, shardsFor } from './plan-shard-count.ts';
import type { CapacityReading, ShardReading } from './read-capacity.ts';

export interface ScaleInPlan {
  readonly steps: readonly PlannedCapacityStep[];
  /** Why not, or what: one sentence. */
  readonly text: string;
}

/** Takes the demand of one sample in. A bucket without a sample is -1: nobody knows what was asked for. */
export function observePeak(nowMs: number, demand: number, state: ScaleInState): ScaleInState {
  const bucket = Math.floor(nowMs / PEAK_BUCKET_MS);
  if (state.bucket === bucket) {
    const newest = state.peaks.at(-1) ?? -1;
    return demand <= newest ? state : { ...state, peaks: [...state.peaks.slice(0, -1), demand] };
  }
  const missed = state.bucket === null ? 0 : Math.min(PEAK_BUCKETS, bucket - state.bucket - 1);
  const gaps = Array.from({ length: Math.max(0, missed) }, () => -1);
  return { ...state, bucket, peaks: [...state.peaks, ...gaps, demand].slice(-PEAK_BUCKETS) };
}

/** Shards were added: was the last scale-in a mistake? And are older mistakes forgotten? */
export function observeRegret(
  nowMs: number,
  added: boolean,
  state: ScaleInState,
  params: PlannerParams,
): ScaleInState {
  if (added && state.lastInMs !== null && nowMs - state.lastInMs < params.regretMs) {
    const regrets = Math.min(params.regretsMaximum, state.regrets + 1);
    return { ...state, regrets, regretAtMs: nowMs, lastInMs: null };
  }
  if (
    state.regrets > 0 &&
    state.regretAtMs !== null &&
    nowMs - state.regretAtMs >= params.regretForgetMs
  )
    return { ...state, regrets: state.regrets - 1, regretAtMs: nowMs };
  return state;
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
  const stays = (text: string): ScaleInPlan => ({ steps: [], text });
  const staying = reading.shards.filter((shard) => shard.view.state !== 'draining');
  const draining = reading.shards.length - staying.length;
  const minimum = minimumShards(reading, params.inUtilisation);
  if (staying.length <= minimum) return stays(`${staying.length} shards are the minimum`);
  if (!reading.fresh || !reading.complete) return stays('metrics are missing: nothing leaves');
  if (staying.some((shard) => shard.view.state === 'joining')) return stays('a shard is joining');

  const most = Math.max(1, reading.view.limits.shardsMaximum);
  if (staying.length > most) return toMaximum(reading, staying, draining, most, taken);

  const neededFor = (ecpu: number): number =>
    Math.max(
      minimum,
      shardsFor(
        Math.max(ecpu, seasonPeak ?? 0),
        reading.usedBytes,
        reading,
        hot,
        params.inUtilisation,
        params.memoryIn,
      ),
    );
  const longMs = params.inQuietMs * 2 ** state.regrets;
  const shortMs = longMs * params.inFarQuietShare;
  const shortPeak = peakOf(state, shortMs);
  // Far over it takes less: even a load that comes back finds room.
  const far = shortPeak !== null && neededFor(shortPeak) * params.inFarRatio <= staying.length;
  const quietMs = far ? shortMs : longMs;
  const peak = far ? shortPeak : peakOf(state, longMs);
  if (peak === null) return stays(`not observed for ${Math.round(quietMs / 1000)} s without a gap`);
  const needed = far ? Math.ceil(neededFor(peak) * params.inFarRatio) - 1 : neededFor(peak);
  const figures = `the most in ${Math.round(quietMs / 1000)} s was ${Math.round(peak)} ECPU/s${seasonPeak === null ? '' : ` (earlier days: ${Math.round(seasonPeak)})`}, which ${needed} shards carry at ${percent(params.inUtilisation)}`;
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
    return { steps: [], text: `${figures}; their data needs ${byMemory}` };
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
    text: `${figures}; ${leaving.length} leave`,
  };
}

/** Null: not all of the time was observed. */
function peakOf(state: ScaleInState, quietMs: number): number | null {
  const buckets = Math.min(PEAK_BUCKETS, Math.ceil(quietMs / PEAK_BUCKET_MS) + 1);
  const window = state.peaks.slice(-buckets);
  if (window.length < buckets || window.some((peak) => peak < 0)) return null;
  return Math.max(...window);
}

/** Load, bytes and slots all have to be moved; where slots move key by key, each of them takes its time. */
function cost(shard: ShardReading, reading: CapacityReading): number {
  const load = (shard.load ?? 0) / Math.max(1, reading.newShardEcpu);
  const bytes = (shard.usedMemoryBytes ?? shard.slotBytes) / Math.max(1, reading.usedBytes);
  return load + bytes + shard.slots / SLOTS;
}
