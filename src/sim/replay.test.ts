import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { figuresOf, readCalibrationFile } from './calibration.ts';
import { recordingSchema, type Recording } from './recording.ts';
import { replay } from './replay.ts';

const calibration = figuresOf(readCalibrationFile());

function recording(shards: (second: number) => number): Recording {
  return recordingSchema.parse({
    about: 'a ramp',
    recordedAt: '2026-01-01T00:00:00.000Z',
    machine: 'a modelled one',
    loadAverage: [0, 0],
    patienceMs: 1000,
    jobs: [],
    hosts: 2,
    coresPerHost: 16,
    replicas: 0,
    shardsMinimum: 1,
    shardsMaximum: 10,
    warmUp: { ecpuPerSecond: 10_000, learnMs: 0, quietMs: 10_000 },
    warmNodes: 8,
    coldStartMs: 1000,
    dataBytes: 1e8,
    zipf: 0.4,
    nodeEcpuByIoThreads: [50_000],
    samples: Array.from({ length: 200 }, (_, second) => ({
      atMs: second * 1000,
      ecpuPerSecond: 10_000 + Math.min(100, second) * 1400,
      shards: shards(second),
      nodeEcpu: 50_000,
      utilisation: null,
      p99Ms: 1,
      errors: 0,
      overloaded: false,
    })),
  });
}

suite('replay', () => {
  test('a run that had the shards its load needs is reproduced', () => {
    // At 50,000 a node and 60 % of it: 30,000 a shard, a little ahead of the load.
    const result = replay(
      recording((second) =>
        Math.max(1, Math.ceil((10_000 + Math.min(100, second) * 1400) / 29_000)),
      ),
      calibration,
    );
    assert.ok(result.valid, JSON.stringify(result));
  });

  test('a run that had twice as many is not', () => {
    const result = replay(
      recording((second) => 1 + Math.min(9, Math.floor(second / 10))),
      calibration,
    );
    assert.equal(result.valid, false);
  });
});
