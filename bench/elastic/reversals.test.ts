import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { moveReversals, shapeReversals } from './reversals.ts';

const shapes = (...counts: number[]) => counts.map((shards) => ({ shards }));
const moves = (...steps: string[]) => steps.map((step, startedAtMs) => ({ step, startedAtMs }));

suite('reversals', () => {
  test('up and then down is one; up twice is none', () => {
    assert.equal(shapeReversals(shapes(1, 1, 2, 2, 3, 3)), 0);
    assert.equal(shapeReversals(shapes(1, 2, 2, 1)), 1);
    assert.equal(shapeReversals(shapes(1, 2, 1, 2)), 2);
  });

  test('slots that go back where slots came from are one', () => {
    assert.equal(moveReversals(moves('move-slots 0 -> 1 (5 slots)', 'add-shard 2')), 0);
    assert.equal(
      moveReversals(moves('move-slots 0 -> 1 (5 slots)', 'move-slots 1 -> 0 (2 slots)')),
      1,
    );
  });
});
