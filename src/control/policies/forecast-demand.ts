/**
 * Demand now and a lead ahead: a fast average, Holt's damped trend (clipped, so that a step is not taken for a slope), and
 * the same hour of earlier days where that has proved better than assuming no change (`season.ts`).
 */
import type { CapacityReading } from './read-capacity.ts';
import type { PlannerParams } from './planner-params.ts';
import type { DemandState, SeasonState } from './planner-state.ts';
import { seasonalDemand } from './season.ts';

const LEVEL_MS = 1_500;
const TREND_MS = 5_000;
const BYTES_TREND_MS = 30_000;

export interface Demand {
  /** ECPU per second wanted now. */
  readonly now: number;
  /** The most of now, the trend ahead and the season ahead. */
  readonly ahead: number;
  readonly trendAhead: number;
  /** Null: no season that is worth its name. */
  readonly season: number | null;
  readonly bytesAhead: number;
}

/** Takes a new sample in; called once for each sample. */
export function observeDemand(
  reading: CapacityReading,
  state: DemandState,
  params: PlannerParams,
): DemandState {
  const { sampledAtMs } = reading.view.slots;
  const demand = wantedEcpu(reading);
  const bytes = reading.usedBytes;
  const gapMs = state.sampledAtMs === null ? null : sampledAtMs - state.sampledAtMs;
  // After a gap the old trend says nothing: begin again from what is seen.
  if (gapMs === null || gapMs <= 0 || gapMs > 10 * params.sampleStaleMs) {
    return { ...state, sampledAtMs, fast: demand, level: demand, trend: 0, bytes, bytesTrend: 0 };
  }
  const seconds = gapMs / 1000;
  const weight = (timeMs: number): number => 1 - Math.exp(-gapMs / timeMs);
  const level =
    state.level +
    state.trend * seconds +
    (demand - state.level - state.trend * seconds) * weight(LEVEL_MS);
  const trend = state.trend + ((level - state.level) / seconds - state.trend) * weight(TREND_MS);
  return {
    ...state,
    sampledAtMs,
    fast: state.fast + (demand - state.fast) * weight(params.fastEwmaMs),
    level,
    trend,
    bytes,
    bytesTrend:
      state.bytesTrend +
      ((bytes - state.bytes) / seconds - state.bytesTrend) * weight(BYTES_TREND_MS),
  };
}

export function forecastDemand(
  nowMs: number,
  state: DemandState,
  season: SeasonState,
  params: PlannerParams,
): Demand {
  const now = Math.max(0, state.fast);
  const leadSeconds = params.leadMs / 1000;
  const bytesAhead = state.bytes + Math.max(0, state.bytesTrend) * leadSeconds * 3;
  if (!params.forecast)
    return { now, ahead: now, trendAhead: now, season: null, bytesAhead: state.bytes };
  // Sum of damping^k over the lead: what the trend still adds.
  const reach =
    (params.trendDamping * (1 - params.trendDamping ** leadSeconds)) / (1 - params.trendDamping);
  const trendAhead = Math.min(
    Math.max(0, state.level + state.trend * reach),
    now * params.trendClip,
  );
  const seasonal = seasonalDemand(nowMs, now, season, params);
  return {
    now,
    ahead: Math.max(now, trendAhead, seasonal ?? 0),
    trendAhead,
    season: seasonal,
    bytesAhead,
  };
}

/** What the clients want: a saturated node serves less than is wanted, nobody knows how much less. */
function wantedEcpu(reading: CapacityReading): number {
  const { params, view } = reading;
  let wanted = 0;
  for (const shard of reading.shards) {
    const saturated = (shard.utilisation ?? 0) >= params.saturatedUtilisation;
    // What replicas and near caches answer is no work for a shard.
    const served = shard.relieved ? (shard.load ?? shard.ecpu) : shard.ecpu;
    wanted += served * (saturated ? params.saturatedGrowth : 1);
  }
  const maximum = view.limits.ecpuPerSecondMaximum;
  // What is above the request limit is throttled: nodes for it would stand idle.
  return maximum > 0 ? Math.min(wanted, maximum) : wanted;
}
