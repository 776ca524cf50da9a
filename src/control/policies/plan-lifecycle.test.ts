import assert from 'node:assert/strict';
import { test } from 'node:test';
import { planLifecycle, type LifecycleView } from './plan-lifecycle.ts';

const node = (id: string, over: Partial<LifecycleView['nodes'][number]> = {}) => ({
  id,
  process: 'alive' as const,
  aclVersion: 3,
  ...over,
});

const view = (over: Partial<LifecycleView>): LifecycleView => ({
  state: 'creating',
  sharding: true,
  formed: false,
  aclVersion: 3,
  nodes: [node('a'), node('b')],
  ...over,
});

const steps = (over: Partial<LifecycleView>) => planLifecycle(view(over)).map(({ step }) => step);

test('a new cache: first the nodes that do not run, as strangers, then the forming', () => {
  assert.deepEqual(steps({ nodes: [node('a'), node('b', { process: 'gone' })] }), [
    { kind: 'start-node', nodeId: 'b', identity: 'fresh', replicaOf: null },
  ]);
  assert.deepEqual(steps({}), [{ kind: 'form-cluster' }]);
  assert.deepEqual(steps({ sharding: false }), [{ kind: 'form-replication' }]);
});

test('a formed cache is never formed again, whatever died', () => {
  const nodes = [node('a', { process: 'gone' }), node('b', { process: 'gone' })];
  assert.deepEqual(steps({ formed: true, nodes }), []);
});

test('old access rules are brought up to date on nodes that run', () => {
  const nodes = [
    node('a', { aclVersion: 2 }),
    node('b', { aclVersion: 2, process: 'gone' }),
    node('c'),
  ];
  assert.deepEqual(steps({ state: 'available', formed: true, nodes }), [
    { kind: 'sync-users', nodeId: 'a' },
  ]);
});

test('nothing is done for a cache that goes or never came', () => {
  assert.deepEqual(steps({ state: 'deleting' }), []);
  assert.deepEqual(steps({ state: 'create-failed' }), []);
});
