import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import type { ObservedShardNode, ShardNodeView, ShardView } from './policies/shard-view.ts';
import { ShardHealth } from './shard-health.ts';

const observed = (over: Partial<ObservedShardNode>): ObservedShardNode => ({
  role: 'replica',
  primaryId: 'a',
  linkUp: true,
  offset: 1,
  slots: 0,
  configEpoch: 1,
  introduced: true,
  ...over,
});
const node = (id: string, over: Partial<ShardNodeView> = {}): ShardNodeView => ({
  id,
  intent: 'replica',
  identity: 'kept',
  process: 'alive',
  busy: false,
  observed: observed({}),
  hangs: null,
  hostLost: false,
  silentMs: 0,
  hasData: true,
  hasMissedWrites: false,
  ...over,
});
const primary = node('a', { observed: observed({ role: 'primary', primaryId: null }) });
const gone = { process: 'gone', observed: null } as const;

suite('ShardHealth', () => {
  const look = (health: ShardHealth, nowMs: number, nodes: ShardNodeView[]) => {
    const view = { sharding: true, shard: 0, primaryGoneMs: 0, nodes } as unknown as ShardView;
    return health.look('lane', view, nowMs, () => 20);
  };

  test('counts from the loss until all copies are in step', () => {
    const health = new ShardHealth();
    assert.equal(look(health, 1_000, [primary, node('b')]), null);
    assert.equal(health.isDegraded('lane'), false);
    assert.equal(look(health, 2_000, [primary, node('b', gone)]), null);
    assert.equal(health.isDegraded('lane'), true);
    const syncing = node('b', { observed: observed({ linkUp: false }) });
    assert.equal(look(health, 2_500, [primary, syncing]), null);
    const repair = { nodeId: 'b', tookMs: 1_020 };
    assert.deepEqual(look(health, 3_000, [primary, node('b')]), repair);
    assert.equal(look(health, 4_000, [primary, node('b')]), null);
  });

  test('a shard without a primary is not whole', () => {
    const health = new ShardHealth();
    look(health, 0, [node('a', { hangs: 'is stopped' }), node('b')]);
    assert.equal(look(health, 100, [node('a'), node('b')]), null);
  });

  test('a node that is being started on purpose is no loss', () => {
    const health = new ShardHealth();
    look(health, 0, [primary, node('b', { ...gone, busy: true })]);
    assert.equal(health.isDegraded('lane'), false);
  });
});
