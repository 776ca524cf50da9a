import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import * as fc from 'fast-check';
import { selectSlots, toRanges, type SlotWeight } from './select-slots.ts';

const NO_LIMIT = { bytes: 1e12, roomBytes: 1e12, ranges: 128 };

const even = (count: number): SlotWeight[] =>
  Array.from({ length: count }, (_, slot) => ({ slot, weight: 1, bytes: 100 }));

suite('selectSlots', () => {
  test('a flat load leaves as one run of neighbours', () => {
    const choice = selectSlots(even(1000), { ...NO_LIMIT, weight: 500 });
    assert.deepEqual(choice?.ranges, [{ first: 0, last: 499 }]);
  });

  test('hot slots leave singly, the hottest for their bytes first', () => {
    const slots = even(1000).map((one) => {
      if (one.slot === 10) return { ...one, weight: 200, bytes: 1e6 };
      return one.slot === 500 ? { ...one, weight: 200 } : one;
    });
    const choice = selectSlots(slots, { ...NO_LIMIT, weight: 210 });
    assert.deepEqual(choice?.ranges, [{ first: 500, last: 500 }]);
  });

  test('a slot larger than a job may take leaves alone, if the target has room for it', () => {
    const slot = { slot: 7, weight: 1, bytes: 1e9 };
    const tight = { weight: 10, bytes: 1e6, ranges: 128 };
    assert.deepEqual(selectSlots([slot], { ...tight, roomBytes: 2e9 })?.ranges, [
      { first: 7, last: 7 },
    ]);
    assert.equal(selectSlots([slot], { ...tight, roomBytes: 1e8 }), null);
  });

  test('whatever the slots are: within the budget, of the candidates, in order', () => {
    const slot = fc.record({
      weight: fc.double({ min: 0, max: 100, noNaN: true }),
      bytes: fc.integer({ min: 0, max: 10_000 }),
      gap: fc.integer({ min: 1, max: 3 }),
    });
    fc.assert(
      fc.property(
        fc.array(slot, { minLength: 1, maxLength: 200 }),
        fc.double({ min: 0.1, max: 2000, noNaN: true }),
        fc.integer({ min: 1, max: 200_000 }),
        fc.integer({ min: 2, max: 20 }),
        (made, weight, bytes, ranges) => {
          let next = 0;
          const candidates = made.map((one): SlotWeight => {
            next += one.gap;
            return { slot: next, weight: one.weight, bytes: one.bytes };
          });
          const choice = selectSlots(candidates, { weight, bytes, roomBytes: bytes, ranges });
          if (choice === null) return;
          const chosen = candidates.filter((one) =>
            choice.ranges.some(({ first, last }) => one.slot >= first && one.slot <= last),
          );
          assert.equal(chosen.length, choice.slots);
          const covered = choice.ranges.reduce((sum, { first, last }) => sum + last - first + 1, 0);
          assert.equal(covered, choice.slots, 'no slot of another shard is in a range');
          assert.ok(choice.weight <= weight * 1.000001);
          assert.ok(choice.bytes <= bytes);
          assert.ok(choice.ranges.length <= ranges);
        },
      ),
    );
  });

  test('ranges are inclusive and merged', () => {
    assert.deepEqual(toRanges([1, 2, 3, 7, 9, 10]), [
      { first: 1, last: 3 },
      { first: 7, last: 7 },
      { first: 9, last: 10 },
    ]);
  });
});
