import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import * as fc from 'fast-check';
import { LatencyHistogram } from './latency-histogram.ts';

suite('a latency histogram', () => {
  test('tells quantiles within an eighth, never too low', () => {
    const samples = fc.array(fc.integer({ min: 1, max: 50_000_000 }), {
      minLength: 1,
      maxLength: 200,
    });
    fc.assert(
      fc.property(samples, fc.constantFrom(0.5, 0.9, 0.99, 1), (all, q) => {
        const histogram = new LatencyHistogram();
        for (const us of all) histogram.record(us);
        const exact = all.toSorted((a, b) => a - b)[Math.ceil(q * all.length) - 1]! / 1000;
        const told = histogram.quantileMs(q);
        assert.ok(told >= exact && told <= exact * 1.125 + 0.001, `${told} for ${exact}`);
      }),
    );
  });

  test('adds up, with the largest of both', () => {
    const one = new LatencyHistogram();
    one.record(100, 99);
    const other = new LatencyHistogram();
    other.record(2_000_000);
    one.add(LatencyHistogram.of(other.counts, other.maximumUs));
    assert.equal(one.total, 100);
    assert.equal(one.maximumMs, 2_000);
    assert.ok(one.quantileMs(0.99) < 1);
    assert.equal(one.quantileMs(1), 2_000);
  });
});
