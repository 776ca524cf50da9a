import assert from 'node:assert/strict';
import test from 'node:test';
import { planSettings } from './plan-settings.ts';

const MIB = 1024 ** 2;
const shard = { shard: 3, ioThreads: 2, maxmemoryBytes: 64 * MIB };
const node = { id: 'a', ioThreads: 2, maxmemoryBytes: 64 * MIB };
const wanted = { kind: 'set-shard', ...shard };

test('nodes that have what the shard is to have get nothing', () => {
  assert.equal(planSettings({ ...shard, nodes: [] }), null);
  assert.equal(planSettings({ ...shard, nodes: [node, { ...node, id: 'b' }] }), null);
  assert.equal(planSettings({ ...shard, nodes: [{ ...node, ioThreads: null }] }), null);
});

test('one that has another limit, or other threads, gets them', () => {
  for (const other of [
    { maxmemoryBytes: 0 },
    { ioThreads: 1 },
    { ioThreads: null, maxmemoryBytes: 1 },
  ]) {
    const planned = planSettings({ ...shard, nodes: [node, { ...node, id: 'b', ...other }] });
    assert.deepEqual(planned?.step, wanted);
    assert.match(planned.reason, /node b /);
  }
});
