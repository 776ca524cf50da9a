/** The short form of `npm run sim`: a few scenarios, held to the design's targets. */
import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { figuresOf, readCalibrationFile } from './calibration.ts';
import { runScenario } from './run-scenario.ts';
import { doubling, hotKey, hotSlot, preScaled, step, zoneLost } from './scenarios.ts';
import { runThousandCaches } from './thousand-caches.ts';

const calibration = figuresOf(readCalibrationFile());
const PLANNED = { variant: 'planned', params: {}, calibration };

suite('simulated scenarios', () => {
  test('doubling every 30 s to 5M with a pool of 40: 99.99 % are served, and promptly', () => {
    const outcome = runScenario(doubling(30_000, 40), PLANNED);
    assert.ok(outcome.servedShare >= 0.9999, `${outcome.servedShare}`);
    assert.ok(outcome.promptShare >= 0.9999, `${outcome.promptShare}`);
    assert.equal(outcome.turns, 0);
  });

  test('without a pool the same load is not served: the pool is what is paid for', () => {
    const scenario = doubling(30_000, 0);
    const outcome = runScenario(
      { ...scenario, pool: { ...scenario.pool, minimum: 0, maximum: 0 } },
      PLANNED,
    );
    assert.ok(outcome.servedShare < 0.99, `${outcome.servedShare}`);
  });

  test('a step from 240K to 5M is absorbed within a minute with 40 warm nodes', () => {
    const outcome = runScenario(step, PLANNED);
    assert.ok(outcome.absorbedMs < 60_000, `${outcome.absorbedMs}`);
    assert.ok(outcome.absorbedMs > 1000, 'a step is felt');
    assert.ok(outcome.peakShards <= 43);
  });

  test('a hot slot is isolated: no shard carries more than 1.15 of what placement can reach', () => {
    const outcome = runScenario(hotSlot, PLANNED);
    assert.ok(outcome.maxOverMean <= 1.15, `${outcome.maxOverMean}`);
    assert.equal(outcome.lost, 0);
  });

  test('a hot key gets replicas, a near cache makes most of them needless', () => {
    const spread = runScenario(hotKey(false), PLANNED);
    const near = runScenario(hotKey(true), PLANNED);
    assert.equal(spread.lost + near.lost, 0);
    assert.ok((spread.steps['add-replica'] ?? 0) > (near.steps['add-replica'] ?? 0));
    assert.equal(near.steps['near-cache-slots'], 1);
  });

  test('a minimum is in force within seconds, and its load finds it ready', () => {
    const outcome = runScenario(preScaled, PLANNED);
    assert.ok(outcome.servedShare >= 0.9999, `${outcome.servedShare}`);
  });

  test('a lost zone, a move killed in its middle and no figures for 30 s lose no request and no shard', () => {
    const outcome = runScenario(zoneLost, PLANNED);
    assert.equal(outcome.movesFailed, 1);
    assert.equal(outcome.shardsLost, 0);
    assert.ok(outcome.servedShare >= 0.9999, `${outcome.servedShare}`);
  });

  test('the same run twice gives the same figures', () => {
    const once = runScenario(hotSlot, PLANNED);
    assert.deepEqual(runScenario(hotSlot, PLANNED), once);
  });

  test('caches that share a pool: it empties when too many burst at once, and is enough when stated so', () => {
    const run = (prewarmed: number) =>
      runThousandCaches({ caches: 60, durationMs: 150_000, prewarmed, calibration, params: {} });
    const enough = run(40);
    const scarce = run(2);
    assert.ok(enough.promptShare > scarce.promptShare);
    assert.equal(enough.emptyPoolSeconds, 0);
    assert.ok(scarce.emptyPoolSeconds > 0);
  });
});
