import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { plannerParamsOption } from './planner-params-option.ts';

suite('plannerParamsOption', () => {
  test('takes what the planner has', () => {
    const given = { inQuietMs: 20_000, forecast: false, ioThreadGain: [1, 1.5] };
    assert.deepEqual(plannerParamsOption(JSON.stringify(given)), given);
  });

  for (const [what, given] of [
    ['an unknown name', { quietMs: 1 }],
    ['a word for a number', { inQuietMs: '20 s' }],
    ['a number for a list', { ioThreadGain: 1 }],
    ['a list of words', { ioThreadGain: ['1'] }],
  ] as const) {
    test(`refuses ${what}`, () => {
      assert.throws(() => plannerParamsOption(JSON.stringify(given)), /--planner-params/);
    });
  }
});
