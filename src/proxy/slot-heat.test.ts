import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { SLOT_MEASURES, type SlotHeatReport } from '../model/heat.ts';
import { SlotHeat } from './slot-heat.ts';

const CACHE = { name: 'main', id: 'c' };

/** By slot: requests, ECPU, bytes in, bytes out. */
function countsOf({ slots, columns }: SlotHeatReport): Record<number, number[]> {
  const bytes = Buffer.from(columns, 'base64');
  assert.equal(bytes.length, slots * 18);
  return Object.fromEntries(
    Array.from({ length: slots }, (_, i) => [
      bytes.readUInt16LE(slots * 16 + i * 2),
      SLOT_MEASURES.map((_, measure) => bytes.readFloatLE((measure * slots + i) * 4)),
    ]),
  );
}

suite('SlotHeat', () => {
  test('a report has the slots with traffic, and what they grew by since the last', () => {
    const heat = new SlotHeat(0);
    heat.count(5, 1, 100, 156);
    heat.count(5, 1, 1024, 1024);
    heat.count(16_383, 3, 10, 10);
    heat.count(-1, 1, 10, 10);
    assert.equal(heat.ecpu, 1 + 2 + 3 + 1);
    const first = heat.report(CACHE, 1000)!;
    assert.deepEqual(countsOf(first), { 5: [2, 3, 1124, 1180], 16383: [1, 3, 10, 10] });
    assert.equal(first.intervalMs, 1000);
    heat.taken(first.sequence);
    heat.count(5, 1, 1, 1);
    const second = heat.report(CACHE, 2500)!;
    assert.deepEqual(countsOf(second), { 5: [1, 1, 1, 1] });
    assert.equal(second.sequence, first.sequence + 1);
    assert.equal(second.intervalMs, 1500);
  });

  test('until control has a report it stays the same, and what comes meanwhile is in the next', () => {
    const heat = new SlotHeat(0);
    heat.count(5, 1, 0, 0);
    const first = heat.report(CACHE, 1000)!;
    heat.count(5, 1, 0, 0);
    assert.equal(heat.report(CACHE, 2000), first);
    heat.taken(first.sequence - 1);
    heat.count(6, 1, 0, 0);
    assert.equal(heat.report(CACHE, 3000), first);
    heat.taken(first.sequence);
    const next = heat.report(CACHE, 4000)!;
    assert.deepEqual(countsOf(next), { 5: [1, 1, 0, 0], 6: [1, 1, 0, 0] });
    assert.equal(next.intervalMs, 3000);
  });

  test('a cache without traffic says so each second: silence is something else', () => {
    const heat = new SlotHeat(0);
    for (const nowMs of [1000, 2000, 3000]) {
      const report = heat.report(CACHE, nowMs)!;
      assert.deepEqual([report.slots, report.intervalMs], [0, 1000]);
      heat.taken(report.sequence);
    }
    heat.count(5, 1, 0, 0);
    const report = heat.report(CACHE, 4000)!;
    assert.deepEqual([report.slots, report.intervalMs], [1, 1000]);
  });

  test('keys are watched where control says so', () => {
    const heat = new SlotHeat(0);
    assert.equal(heat.watched, null);
    heat.watch([3, 99_999, -1]);
    assert.equal(heat.watched![3], 1);
    assert.equal(heat.watched![4], 0);
    const key = Buffer.from('k');
    for (let i = 0; i < 8000; i++) heat.noteKey(3, key, 0, 1, i % 4 !== 0);
    const [hot] = heat.report(CACHE, 1000)!.hotKeys;
    assert.equal(hot!.keyHex, '6b');
    assert.equal(hot!.slot, 3);
    // One in eight is looked at: an estimate, halved because its time has just begun.
    assert.ok(Math.abs(hot!.readsPerSecond - 3000) < 900, String(hot!.readsPerSecond));
    assert.ok(Math.abs(hot!.writesPerSecond - 1000) < 500, String(hot!.writesPerSecond));
    heat.watch([]);
    assert.equal(heat.watched, null);
    assert.equal(heat.hotKeys, null);
  });

  test('a slot that takes much of the traffic is watched without being told, and some time longer', () => {
    const heat = new SlotHeat(0);
    const second = (n: number, hot: number) => {
      for (let slot = 100; slot < 200; slot++)
        for (let i = 0; i < 50; i++) heat.count(slot, 1, 0, 0);
      for (let i = 0; i < hot; i++) heat.count(7, 1, 0, 0);
      const report = heat.report(CACHE, n * 1000);
      if (report !== null) heat.taken(report.sequence);
    };
    second(1, 500);
    assert.equal(heat.watched, null);
    second(2, 600);
    assert.equal(heat.watched![7], 1);
    assert.equal(heat.watched![100], 0);
    for (let n = 3; n < 12; n++) second(n, 0);
    assert.equal(heat.watched?.[7], 1);
    second(12, 0);
    assert.equal(heat.watched, null);
  });

  test('of many requests a part is counted for all of them, what is metered is exact; few are counted each', () => {
    const heat = new SlotHeat(0);
    const second = (requests: number, atMs: number) => {
      for (let i = 0; i < requests; i++) heat.count(i % 50, 1, 10, 20);
      const report = heat.report(CACHE, atMs)!;
      heat.taken(report.sequence);
      return countsOf(report);
    };
    second(100_000, 1000);
    const busy = second(100_000, 2000);
    assert.equal(heat.ecpu, 200_000);
    const all = Object.values(busy).reduce((sum, [requests]) => sum + requests!, 0);
    assert.ok(Math.abs(all - 100_000) < 2_000, `${all} of 100000`);
    assert.equal(Object.keys(busy).length, 50);
    for (const [requests, ecpu, bytesIn, bytesOut] of Object.values(busy)) {
      assert.ok(Math.abs(requests! - 2000) < 400, `${requests} of 2000`);
      assert.deepEqual([ecpu, bytesIn, bytesOut], [requests, 10 * requests!, 20 * requests!]);
    }
    second(100, 3000);
    const few = second(100, 4000);
    assert.deepEqual(few[7], [2, 2, 20, 40]);
  });

  test('few requests make no slot hot', () => {
    const heat = new SlotHeat(0);
    for (let i = 0; i < 150; i++) heat.count(7, 1, 0, 0);
    heat.report(CACHE, 1000);
    assert.equal(heat.watched, null);
  });

  test('many idle caches hold little memory; one that was idle for long counts as before', () => {
    const before = process.memoryUsage().arrayBuffers;
    const idle = Array.from({ length: 200 }, () => new SlotHeat(0));
    for (const heat of idle) heat.report(CACHE, 1000);
    const each = (process.memoryUsage().arrayBuffers - before) / idle.length;
    assert.ok(each < 100_000, `${each} bytes each`);

    const heat = new SlotHeat(0);
    heat.count(5, 1, 0, 0);
    for (let second = 1; second <= 100; second++)
      heat.taken(heat.report(CACHE, second * 1000)!.sequence);
    heat.count(5, 1, 0, 0);
    heat.count(6, 1, 0, 0);
    assert.deepEqual(countsOf(heat.report(CACHE, 101_000)!), { 5: [1, 1, 0, 0], 6: [1, 1, 0, 0] });
  });
});
