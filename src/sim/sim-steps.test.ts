import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { DEFAULT_POOL_PARAMS } from '../control/policies/plan-pool.ts';
import { figuresOf, readCalibrationFile } from './calibration.ts';
import { SimFleet } from './sim-fleet.ts';
import { SimShards, SimulationError } from './sim-shards.ts';
import { SimSteps } from './sim-steps.ts';
import { slotShape } from './slot-shapes.ts';

const DATA_BYTES = 1e9;
const HALF = { first: 0, last: 4095 };

/** Two shards, the first with the slots 0 to 8191. */
function twoShards() {
  const calibration = {
    ...figuresOf(readCalibrationFile()),
    moveFixedMs: 100,
    moveBytesPerSecond: 1e9,
    moveUsPerKey: 2,
    bytesPerKey: 1000,
  };
  const hosts = { hosts: 1, zones: 1, cores: 16, memoryBytes: 64e9 };
  const fleet = new SimFleet(hosts, calibration, DEFAULT_POOL_PARAMS);
  fleet.prewarm(2);
  const shape = slotShape({
    zipf: 0,
    dataBytes: DATA_BYTES,
    hotSlotShare: null,
    hotKey: null,
    seed: 1,
  });
  const shards = new SimShards(fleet, { replicas: 0, shards: 2, ioThreads: 1, shape });
  return { shards, steps: new SimSteps(fleet, shards), shape };
}

suite('SimSteps', () => {
  test('requests that wait for slots follow them', () => {
    const { shards, steps } = twoShards();
    shards.get(0).backlog = 1000;
    steps.apply({ kind: 'move-slots', from: 0, to: 1, ranges: [HALF] }, 0, 1);
    steps.end(60_000);
    assert.equal(Math.round(shards.get(0).backlog), 500);
    assert.equal(Math.round(shards.get(1).backlog), 500);
    assert.equal(shards.owners[0], 1);
  });

  test('a move takes its time for itself, for its keys and for its bytes', () => {
    const { shards, steps, shape } = twoShards();
    const bytes = shape.slotBytes.slice(HALF.first, HALF.last + 1).reduce((a, b) => a + b, 0);
    const tookMs = 100 + (bytes / 1000) * 0.002 + bytes / 1e6;
    steps.apply({ kind: 'move-slots', from: 0, to: 1, ranges: [HALF] }, 0, 1);
    steps.end(tookMs - 1);
    assert.equal(shards.owners[0], 0);
    steps.end(tookMs + 1);
    assert.equal(shards.owners[0], 1);
  });

  test('a shard gets one job at a time', () => {
    const { steps } = twoShards();
    steps.apply({ kind: 'move-slots', from: 0, to: 1, ranges: [HALF] }, 0, 1);
    assert.throws(
      () => steps.apply({ kind: 'move-slots', from: 0, to: 1, ranges: [HALF] }, 0, 1),
      (error: unknown) => error instanceof SimulationError && error.code === 'ROLE_CLASH',
    );
  });
});
