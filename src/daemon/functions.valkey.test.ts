import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { before, suite, test } from 'node:test';
import type { NodeStatus } from '../model/admin-api.ts';
import { eventually, primaryOf, TestDaemon } from './fixtures/test-daemon.ts';

const library = (version: number) =>
  `#!lua name=kept\nserver.register_function{function_name='kept', callback=function() return ${version} end, flags={'no-writes'}}`;

suite('functions outlive the nodes that had them', () => {
  const daemon = TestDaemon.forSuite();
  before(async () => {
    await daemon.create({ name: 'lone', sharding: false });
    await daemon.create({ name: 'split', shards: 2 });
  });

  const call = (cache: string, node: NodeStatus) => daemon.ask(cache, node, 'FCALL', 'kept', '0');

  /** The copy that the daemon has of a cache's functions. */
  function kept(name: string): string {
    using db = new DatabaseSync(daemon.paths.stateFile, { readOnly: true });
    const row = db
      .prepare('SELECT dump FROM functions JOIN caches ON id = cache_id WHERE name = ?')
      .get(name);
    return row === undefined ? '' : Buffer.from(row['dump'] as Uint8Array).toString('latin1');
  }

  async function killed(name: string, shard: number): Promise<NodeStatus> {
    const node = primaryOf(await daemon.healthy(name), shard);
    process.kill(node.pid!, 'SIGKILL');
    await eventually(
      'the restart',
      async () => primaryOf(await daemon.cache(name), shard).restarts > node.restarts,
    );
    return primaryOf(await daemon.healthy(name), shard);
  }

  test('of the only node: from the copy, the last that was loaded', async () => {
    const node = primaryOf(await daemon.healthy('lone'), 0);
    for (const version of [1, 2]) {
      await daemon.ask('lone', node, 'FUNCTION', 'LOAD', 'REPLACE', library(version));
      await eventually('the copy', async () => kept('lone').includes(`return ${version} end`));
    }
    assert.equal(await call('lone', await killed('lone', 0)), 2);
  });

  test('of one of two shards: from the other', async () => {
    const { nodes } = await daemon.healthy('split');
    for (const node of nodes) await daemon.ask('split', node, 'FUNCTION', 'LOAD', library(3));
    assert.equal(await call('split', await killed('split', 1)), 3);
  });

  test('of a node that lost its cluster state, too', async () => {
    const node = primaryOf(await daemon.healthy('split'), 0);
    await daemon.kill('SIGKILL');
    process.kill(node.pid!, 'SIGKILL');
    rmSync(join(daemon.paths.nodes, node.id, 'nodes.conf'));
    await daemon.start();
    await eventually('the slots', async () => {
      const info = await daemon.ask('split', node, 'CLUSTER', 'INFO').then(String, () => '');
      return info.includes('cluster_slots_assigned:16384') && info.includes('cluster_state:ok');
    });
    assert.equal(await call('split', node), 3);
  });

  test('what was deleted does not come back', async () => {
    const node = primaryOf(await daemon.healthy('lone'), 0);
    await daemon.ask('lone', node, 'FUNCTION', 'FLUSH');
    await eventually('the copy being deleted', async () => kept('lone') === '');
    await assert.rejects(call('lone', await killed('lone', 0)), /Function not found/);
  });
});
