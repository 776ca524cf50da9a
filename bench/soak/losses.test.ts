import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { lossesOf } from './losses.ts';

const loss = (firstLostMs: number, acknowledgedMs: number) => ({
  key: 'k',
  acknowledged: 9,
  found: 5,
  firstLostMs,
  acknowledgedMs,
});

suite('losses of a soak', () => {
  test('what was acknowledged in the moment before a primary died is excused, and counted', () => {
    const losses = lossesOf({ lost: [loss(9_700, 9_990)], lostCounts: [] }, [10_000]);
    assert.deepEqual(losses, { unexcused: [], excused: 1 });
  });

  test('what is older, younger, or lost without a death is not', () => {
    const old = loss(2_000, 9_990);
    const young = loss(10_500, 10_600);
    assert.equal(lossesOf({ lost: [old, young], lostCounts: [] }, [10_000]).unexcused.length, 2);
    assert.equal(lossesOf({ lost: [loss(9_700, 9_990)], lostCounts: [] }, []).unexcused.length, 1);
  });

  test('of unknown age it is not excused', () => {
    assert.equal(lossesOf({ lost: [loss(0, 9_990)], lostCounts: [] }, [10_000]).excused, 0);
  });

  test('increments are counted each', () => {
    const lostCounts = [{ key: 'c', count: 3, acknowledgedMs: 9_990, firstLostMs: 9_900 }];
    assert.equal(lossesOf({ lost: [], lostCounts }, [10_000]).excused, 3);
    assert.equal(lossesOf({ lost: [], lostCounts }, []).unexcused.length, 1);
  });
});
