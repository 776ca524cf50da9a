import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import * as fc from 'fast-check';
import { LoadSchedule } from './load-schedule.ts';

suite('a load schedule', () => {
  test('holds, ramps in a straight line, and holds again', () => {
    const schedule = new LoadSchedule([
      { atMs: 0, perSecond: 30_000 },
      { atMs: 1_000, perSecond: 30_000 },
      { atMs: 6_000, perSecond: 240_000 },
    ]);
    assert.equal(schedule.dueBy(1_000), 30_000);
    // Five seconds at 135,000 on the average.
    assert.equal(Math.round(schedule.dueBy(6_000)), 30_000 + 675_000);
    assert.equal(Math.round(schedule.dueBy(7_000)), 30_000 + 675_000 + 240_000);
  });

  test('tells when a request is due: the inverse of how many are', () => {
    const rates = fc.array(
      fc.record({ lengthMs: fc.integer({ min: 1, max: 10_000 }), perSecond: fc.nat(500_000) }),
      { minLength: 1, maxLength: 6 },
    );
    fc.assert(
      fc.property(rates, fc.nat(60_000), (pieces, atMs) => {
        let at = 0;
        const points = pieces.map(({ lengthMs, perSecond }) => {
          const point = { atMs: at, perSecond };
          at += lengthMs;
          return point;
        });
        const schedule = new LoadSchedule(points);
        const due = schedule.dueBy(atMs);
        const time = schedule.timeOf(due);
        // Where nothing is due for a while, every time in it is an inverse.
        if (time === Infinity) return;
        assert.ok(Math.abs(schedule.dueBy(time) - due) < 1e-6 * Math.max(1, due) + 1e-3);
      }),
    );
  });

  test('never asks for what no rate asks for', () => {
    assert.equal(new LoadSchedule([{ atMs: 0, perSecond: 0 }]).timeOf(1), Infinity);
  });
});
