import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import type { HotKeyReport, SlotHeatReport } from '../model/heat.ts';
import { SlotRatesBoard } from './slot-rates.ts';

/** By slot: requests, ECPU, bytes in, bytes out. */
type Counts = Readonly<Record<number, readonly [number, number, number, number]>>;

function report(sequence: number, counts: Counts, over: Partial<SlotHeatReport> = {}) {
  const slots = Object.keys(counts).map(Number);
  const bytes = Buffer.concat([
    Buffer.from(
      Float32Array.from([0, 1, 2, 3].flatMap((i) => slots.map((slot) => counts[slot]![i]!))).buffer,
    ),
    Buffer.from(Uint16Array.from(slots).buffer),
  ]);
  return {
    cache: 'main',
    cacheId: 'c',
    sequence,
    intervalMs: 1000,
    slots: slots.length,
    columns: bytes.toString('base64'),
    hotKeys: [],
    ...over,
  } satisfies SlotHeatReport;
}

suite('SlotRatesBoard', () => {
  test('proxies are summed, whatever time their reports cover', () => {
    const board = new SlotRatesBoard();
    board.report(0, 1, report(1, { 5: [10, 20, 30, 40], 16_383: [1, 1, 1, 1] }), 1000);
    board.report(1, 2, report(1, { 5: [4, 6, 8, 10] }, { intervalMs: 2000 }), 1100);
    board.tick(1200);
    assert.equal(board.rates.requests[5], 12);
    assert.equal(board.rates.ecpu[5], 23);
    assert.equal(board.rates.bytesIn[5], 34);
    assert.equal(board.rates.bytesOut[5], 45);
    assert.deepEqual(board.total(), { requests: 13, ecpu: 24, bytesIn: 35, bytesOut: 46 });
    assert.equal(board.sampledAtMs, 1100);
  });

  test('a report that comes again is not counted again; one of another process is', () => {
    const board = new SlotRatesBoard();
    board.report(0, 1, report(2, { 5: [10, 10, 0, 0] }), 1000);
    board.report(0, 1, report(2, { 5: [99, 99, 0, 0] }), 1100);
    board.report(0, 1, report(1, { 5: [99, 99, 0, 0] }), 1100);
    board.tick(1200);
    assert.equal(board.rates.requests[5], 10);
    board.report(0, 7, report(1, { 5: [3, 3, 0, 0] }), 1300);
    board.tick(1400);
    assert.equal(board.rates.requests[5], 3);
  });

  test('a proxy that says nothing any more has no load', () => {
    const board = new SlotRatesBoard();
    board.report(0, 1, report(1, { 5: [10, 10, 0, 0] }), 1000);
    board.tick(3000);
    assert.equal(board.rates.requests[5], 10);
    board.tick(4000);
    assert.equal(board.rates.requests[5], 0);
  });

  test('what is smoothed comes near a constant rate, and goes after it has ended', () => {
    const board = new SlotRatesBoard();
    let nowMs = 0;
    for (let n = 1; n <= 10; n++) {
      nowMs += 1000;
      board.report(0, 1, report(n, { 5: [100, 100, 0, 0] }), nowMs);
      board.tick(nowMs);
      if (n === 1) assert.ok(board.smoothed.requests[5]! > 40 && board.smoothed.requests[5]! < 60);
    }
    assert.ok(Math.abs(board.smoothed.requests[5]! - 100) < 1);
    for (let n = 0; n < 12; n++) board.tick((nowMs += 1000));
    assert.ok(board.smoothed.requests[5]! < 1);
  });

  test('columns of another length than said are nobody’s', () => {
    const board = new SlotRatesBoard();
    board.report(0, 1, report(1, { 5: [1, 1, 1, 1] }, { slots: 2 }), 1000);
    board.report(1, 1, report(1, { 5: [1, 1, 1, 1] }, { columns: 'AAAA' }), 1000);
    board.tick(1000);
    assert.equal(board.rates.requests[5], 0);
  });

  test('hot keys of several proxies are one', () => {
    const key = (readsPerSecond: number, keyHex = '61'): HotKeyReport => ({
      slot: 5,
      keyHex,
      keyBytes: 1,
      readsPerSecond,
      writesPerSecond: 1,
    });
    const board = new SlotRatesBoard();
    board.report(0, 1, report(1, {}, { hotKeys: [key(10), key(15, '62')] }), 1000);
    board.report(1, 1, report(1, {}, { hotKeys: [key(20)] }), 1000);
    assert.deepEqual(
      board.hotKeys(1000).map((hot) => [hot.keyHex, hot.readsPerSecond, hot.writesPerSecond]),
      [
        ['61', 30, 2],
        ['62', 15, 1],
      ],
    );
  });

  test('a load that has gone leaves nothing behind, and may come again', () => {
    const board = new SlotRatesBoard();
    const idle = new SlotRatesBoard();
    let nowMs = 1000;
    board.report(0, 1, report(1, { 5: [1e6, 1e6, 0, 0] }), nowMs);
    for (let n = 0; n < 60; n++) board.tick((nowMs += 1000));
    assert.equal(board.rates, idle.rates);
    assert.equal(board.smoothed, idle.smoothed);
    board.report(0, 1, report(2, { 6: [10, 10, 0, 0] }), nowMs);
    board.tick(nowMs + 1000);
    assert.deepEqual([board.rates.requests[5], board.rates.requests[6]], [0, 10]);
    assert.equal(idle.rates.requests[6], 0);
  });
});
