import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Sample } from './sample.ts';
import {
  cellsOf,
  median,
  pairedRatios,
  requestsPerSecondOf,
  spreadOf,
  summarise,
} from './summary.ts';

function run(changes: Partial<Sample>): Sample {
  return {
    target: 'direct',
    command: 'get',
    clients: 50,
    pipeline: 1,
    tls: false,
    repetition: 1,
    requests: 1_000_000,
    wallSeconds: 10,
    requestsPerSecond: 100_000,
    p50Ms: 0.5,
    p99Ms: 1,
    cpuSeconds: { proxy: 0, node: 10, other: 0 },
    ...changes,
  };
}

test('the median of an odd and of an even number of values', () => {
  assert.equal(median([9, 1, 5]), 5);
  assert.equal(median([4, 1, 3, 2]), 2.5);
  assert.throws(() => median([]), RangeError);
  assert.equal(spreadOf([]), null);
  assert.deepEqual(spreadOf([3, 1, 2]), { median: 2, low: 1, high: 3, pairs: 3 });
});

test('a ratio pairs runs of one repetition and command, not medians of each', () => {
  // The machine is twice as fast in the second repetition: both ratios are 0.5 all the same.
  const direct = [run({ requestsPerSecond: 100 }), run({ repetition: 2, requestsPerSecond: 200 })];
  const proxy = [
    run({ target: 'p', requestsPerSecond: 50 }),
    run({ target: 'p', repetition: 2, requestsPerSecond: 100 }),
  ];
  assert.deepEqual(pairedRatios(proxy, direct, requestsPerSecondOf), [0.5, 0.5]);
});

test('a run whose partner failed makes no ratio', () => {
  const proxy = [
    run({ target: 'p', repetition: 1 }),
    run({ target: 'p', repetition: 2, requestsPerSecond: 80_000 }),
  ];
  assert.deepEqual(pairedRatios(proxy, [run({ repetition: 2 })], requestsPerSecondOf), [0.8]);
  assert.deepEqual(pairedRatios([run({ command: 'set' })], [run({})], requestsPerSecondOf), []);
});

test('CPU is per million requests, in total and for nodes alone', () => {
  const samples = [
    run({ requests: 500_000, cpuSeconds: { proxy: 0, node: 5, other: 0 } }),
    run({
      target: 'springtide',
      requests: 500_000,
      cpuSeconds: { proxy: 4, node: 2, other: 0.5 },
      requestsPerSecond: 90_000,
    }),
  ];
  const summary = summarise(samples, ['direct', 'springtide'])[1]!;
  assert.equal(summary.proxyCpuPerMillion, 8);
  assert.equal(summary.nodeCpuPerMillion, 4);
  assert.equal(summary.otherCpuPerMillion, 1);
  assert.ok(Math.abs(summary.totalCpuRatio!.median - 1.2) < 1e-12);
  assert.ok(Math.abs(summary.nodeCpuRatio!.median - 0.4) < 1e-12);
  assert.equal(summary.throughputRatio!.median, 0.9);
});

test('without a direct run there are figures but no ratios', () => {
  const [summary] = summarise([run({ target: 'springtide' })], ['direct', 'springtide']);
  assert.equal(summary!.target, 'springtide');
  assert.equal(summary!.throughputRatio, null);
  assert.equal(summary!.totalCpuRatio, null);
});

test('cells are ordered: plain before TLS, by pipeline, by clients', () => {
  const cells = cellsOf([
    run({ tls: true }),
    run({ pipeline: 16, clients: 10 }),
    run({ clients: 200 }),
    run({ clients: 50 }),
    run({ clients: 50, command: 'set' }),
  ]);
  assert.deepEqual(
    cells.map((cell) => [cell.tls, cell.pipeline, cell.clients]),
    [
      [false, 1, 50],
      [false, 1, 200],
      [false, 16, 10],
      [true, 1, 50],
    ],
  );
});
