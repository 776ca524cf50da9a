import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { LatencyHistogram } from './latency-histogram.ts';
import type { IntervalMessage } from './load-worker.ts';
import { measuredNodeEcpu, recordedSamples, type RecordedRun } from './recorder.ts';
import type { HeatSample } from './shape-watch.ts';

const START_MS = 1_000_000;

function heat(second: number, utilisation: number | null, ecpu: number): HeatSample {
  const node = { utilisation, ecpuPerSecond: ecpu, requestsPerSecond: ecpu / 2 };
  return {
    atMs: START_MS + second * 1000 + 500,
    nodes: [node as HeatSample['nodes'][number]],
    byShard: {},
    requestsPerSecond: ecpu / 2,
  };
}

function interval(second: number, latencyMs: number, errors: Record<string, number>) {
  const latencies = new LatencyHistogram();
  latencies.record(latencyMs * 1000, 1000);
  return {
    fromMs: START_MS + second * 1000,
    toMs: START_MS + (second + 1) * 1000,
    counts: latencies.counts,
    maximumUs: latencies.maximumUs,
    errors,
  } as unknown as IntervalMessage;
}

function run(changed: Partial<RecordedRun>): RecordedRun {
  return {
    startMs: START_MS,
    endMs: START_MS + 3000,
    points: [
      { atMs: 0, perSecond: 1000 },
      { atMs: 1000, perSecond: 1000 },
      { atMs: 3000, perSecond: 3000 },
    ],
    shapes: [
      { atMs: START_MS - 100, shards: 1, replicas: 0 },
      { atMs: START_MS + 1900, shards: 2, replicas: 0 },
    ],
    heats: [heat(0, 0.5, 20_000), heat(1, 0.5, 20_000), heat(2, 0.5, 20_000)],
    intervals: [0, 1, 2].map((second) => interval(second, 1, {})),
    patienceMs: 1000,
    ...changed,
  };
}

suite('recordedSamples', () => {
  test('what the schedule asked for, at the ECPU that a request was metered at', () => {
    const asked = recordedSamples(run({})).map(({ ecpuPerSecond }) => ecpuPerSecond);
    assert.deepEqual(asked, [2000, 3000, 5000]);
  });

  test('shards as they were at the end of each second', () => {
    assert.deepEqual(
      recordedSamples(run({})).map(({ shards }) => shards),
      [1, 2, 2],
    );
  });

  test('a second is overloaded by waiting, by errors, by silence', () => {
    const overloaded = (intervals: IntervalMessage[]) =>
      recordedSamples(run({ intervals })).map((one) => one.overloaded);
    const fine = [0, 1, 2].map((second) => interval(second, 1, {}));
    assert.deepEqual(overloaded(fine), [false, false, false]);
    assert.deepEqual(overloaded(fine.with(1, interval(1, 1500, {}))), [false, true, false]);
    assert.deepEqual(overloaded(fine.with(2, interval(2, 1, { TRYAGAIN: 3 }))), [
      false,
      false,
      true,
    ]);
    assert.deepEqual(overloaded(fine.slice(1)), [true, false, false]);
  });
});

suite('measuredNodeEcpu', () => {
  test('ECPU over utilisation; a full node hides what it could do, an unknown one says nothing', () => {
    assert.equal(
      measuredNodeEcpu([heat(0, 0.5, 20_000), heat(1, 0.99, 9_000), heat(2, null, 5_000)]),
      40_000,
    );
    assert.throws(() => measuredNodeEcpu([heat(0, null, 5_000)]), RangeError);
  });
});
