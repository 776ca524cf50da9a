import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { calibrate, sampleNoise } from './calibrate.ts';
import { readCalibrationFile } from './calibration.ts';
import type { Measurement } from './measurement.ts';
import { recordingSchema } from './recording.ts';

const before = readCalibrationFile();

const elastic: Measurement = {
  file: 'elastic.json',
  startedAt: '2026-01-02T03:04:05.000Z',
  loadBefore: 1.5,
  raw: {
    calibration: {
      service: [],
      moves: [
        {
          poolAtStart: { ready: 1 },
          joinMs: [400, 9000],
          moves: [
            { keys: 1e3, bytes: 1e6, tookMs: 100 + 1 + 10 },
            { keys: 1e5, bytes: 1e7, tookMs: 100 + 100 + 100 },
            { keys: 2e3, bytes: 9e7, tookMs: 100 + 2 + 900 },
          ],
        },
        { poolAtStart: { ready: 0 }, joinMs: [8000], moves: [] },
      ],
    },
  },
};

suite('calibrate', () => {
  test('takes what was measured, and says where', () => {
    const after = calibrate(before, [elastic], []);
    // Of a pool that had a node, the first join alone was a warm one.
    assert.equal(after.joinMs.value, 400);
    assert.equal(after.moveFixedMs.value, 100);
    assert.equal(after.moveUsPerKey.value, 1);
    assert.equal(after.moveBytesPerSecond.value, 1e8);
    assert.match(after.moveFixedMs.origin, /^measured: .*2026-01-02.*load average 1\.5/);
  });

  test('leaves what nobody measured', () => {
    const after = calibrate(before, [elastic], []);
    for (const name of ['coldStartMs', 'serviceVariation', 'failoverMs', 'forkTax'] as const)
      assert.deepEqual(after[name], before[name]);
    assert.deepEqual(after.nodeEcpuByIoThreads.value, before.nodeEcpuByIoThreads.value);
  });

  test('a failover is as long as the longest pause of a primary that hangs', () => {
    const pauseMs = { p50: 2000, max: 2250 };
    const hang = { file: 'hang.json', kind: 'kill -STOP of the primary', rounds: 12, pauseMs };
    const kill = {
      file: 'kill.json',
      kind: 'kill -9 of the primary',
      rounds: 30,
      pauseMs: { p50: 20, max: 60 },
    };
    const after = calibrate(before, [kill, hang], []);
    assert.equal(after.failoverMs.value, 2250);
    assert.match(after.failoverMs.origin, /hang\.json/);
  });
});

suite('sampleNoise', () => {
  const recording = (utilisation: (second: number) => number) =>
    recordingSchema.parse({
      about: 'a load that holds',
      recordedAt: '2026-01-01T00:00:00.000Z',
      machine: 'a modelled one',
      loadAverage: [0, 0],
      hosts: 1,
      coresPerHost: 2,
      replicas: 0,
      shardsMinimum: 1,
      shardsMaximum: 1,
      warmUp: { ecpuPerSecond: 0, learnMs: 0, quietMs: 0 },
      warmNodes: 0,
      coldStartMs: 0,
      dataBytes: 0,
      zipf: 0,
      nodeEcpuByIoThreads: [1000],
      patienceMs: 1000,
      jobs: [],
      samples: Array.from({ length: 100 }, (_, second) => ({
        atMs: second * 1000,
        ecpuPerSecond: 500,
        nodeEcpu: 1000,
        shards: 1,
        utilisation: utilisation(second),
        p99Ms: 1,
        errors: 0,
        overloaded: false,
      })),
    });

  test('none where samples are alike, more where they differ', () => {
    assert.equal(sampleNoise([recording(() => 0.5)]), 0);
    const noise = sampleNoise([recording((second) => (second % 2 === 0 ? 0.45 : 0.55))])!;
    assert.ok(noise > 0.1 && noise < 0.3, String(noise));
    assert.equal(sampleNoise([]), null);
  });
});
