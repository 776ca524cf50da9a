import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import * as fc from 'fast-check';
import { divideLimit } from './divide-limit.ts';

const demand = (usedPerSecond: number, waiting = 0) => ({ usedPerSecond, waiting });
const rounded = (shares: readonly number[]) => shares.map(Math.round);

suite('divideLimit', () => {
  test('the shares add up to the limit, and nobody has nothing', () => {
    const one = fc.record({
      usedPerSecond: fc.double({ min: 0, max: 1e7, noNaN: true }),
      waiting: fc.double({ min: 0, max: 1e4, noNaN: true }),
    });
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 15_000_000 }),
        fc.array(one, { minLength: 1, maxLength: 64 }),
        (maximum, demands) => {
          const shares = divideLimit(maximum, demands);
          const sum = shares.reduce((a, b) => a + b, 0);
          assert.ok(Math.abs(sum - maximum) < maximum * 1e-9, `${sum} of ${maximum}`);
          for (const share of shares)
            assert.ok(share >= ((maximum * 0.1) / demands.length) * 0.999, String(share));
        },
      ),
    );
  });

  test('proxies that do the same get the same', () => {
    assert.deepEqual(divideLimit(1000, [demand(0), demand(0)]), [500, 500]);
    assert.deepEqual(rounded(divideLimit(1000, [demand(300, 5), demand(300, 5)])), [500, 500]);
  });

  test('where clients wait, a client gets the same at every proxy', () => {
    const [few, many] = divideLimit(1000, [demand(500, 10), demand(500, 40)]);
    assert.equal(Math.round(few!), 50 + 180);
    assert.equal(Math.round(many!), 50 + 720);
  });

  test('who needs less keeps what it needs, and the rest is for those who wait', () => {
    const [content, hungry] = divideLimit(1000, [demand(200), demand(500, 3)]);
    assert.equal(Math.round(content!), 250);
    assert.equal(Math.round(hungry!), 750);
  });

  test('one proxy with all the clients soon has nearly all', () => {
    let shares = [500, 500];
    for (let second = 0; second < 3; second++)
      shares = divideLimit(1000, [demand(shares[0]!, 20), demand(0)]);
    assert.ok(shares[0]! >= 950);
  });
});
