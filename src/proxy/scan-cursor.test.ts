import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as fc from 'fast-check';
import { engineCursor, formatCursor, parseCursor, parseEngineCursor } from './scan-cursor.ts';

const place = fc.record(
  {
    slot: fc.integer({ min: 0, max: 16_383 }),
    position: fc.bigInt({ min: 0n, max: (1n << 33n) - 1n }),
    origin: fc.integer({ min: 0, max: 65_535 }),
    secondPass: fc.boolean(),
  },
  { noNullPrototype: true },
);

describe('the cursor of SCAN over shards', () => {
  it('comes back as it was given', () => {
    fc.assert(
      fc.property(place, (cursor) => assert.deepEqual(parseCursor(formatCursor(cursor)), cursor)),
    );
  });

  it('is read right as a double by clients while a slot has less than four million buckets', () => {
    fc.assert(
      fc.property(place, (cursor) => {
        const text = formatCursor({ ...cursor, position: cursor.position & ((1n << 22n) - 1n) });
        assert.equal(String(Number(text)), text);
      }),
    );
  });

  it('refuses what the engine calls invalid', () => {
    for (const text of [
      '',
      '-1',
      'x',
      '1x',
      '18446744073709551616',
      '99999999999999999999',
      '1.5',
      ' 1',
    ]) {
      assert.equal(parseCursor(text), null, text);
    }
    assert.notEqual(parseCursor('18446744073709551615'), null);
  });

  it("knows the engine's own: position above fourteen bits of slot", () => {
    assert.deepEqual(parseEngineCursor('4182'), { slot: 4182, position: 0n });
    assert.equal(engineCursor(5461, 3n), String(3 * 16_384 + 5461));
    assert.equal(parseEngineCursor('0'), null);
    fc.assert(
      fc.property(place, ({ slot, position }) => {
        fc.pre(slot > 0 || position > 0n);
        assert.deepEqual(parseEngineCursor(engineCursor(slot, position)), { slot, position });
      }),
    );
  });
});
