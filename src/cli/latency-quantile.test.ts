import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { LATENCY_BOUNDS_US } from '../model/usage.ts';
import { histogramOf } from './fake-api-server.ts';
import { histogramSince, latencyQuantileUs } from './latency-quantile.ts';

test('no requests, no quantile', () => {
  assert.equal(latencyQuantileUs(histogramOf(0, 0), 0.5), null);
});

test('a quantile lies in the bucket that holds its request, and grows with the fraction', () => {
  const counts = fc.array(fc.nat(1000), {
    minLength: LATENCY_BOUNDS_US.length + 1,
    maxLength: LATENCY_BOUNDS_US.length + 1,
  });
  fc.assert(
    fc.property(counts, fc.double({ min: 0.01, max: 0.99, noNaN: true }), (buckets, quantile) => {
      const count = buckets.reduce((sum, each) => sum + each, 0);
      fc.pre(count > 0);
      const histogram = { buckets, count, sumUs: 0 };
      const value = latencyQuantileUs(histogram, quantile)!;
      // Counted the slow way: the bucket of the request with this rank.
      let rank = Math.ceil(quantile * count);
      const bucket = buckets.findIndex((each) => (rank -= each) <= 0);
      const lower = bucket === 0 ? 0 : LATENCY_BOUNDS_US[bucket - 1]!;
      assert.ok(
        value >= lower && value <= (LATENCY_BOUNDS_US[bucket] ?? lower),
        `${value} in ${bucket}`,
      );
      assert.ok(latencyQuantileUs(histogram, 1)! >= value);
    }),
  );
});

test('between two readings: the difference; after a restart of a proxy: the later one', () => {
  const since = histogramSince(histogramOf(10, 3), histogramOf(25, 3));
  assert.equal(since.count, 15);
  assert.equal(since.buckets[3], 15);
  assert.equal(histogramSince(histogramOf(10, 3), histogramOf(4, 3)).count, 4);
  assert.equal(histogramSince(undefined, histogramOf(4, 3)).count, 4);
});
