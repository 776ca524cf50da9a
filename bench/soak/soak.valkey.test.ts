/** The short form of `npm run soak`: the same faults and changes of shape, for half a minute. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { testSeed } from '../../e2e/harness/random.ts';
import { installEngine } from '../../src/engine/catalogue.ts';
import { runSoak } from './run-soak.ts';

test('half a minute of faults and moves: nothing lost, nothing wrong, and the shape that was asked for', async (t) => {
  await installEngine('9.1');
  const result = await runSoak({
    minutes: 0.5,
    seed: testSeed(),
    shards: 3,
    shardsMaximum: 4,
    connections: 6,
    proxies: 2,
    engineVersion: '9.1',
    pauseMs: 3_000,
    logsDir: null,
    log: (line) => t.diagnostic(line),
  });
  t.diagnostic(JSON.stringify(result));
  assert.deepEqual(result.wrong, []);
  assert.deepEqual(result.lost, []);
  assert.equal(result.shapeFailure, null);
  // One that does nothing proves nothing.
  assert.ok(result.requests > 0);
  assert.ok(Object.values(result.faults).reduce((sum, count) => sum + count, 0) >= 3);
});
