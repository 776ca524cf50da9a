import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { DEFAULT_PLANNER_PARAMS as PARAMS } from './planner-params.ts';
import {
  HISTORY_BUCKETS,
  HISTORY_DAYS,
  freshPlannerState,
  type SeasonState,
} from './planner-state.ts';
import { observeSeason, seasonalDemand, seasonalPeak } from './season.ts';

const DAY = 86_400_000;
const MINUTE = 60_000;
const START = 200 * DAY;

function days(count: number, demand: (dayMs: number) => number): SeasonState {
  let state = freshPlannerState().season;
  for (let at = 0; at < count * DAY; at += 5 * MINUTE)
    state = observeSeason(START + at, demand(at % DAY), state);
  return state;
}

/** A peak at noon, an hour wide at its foot. */
const noon = (dayMs: number): number =>
  50_000 + 2_000_000 * Math.max(0, 1 - Math.abs(dayMs - DAY / 2) / (30 * MINUTE));

suite('season', () => {
  test('nothing is predicted before there are two earlier days', () => {
    const at = START + DAY + DAY / 2 - 20 * MINUTE;
    assert.equal(seasonalDemand(at, 50_000, days(1, noon), PARAMS), null);
  });

  test('with earlier days a peak is known before it comes, as strong as today is', () => {
    const state = days(3, noon);
    const at = START + 3 * DAY + DAY / 2 - 20 * MINUTE;
    const ahead = seasonalDemand(at, noon(DAY / 2 - 20 * MINUTE), state, PARAMS);
    assert.ok(ahead !== null && ahead > noon(DAY / 2 - 20 * MINUTE) * 1.2, `${ahead}`);
    assert.ok((seasonalPeak(at, 30 * MINUTE, state) ?? 0) > 1_500_000);
  });

  test('a load without a season is not predicted by one', () => {
    // Each day the peak is at another hour: the days before say nothing.
    let state = freshPlannerState().season;
    for (let at = 0; at < 5 * DAY; at += 5 * MINUTE) {
      const shift = Math.floor(at / DAY) * 5 * 3_600_000;
      state = observeSeason(START + at, noon((at + shift) % DAY), state);
    }
    assert.equal(seasonalDemand(START + 5 * DAY + DAY / 2, 1_000_000, state, PARAMS), null);
  });

  test('what is remembered is bounded', () => {
    const state = days(12, noon);
    assert.ok(state.rows.length <= HISTORY_DAYS + 1);
    for (const row of state.rows) assert.equal(row.length, HISTORY_BUCKETS);
  });
});
