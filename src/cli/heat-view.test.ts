import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import {
  SLOT_MEASURES,
  type CacheHeatAnswer,
  type NodeHeat,
  type SlotMeasure,
} from '../model/heat.ts';
import { heatLines } from './heat-view.ts';
import { processTerminal } from './terminal.ts';

const bySlot = (over: Readonly<Record<number, number>> = {}) => {
  const values = Array.from({ length: 16_384 }, () => 0);
  for (const [slot, value] of Object.entries(over)) values[Number(slot)] = value;
  return values;
};

function heatOf(ecpu: number[], over: Partial<CacheHeatAnswer> = {}): CacheHeatAnswer {
  const rates = Object.fromEntries(
    SLOT_MEASURES.map((measure) => [measure, measure === 'ecpu' ? ecpu : bySlot()]),
  ) as Record<SlotMeasure, number[]>;
  return {
    cache: 'main',
    atMs: 1,
    sampledAtMs: 1,
    rates,
    smoothed: rates,
    keys: bySlot(),
    cpuUsPerSecond: bySlot(),
    memoryBytes: bySlot(),
    owners: bySlot().map((_, slot) => (slot < 8192 ? 0 : 1)),
    total: { requests: 0, ecpu: ecpu.reduce((a, b) => a + b, 0), bytesIn: 0, bytesOut: 0 },
    nodes: [],
    hotKeys: [],
    ...over,
  };
}

const terminal = { ...processTerminal({ NO_COLOR: '1' }), columns: 90, paint: (_: string, text: string) => text }; // prettier-ignore

suite('springtide heat', () => {
  test('the map: a cell for some slots, its shade by powers of two below the hottest', () => {
    // 90 columns: 64 cells of 16 slots in a row.
    const lines = heatLines(heatOf(bySlot({ 0: 400, 5: 400, 1024: 200, 1040: 100, 16_383: 1 })), 'ecpu', terminal); // prettier-ignore
    const rows = lines.filter((line) => /^ *\d+ .{64} [\d ]+$/.test(line));
    assert.equal(rows.length, 16);
    assert.equal(rows[0], `    0 █${' '.repeat(63)} 0`);
    // A quarter and an eighth of 800.
    assert.equal(rows[1], ` 1024 ▆▅${' '.repeat(62)} 0`);
    assert.equal(rows[15], `15360 ${' '.repeat(63)}· 1`);
    assert.ok(lines.some((line) => line.includes('█ 400 to 800')));
  });

  test('no load is said', () => {
    const lines = heatLines(heatOf(bySlot()), 'ecpu', terminal);
    assert.ok(lines.some((line) => line.trim() === 'no load'));
    assert.ok(!lines.some((line) => line.includes('TOP')));
  });

  test('a row of many shards names the first and the last', () => {
    const owners = bySlot().map((_, slot) => (slot < 10 ? -1 : slot % 9));
    const lines = heatLines(heatOf(bySlot(), { owners }), 'ecpu', terminal);
    assert.ok(lines.some((line) => line.startsWith('    0 ') && line.endsWith(' ? 0 1 … 8')));
  });

  test('top slots by what is asked for, with their share', () => {
    const text = heatLines(heatOf(bySlot({ 7: 300, 9000: 100 })), 'ecpu', terminal).join('\n');
    assert.match(text, /\n +7 +0 +75\.0 % .*\n +9000 +1 +25\.0 %/);
  });

  test('the bars of nodes give way to the width of the terminal', () => {
    const node: NodeHeat = {
      nodeId: 'node-0123456789ab',
      shard: 0,
      role: 'primary',
      utilisation: 1.02,
      ioThreads: 1,
      usedMemoryBytes: 25_000_000,
      memoryMaximumBytes: 1024 ** 3,
      datasetBytes: null,
      residentBytes: null,
      evictedKeysPerSecond: null,
      requestsPerSecond: 42_000,
      keys: 25_000,
      slots: 4096,
      ecpuPerSecond: 42_000,
      networkInPerSecond: 1_800_000,
      networkOutPerSecond: 220_000,
      replicationLagBytes: null,
    };
    const rowAt = (columns: number) =>
      heatLines(heatOf(bySlot(), { nodes: [node] }), 'ecpu', { ...terminal, columns }).find(
        (line) => line.includes('node-0123456789ab'),
      )!;
    assert.match(rowAt(200), / █{20} 102 % /);
    assert.ok(rowAt(120).length <= 120, rowAt(120));
    assert.match(rowAt(80), / █{5} 102 % /);
  });

  test('keys are any bytes', () => {
    const hotKeys = [
      { slot: 7, keyHex: '61001b5c', keyBytes: 4, readsPerSecond: 5000, writesPerSecond: 20 },
    ];
    const text = heatLines(heatOf(bySlot({ 7: 1 }), { hotKeys }), 'ecpu', terminal).join('\n');
    assert.match(text, /\na\\x00\\x1b\\x5c +7 +5k +20/);
  });
});
