/**
 * The same hour of earlier days (P-Store's seasonal term): the peak of demand in each quarter of an hour, kept for a week.
 * Used once there are two earlier days, and only while it has been the better prediction than "no change".
 */
import type { PlannerParams } from './planner-params.ts';
import {
  HISTORY_BUCKETS,
  HISTORY_BUCKET_MS,
  HISTORY_DAYS,
  type SeasonState,
} from './planner-state.ts';

const DAY_MS = 86_400_000;
const DAYS_AT_LEAST = 2;
const ERROR_WEIGHT = 0.1;
/** Today may be stronger or weaker than earlier days, within this factor. */
const OFFSET_LIMIT = 1.5;
/** A tenth of a node's worth of demand decides nothing: below it an offset is noise. */
const SMALL_SHARE = 0.1;

/** Takes the demand of one sample in. */
export function observeSeason(nowMs: number, demand: number, state: SeasonState): SeasonState {
  const day = Math.floor(nowMs / DAY_MS);
  const index = bucketOf(nowMs);
  const number = Math.floor(nowMs / HISTORY_BUCKET_MS);
  const rolled = state.days.at(-1) === day ? state : withDay(state, day);
  const row = rolled.rows.at(-1)!;
  const before = row[index]!;
  let { seasonalError, naiveError, predicted } = rolled;
  if (predicted === null || predicted.bucket !== number) {
    const ended = previousPeak(rolled, day, index);
    if (predicted !== null && ended !== null && predicted.bucket === number - 1) {
      naiveError = blend(naiveError, relativeError(predicted.naive, ended));
      if (predicted.seasonal !== null)
        seasonalError = blend(seasonalError, relativeError(predicted.seasonal, ended));
    }
    predicted = {
      bucket: number,
      seasonal: typicalPeak(rolled, index),
      naive: ended ?? demand,
    };
  } else if (before >= demand) {
    return rolled;
  }
  const rows = [...rolled.rows];
  rows[rows.length - 1] = row.with(index, Math.max(before, Math.round(demand)));
  return { days: rolled.days, rows, seasonalError, naiveError, predicted };
}

/** Demand that earlier days had from now to the lead ahead, scaled by how today compares; null: nothing to go by. */
export function seasonalDemand(
  nowMs: number,
  now: number,
  state: SeasonState,
  params: PlannerParams,
): number | null {
  const { seasonalError, naiveError } = state;
  if (seasonalError === null || naiveError === null || seasonalError >= naiveError) return null;
  const here = typicalAt(nowMs, state);
  const there = typicalAt(nowMs + params.seasonLeadMs, state);
  if (here === null || there === null) return null;
  const ratio = here > params.nodeEcpu * SMALL_SHARE ? now / here : 1;
  const offset = Math.min(OFFSET_LIMIT, Math.max(1 / OFFSET_LIMIT, ratio));
  return there * offset;
}

/** The most that earlier days had between now and `aheadMs` later; null: nothing to go by. */
export function seasonalPeak(nowMs: number, aheadMs: number, state: SeasonState): number | null {
  const { seasonalError, naiveError } = state;
  if (seasonalError === null || naiveError === null || seasonalError >= naiveError) return null;
  let peak: number | null = null;
  for (let at = nowMs; at <= nowMs + aheadMs; at += HISTORY_BUCKET_MS) {
    const typical = typicalPeak(state, bucketOf(at));
    if (typical !== null) peak = Math.max(peak ?? 0, typical);
  }
  return peak;
}

/** Between the middles of two buckets the line between their peaks. */
function typicalAt(atMs: number, state: SeasonState): number | null {
  const shifted = atMs - HISTORY_BUCKET_MS / 2;
  const left = typicalPeak(state, bucketOf(shifted));
  const right = typicalPeak(state, bucketOf(shifted + HISTORY_BUCKET_MS));
  if (left === null || right === null) return left ?? right;
  const part = (shifted % HISTORY_BUCKET_MS) / HISTORY_BUCKET_MS;
  return left + (right - left) * part;
}

/** Mean of the bucket's peaks of earlier days; null below DAYS_AT_LEAST of them. */
function typicalPeak(state: SeasonState, index: number): number | null {
  let sum = 0;
  let days = 0;
  for (const row of state.rows.slice(0, -1)) {
    const peak = row[index]!;
    if (peak < 0) continue;
    sum += peak;
    days += 1;
  }
  return days < DAYS_AT_LEAST ? null : sum / days;
}

function withDay(state: SeasonState, day: number): SeasonState {
  const empty = Array.from({ length: HISTORY_BUCKETS }, () => -1);
  return {
    ...state,
    days: [...state.days, day].slice(-HISTORY_DAYS - 1),
    rows: [...state.rows, empty].slice(-HISTORY_DAYS - 1),
  };
}

function previousPeak(state: SeasonState, day: number, index: number): number | null {
  const row =
    index > 0 ? state.rows.at(-1) : state.days.at(-2) === day - 1 ? state.rows.at(-2) : undefined;
  const peak = row?.[index > 0 ? index - 1 : HISTORY_BUCKETS - 1] ?? -1;
  return peak < 0 ? null : peak;
}

function bucketOf(atMs: number): number {
  return Math.floor((atMs % DAY_MS) / HISTORY_BUCKET_MS);
}

function relativeError(predicted: number, actual: number): number {
  return Math.abs(predicted - actual) / Math.max(1, actual);
}

function blend(before: number | null, value: number): number {
  return before === null ? value : before + (value - before) * ERROR_WEIGHT;
}
