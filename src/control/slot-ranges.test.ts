import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { withoutRanges } from './slot-ranges.ts';

test('what is left of a range is exactly what nobody else has', () => {
  const range = fc
    .tuple(fc.nat(60), fc.nat(60))
    .map(([a, b]) => ({ first: Math.min(a, b), last: Math.max(a, b) }));
  fc.assert(
    fc.property(range, fc.array(range, { maxLength: 6 }), (whole, taken) => {
      const free = withoutRanges(whole, taken);
      const slots = free.flatMap(({ first, last }) =>
        Array.from({ length: last - first + 1 }, (_, i) => first + i),
      );
      const expected: number[] = [];
      for (let slot = whole.first; slot <= whole.last; slot++) {
        if (!taken.some(({ first, last }) => first <= slot && slot <= last)) expected.push(slot);
      }
      assert.deepEqual(slots, expected);
    }),
  );
});
