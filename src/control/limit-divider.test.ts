import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { cacheSpecSchema } from '../model/cache-spec.ts';
import { LimitDivider } from './limit-divider.ts';
import type { CacheRecord } from './store-records.ts';
import type { CacheRates } from './usage-board.ts';

function setUp(ecpuPerSecondMaximum: number) {
  const spec = cacheSpecSchema.parse({ name: 'main', limits: { ecpuPerSecondMaximum } });
  const rates = new Map<number, CacheRates>();
  const shares = new Map<number, number>();
  const events: string[] = [];
  let nowMs = 1000;
  const divider = new LimitDivider({
    store: { caches: () => [{ id: 'c', name: 'main', spec } as CacheRecord] },
    usage: { ratesByProxy: () => rates },
    share: (proxy, _cache, ecpuPerSecond) => shares.set(proxy, ecpuPerSecond),
    event: (_cache, kind) => events.push(kind),
    now: () => nowMs,
  });
  return {
    rates,
    shares,
    events,
    tick: (passedMs = 1000) => {
      nowMs += passedMs;
      divider.tick();
    },
  };
}

const quiet: CacheRates = { ecpuPerSecond: 100, throttledPerSecond: 0, throttledMsPerSecond: 0 };
const hungry: CacheRates = {
  ecpuPerSecond: 500,
  throttledPerSecond: 50,
  throttledMsPerSecond: 20_000,
};

suite('LimitDivider', () => {
  test('every proxy that reports is told its part, each second', () => {
    const { rates, shares, tick } = setUp(1000);
    rates.set(0, quiet).set(3, quiet);
    tick();
    assert.deepEqual([...shares], [[0, 500], [3, 500]]); // prettier-ignore
    rates.set(3, hungry);
    tick();
    assert.ok(shares.get(3)! > 800);
    // Its clients have gone to the other one.
    rates.set(3, quiet).set(0, hungry);
    tick();
    assert.ok(shares.get(0)! > 800, String(shares.get(0)));
  });

  test('a cache without a limit is nobody’s business', () => {
    const { rates, shares, tick } = setUp(0);
    rates.set(0, hungry);
    tick();
    assert.equal(shares.size, 0);
  });

  test('that requests wait is told once, until it has been otherwise for a minute', () => {
    const { rates, events, tick } = setUp(1000);
    rates.set(0, quiet);
    tick();
    assert.deepEqual(events, []);
    rates.set(0, hungry);
    for (let i = 0; i < 100; i++) tick();
    assert.deepEqual(events, ['requests-throttled']);
    rates.set(0, quiet);
    for (let i = 0; i < 61; i++) tick();
    rates.set(0, hungry);
    tick();
    assert.equal(events.length, 2);
  });
});
