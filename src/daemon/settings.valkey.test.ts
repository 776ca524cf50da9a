/** Settings that nodes get while they run. */
import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { installEngine } from '../engine/catalogue.ts';
import type { CapacityReport, NodeStatus } from '../model/admin-api.ts';
import { eventually, TestDaemon } from './fixtures/test-daemon.ts';

suite('settings of nodes that run', () => {
  const daemon = TestDaemon.forSuite();

  const limitOf = async (name: string, node: NodeStatus) => {
    const reply = (await daemon.ask(name, node, 'CONFIG', 'GET', 'maxmemory')) as string[];
    return Number(reply[1]);
  };

  test('a node that has not got the memory limit of its shard gets it', async () => {
    const limits = { memoryMaximumBytes: 64 * 1024 ** 2 };
    const { nodes } = await daemon.create({ name: 'main', shards: 1, replicas: 1, limits });
    const replica = nodes.find(({ role }) => role === 'replica')!;
    const wanted = await limitOf(
      'main',
      nodes.find(({ role }) => role === 'primary')!,
    );
    assert.ok(wanted > 0);
    await daemon.ask('main', replica, 'CONFIG', 'SET', 'maxmemory', '0');
    await eventually('the limit', async () => (await limitOf('main', replica)) === wanted);
  });

  test('an engine whose io-threads are fixed takes its nodes from the warm pool too', async () => {
    await installEngine('8.1');
    await daemon.create({ name: 'older', engineVersion: '8.1', shards: 1 });
    await eventually('a warm node', async () => {
      const { pool } = await daemon.json<CapacityReport>('GET', '/v1/caches/older/explain');
      return pool.ready > 0;
    });
    await daemon.json('PATCH', '/v1/caches/older', { shards: 2 });
    await eventually(
      'a second shard',
      async () => (await daemon.cache('older')).nodes.length === 2,
    );
    const added = (await daemon.cache('older')).nodes.find(({ shard }) => shard === 1)!;
    assert.match(added.id, /^node-/);
  });
});
