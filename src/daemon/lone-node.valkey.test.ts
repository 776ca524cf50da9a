import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { suite, test } from 'node:test';
import { parseClusterNodes } from '../control/node-observation.ts';
import { eventually, primaryOf, TestDaemon } from './fixtures/test-daemon.ts';

suite('a cache without replicas', () => {
  const daemon = TestDaemon.forSuite();
  test('a killed node comes back with its slots', async () => {
    const created = await daemon.create({ name: 'bare', shards: 2 });
    const node = primaryOf(created, 1);
    const slots = async () => {
      const text = String(await daemon.ask('bare', primaryOf(created, 0), 'CLUSTER', 'NODES'));
      return parseClusterNodes(text).find((peer) => peer.port === node.port)!;
    };
    const before = await slots();
    process.kill(node.pid!, 'SIGKILL');
    await eventually(
      'the restart',
      async () => primaryOf(await daemon.cache('bare'), 1).restarts === 1,
    );
    await daemon.healthy('bare');
    await eventually('the other one hearing of it', async () => (await slots()).slots === 8192);
    const again = await slots();
    assert.equal(again.id, before.id);
    // It came back by a takeover, which does not wait as a start does; of the ghost nothing is left.
    assert.ok(again.configEpoch > before.configEpoch);
    await eventually('the ghost being forgotten', async () => {
      const peers = parseClusterNodes(String(await daemon.ask('bare', node, 'CLUSTER', 'NODES')));
      const seen = peers.map((peer) => `${peer.slots}${peer.noAddress ? ' without address' : ''}`);
      return seen.join() === '8192,8192';
    });
    await eventually('the cluster being whole', async () => {
      const info = String(await daemon.ask('bare', node, 'CLUSTER', 'INFO'));
      return info.includes('cluster_state:ok') && info.includes('cluster_slots_ok:16384');
    });
  });

  test('a node that lost its cluster state gets its slots again', async () => {
    const before = await daemon.healthy('bare');
    const node = primaryOf(before, 0);
    await daemon.kill('SIGKILL');
    process.kill(node.pid!, 'SIGKILL');
    rmSync(join(daemon.paths.nodes, node.id, 'nodes.conf'));
    await daemon.start();
    await eventually('all agreeing on all slots', async () => {
      const { nodes } = await daemon.cache('bare');
      const answers = await Promise.all(
        nodes.map((one) => daemon.ask('bare', one, 'CLUSTER', 'INFO').then(String, () => '')),
      );
      return answers.every(
        (info) =>
          info.includes('cluster_state:ok') &&
          info.includes('cluster_slots_ok:16384') &&
          info.includes('cluster_known_nodes:2'),
      );
    });
  });
});
