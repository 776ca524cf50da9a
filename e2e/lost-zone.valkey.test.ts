/** Two hosts of one machine in two zones, value-checked traffic, and all nodes of one zone killed at once: half of all. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, suite, test } from 'node:test';
import { parseClusterNodes } from '../src/control/node-observation.ts';
import { eventually, TestDaemon } from '../src/daemon/fixtures/test-daemon.ts';
import type { CacheStatus } from '../src/model/admin-api.ts';
import { eventsAfter, lastEvent, REAL_PROXIES, underTraffic } from './harness/daemon-traffic.ts';

const SHARDS = 8;
const dir = mkdtempSync(join(tmpdir(), 'springtide-hosts-'));
const file = join(dir, 'hosts.json');
writeFileSync(
  file,
  JSON.stringify([
    { id: 'a', zone: 'east', address: '127.0.0.1' },
    { id: 'b', zone: 'west', address: '127.0.0.2' },
  ]),
);

const inZone = (cache: CacheStatus, zone: string) =>
  cache.nodes.filter((node) => node.zone === zone);

suite('a cache over two zones', () => {
  const daemon = TestDaemon.forSuite(null, [REAL_PROXIES, `--hosts=${file}`]);
  after(() => rmSync(dir, { recursive: true }));

  test('has the copies of each shard in both, and its primaries evenly', async () => {
    const cache = await daemon.create({ name: 'main', shards: SHARDS, replicas: 1 });
    for (let shard = 0; shard < SHARDS; shard++) {
      const zones = cache.nodes.filter((node) => node.shard === shard).map(({ zone }) => zone);
      assert.deepEqual(zones.sort(), ['east', 'west']);
    }
    for (const [zone, address] of [
      ['east', '127.0.0.1'],
      ['west', '127.0.0.2'],
    ] as const) {
      const nodes = inZone(cache, zone);
      assert.deepEqual([...new Set(nodes.map(({ host }) => host))], [address]);
      assert.equal(nodes.filter(({ role }) => role === 'primary').length, SHARDS / 2);
    }
  });

  test('an unsharded one follows over zones too', async () => {
    const cache = await daemon.create({ name: 'plain', sharding: false, replicas: 1 });
    assert.deepEqual(cache.nodes.map(({ zone }) => zone).sort(), ['east', 'west']);
    await daemon.healthy('plain');
    await daemon.operation('DELETE', '/v1/caches/plain');
  });

  for (const zone of ['east', 'west']) {
    test(`loses ${zone} and goes on in the other one, and has all its copies again`, async (t) => {
      const before = await daemon.healthy('main');
      const lost = inZone(before, zone);
      const lostShards = lost.filter(({ role }) => role === 'primary').map(({ shard }) => shard);
      assert.ok(lostShards.length > 0);
      const last = await lastEvent(daemon);
      await underTraffic(t, daemon, 'main', async () => {
        for (const { pid } of lost) process.kill(pid!, 'SIGKILL');
        await eventually('primaries in the other zone', async () => {
          const { nodes } = await daemon.cache('main');
          return lostShards.every((shard) =>
            nodes.some((n) => n.shard === shard && n.role === 'primary' && n.zone !== zone),
          );
        });
        await daemon.healthy('main');
      });
      const events = await eventsAfter(daemon, last);
      const promoted = events.filter(({ kind }) => kind === 'failover');
      // Each once, by us; the engine's own elections had nothing left to decide.
      assert.equal(promoted.length, lostShards.length);
      for (const { message } of promoted) assert.match(message, /took over shard \d+ from/);
      assert.ok(!events.some(({ kind }) => kind === 'shard-data-lost'));
      await oneOwnerEach(daemon);
    });
  }
});

/** All nodes agree who owns which slot, and no two primaries have the same epoch. */
async function oneOwnerEach(daemon: TestDaemon): Promise<void> {
  const { nodes } = await daemon.healthy('main');
  await eventually('all nodes agreeing on slots and epochs', async () => {
    const views = await Promise.all(
      nodes.map(async (node) =>
        parseClusterNodes(String(await daemon.ask('main', node, 'CLUSTER', 'NODES')))
          .filter(({ slots }) => slots > 0)
          .map(({ id, slots, configEpoch }) => `${id} ${slots} ${configEpoch}`)
          .sort(),
      ),
    );
    const [view] = views;
    const epochs = view!.map((line) => line.split(' ')[2]);
    return (
      new Set(views.map((each) => each.join())).size === 1 &&
      view!.length === SHARDS &&
      new Set(epochs).size === SHARDS &&
      view!.reduce((sum, line) => sum + Number(line.split(' ')[1]), 0) === 16_384
    );
  });
}
