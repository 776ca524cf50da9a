import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { DEFAULT_POOL_PARAMS, planPool, type PoolView } from './plan-pool.ts';

const PARAMS = { ...DEFAULT_POOL_PARAMS, coldStartMs: 60_000, doublingMs: 120_000, maximum: 1000 };
const view = (part: Partial<PoolView>): PoolView => ({
  cacheNodes: [20],
  ready: 0,
  starting: 0,
  missing: 0,
  roomNodes: 1000,
  ...part,
});

suite('planPool', () => {
  test('has enough for a whole shard of the cache with the most copies', () => {
    const small = view({ cacheNodes: [3], ready: 1, shardNodes: 3 });
    assert.equal(planPool(small, { ...PARAMS, coldStartMs: 1 }).target, 3);
  });

  test('N nodes that double in T2 need N (2^(Tcold/T2) - 1) while new ones start', () => {
    assert.equal(planPool(view({}), PARAMS).target, 9);
    assert.equal(planPool(view({}), { ...PARAMS, doublingMs: 30_000 }).target, 60);
  });

  test('what starts already is not started again, and is refilled in parallel', () => {
    assert.equal(planPool(view({ starting: 5 }), PARAMS).start, 4);
    assert.equal(planPool(view({ starting: 9 }), PARAMS).start, 0);
  });

  test('nodes that were missing are added, the cost and the hosts bound it', () => {
    assert.equal(planPool(view({ missing: 7 }), PARAMS).target, 16);
    assert.equal(planPool(view({ missing: 7 }), { ...PARAMS, maximum: 12 }).target, 12);
    const room = planPool(view({ ready: 2, roomNodes: 3 }), PARAMS);
    assert.equal(room.start, 3);
    assert.match(room.reason, /room for 3/);
  });

  test('a surplus is stopped, but not at the edge and not while nodes start', () => {
    assert.equal(planPool(view({ ready: 11 }), PARAMS).stop, 0);
    assert.equal(planPool(view({ ready: 20 }), PARAMS).stop, 8);
    assert.equal(planPool(view({ ready: 20, starting: 1 }), PARAMS).stop, 0);
  });

  test('many caches rarely burst together: only their share counts, but the largest always', () => {
    const cacheNodes = [30, ...Array.from({ length: 99 }, () => 1)];
    const some = planPool(view({ cacheNodes }), { ...PARAMS, burstShare: 0.1 });
    assert.equal(some.target, Math.ceil(30 * (Math.SQRT2 - 1)));
  });
});
