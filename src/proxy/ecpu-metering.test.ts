import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ecpuOf, meteringOf } from './ecpu-metering.ts';

test('1 ECPU a KB, at least the weight, fractions above; nothing where nothing is metered', () => {
  assert.equal(ecpuOf(1, 30), 1);
  assert.equal(ecpuOf(1, 1024), 1);
  // AWS's own examples: a GET of 3.2 KB; an HMGET of three times the CPU that moves 3.2 KB, and one that moves 2 KB.
  assert.equal(ecpuOf(1, 3.2 * 1024), 3.2);
  assert.equal(ecpuOf(3, 3.2 * 1024), 3.2);
  assert.equal(ecpuOf(3, 2 * 1024), 3);
  assert.equal(ecpuOf(0, 1e6), 0);
});

test('commands are metered as AWS does it', () => {
  for (const name of ['get', 'set', 'hset', 'incrby', 'ping', 'unlink', 'client|id', 'watch'])
    assert.equal(meteringOf(name), 'fixed', name);
  for (const name of ['auth', 'multi', 'exec', 'publish', 'cluster|slots', 'config|get', 'info'])
    assert.equal(meteringOf(name), 'none', name);
  for (const name of ['mget', 'hgetall', 'eval', 'sort', 'spublish', 'ssubscribe', 'object|freq'])
    assert.equal(meteringOf(name), 'measured', name);
});
