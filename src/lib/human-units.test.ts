import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import {
  formatAge,
  formatBytes,
  formatCount,
  formatMicros,
  parseBytes,
  parseCount,
  parseDurationMs,
} from './human-units.ts';

test('sizes are read with the units of valkey.conf', () => {
  assert.equal(parseBytes('1048576'), 1048576);
  assert.equal(parseBytes('512mb'), 512 * 1024 ** 2);
  assert.equal(parseBytes('2GB'), 2 * 1024 ** 3);
  assert.equal(parseBytes('1k'), 1000);
  assert.equal(parseBytes('1.5 KiB'), 1536);
  for (const wrong of ['', 'mb', '-1', '5 parsecs', '1e3', '99999999tb'])
    assert.throws(() => parseBytes(wrong), RangeError, wrong);
});

test('a size that is shown can be read back, right to three figures', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 2 ** 50 }), (bytes) => {
      const again = parseBytes(formatBytes(bytes));
      assert.ok(
        Math.abs(again - bytes) <= bytes / 100,
        `${bytes} -> ${formatBytes(bytes)} -> ${again}`,
      );
    }),
  );
});

test('sizes and counts never need more than four digits', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 2 ** 49 }), (value) => {
      for (const text of [formatBytes(value), formatCount(value)])
        assert.ok(text.replace(/\D/g, '').length <= 4, text);
    }),
  );
  assert.equal(formatBytes(0), '0 B');
  assert.equal(formatBytes(1024 * 1024 - 1), '1 MB');
  assert.equal(formatCount(999_999), '1M');
  assert.equal(formatCount(12_345), '12.3k');
});

test('counts and durations', () => {
  assert.equal(parseCount('10k'), 10_000);
  assert.equal(parseCount('1.5m'), 1_500_000);
  assert.throws(() => parseCount('10kb'), RangeError);
  assert.equal(parseDurationMs('5s'), 5000);
  assert.equal(parseDurationMs('250'), 250);
  assert.equal(parseDurationMs('1m'), 60_000);
  assert.throws(() => parseDurationMs('5h'), RangeError);
});

test('latencies and ages', () => {
  assert.equal(formatMicros(80), '80 µs');
  assert.equal(formatMicros(1250), '1.25 ms');
  assert.equal(formatMicros(5_000_000), '5 s');
  assert.equal(formatAge(59_999), '59s');
  assert.equal(formatAge(185_000), '3m 5s');
  assert.equal(formatAge(7_800_000), '2h 10m');
  assert.equal(formatAge(100 * 3_600_000), '4d 4h');
  assert.equal(formatAge(-5), '0s');
});
