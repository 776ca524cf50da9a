import assert from 'node:assert/strict';
import { test } from 'node:test';
import { observationOf, parseInfo } from './node-observation.ts';
import { NodeRateMeter } from './node-rates.ts';

const seen = (atMs: number, activeSeconds: number, bytes: number) =>
  observationOf(
    parseInfo(
      `used_active_time_main_thread:${activeSeconds}\r\ntotal_net_input_bytes:${bytes}\r\ntotal_net_output_bytes:${2 * bytes}\r\nevicted_keys:${bytes / 10}\r\n`,
    ),
    atMs,
  );

test('rates are of the time between two looks', () => {
  const meter = new NodeRateMeter();
  assert.equal(meter.take(seen(1000, 10, 100)).utilisation, null);
  const rates = meter.take(seen(3000, 11.5, 300));
  assert.deepEqual(rates, {
    utilisation: 0.75,
    networkInPerSecond: 100,
    networkOutPerSecond: 200,
    evictedKeysPerSecond: 10,
  });
});

test('two looks that are close together say nothing new', () => {
  const meter = new NodeRateMeter();
  meter.take(seen(1000, 10, 0));
  const rates = meter.take(seen(2000, 10.5, 0));
  assert.equal(rates.utilisation, 0.5);
  assert.equal(meter.take(seen(2100, 10.6, 0)), rates);
  // What was passed over is in the next.
  assert.ok(Math.abs(meter.take(seen(3000, 11.3, 0)).utilisation! - 0.8) < 1e-9);
});

test('nothing is known of a node that was silent, or was started anew', () => {
  const meter = new NodeRateMeter();
  meter.take(seen(1000, 10, 0));
  assert.equal(meter.take(null).utilisation, null);
  assert.equal(meter.take(seen(2000, 10.5, 0)).utilisation, null);
  assert.equal(meter.take(seen(3000, 0.1, 0)).utilisation, null);
  assert.ok(Math.abs(meter.take(seen(4000, 0.2, 0)).utilisation! - 0.1) < 1e-9);
});

test('an 8.x engine tells the time of its event loop instead', () => {
  const info = (us: number) => parseInfo(`eventloop_duration_sum:${us}\r\n`);
  const meter = new NodeRateMeter();
  meter.take(observationOf(info(1_000_000), 1000));
  assert.equal(meter.take(observationOf(info(1_250_000), 2000)).utilisation, 0.25);
});
