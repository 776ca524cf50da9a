/** Three hosts of one machine, one in each zone, emptied under value-checked traffic: no error, nothing lost. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, suite, test } from 'node:test';
import { eventually, TestDaemon } from '../src/daemon/fixtures/test-daemon.ts';
import type { CacheStatus, HostStatus } from '../src/model/admin-api.ts';
import {
  eventsAfter,
  firstEvents,
  lastEvent,
  REAL_PROXIES,
  underTraffic,
} from './harness/daemon-traffic.ts';

const dir = mkdtempSync(join(tmpdir(), 'springtide-hosts-'));
const file = join(dir, 'hosts.json');
writeFileSync(
  file,
  JSON.stringify(
    ['a', 'b', 'c'].map((id, i) => ({ id, zone: `zone-${id}`, address: `127.0.0.${i + 1}` })),
  ),
);

const hostOf = async (daemon: TestDaemon, id: string): Promise<HostStatus> =>
  (await daemon.json<HostStatus[]>('GET', '/v1/hosts')).find((host) => host.id === id)!;
const drain = (daemon: TestDaemon, id: string) =>
  daemon.operation('POST', `/v1/hosts/${id}/drain`, {});
const undrain = (daemon: TestDaemon, id: string) =>
  daemon.json<HostStatus>('POST', `/v1/hosts/${id}/undrain`, {});

function assertOff(cache: CacheStatus, hostId: string): void {
  const shards = Map.groupBy(cache.nodes, ({ shard }) => shard);
  for (const [shard, nodes] of shards) {
    assert.equal(nodes.length, 1 + cache.spec.replicas, `copies of shard ${shard}`);
    const zones = new Set(nodes.map(({ zone }) => zone));
    assert.equal(zones.size, nodes.length, `zones of shard ${shard}`);
    assert.ok(nodes.every((node) => node.hostId !== hostId));
  }
}

suite('a host that is drained', () => {
  const daemon = TestDaemon.forSuite(null, [REAL_PROXIES, `--hosts=${file}`]);
  after(() => rmSync(dir, { recursive: true }));

  test('loses its nodes to the others, and takes none, whatever becomes of the daemon', async (t) => {
    await daemon.create({ name: 'main', shards: 3, replicas: 1 });
    await daemon.create({ name: 'plain', sharding: false, replicas: 1 });
    await daemon.healthy('main');
    const before = await hostOf(daemon, 'a');
    assert.equal(before.state, 'reachable');
    assert.ok(before.nodes > 0);
    const since = await lastEvent(daemon);
    const traffic = await underTraffic(
      t,
      daemon,
      'main',
      async () => {
        // Who asked is cut off with the daemon.
        void drain(daemon, 'a').catch(() => undefined);
        for (const kind of ['host-draining', 'node-replaced']) {
          await firstEvents(daemon, since, [kind]);
          await daemon.kill('SIGKILL');
          await daemon.start();
        }
        await drain(daemon, 'a');
      },
      [],
    );
    assert.deepEqual(traffic.lost, []);
    assert.deepEqual(
      (({ state, nodes, warmNodes }) => ({ state, nodes, warmNodes }))(await hostOf(daemon, 'a')),
      { state: 'drained', nodes: 0, warmNodes: 0 },
    );
    assertOff(await daemon.healthy('main'), 'a');
    assertOff(await daemon.healthy('plain'), 'a');
    const kinds = (await eventsAfter(daemon, since)).map(({ kind }) => kind);
    for (const kind of ['host-draining', 'host-drained']) {
      assert.equal(kinds.filter((each) => each === kind).length, 1, kind);
    }
    assert.equal(kinds.filter((each) => each === 'replacement-started').length, 2);
  });

  test('gets no node of a new cache, and none of one that is replaced', async () => {
    const cache = await daemon.create({ name: 'more', shards: 2, replicas: 1 });
    assertOff(cache, 'a');
    const [node] = (await daemon.healthy('more')).nodes;
    await daemon.operation('POST', `/v1/caches/more/nodes/${node!.id}/replace`, {});
    assertOff(await daemon.healthy('more'), 'a');
    await daemon.operation('DELETE', '/v1/caches/more');
  });

  test('is refused where no other host could take its nodes', async () => {
    await drain(daemon, 'b');
    const { nodes } = await daemon.healthy('main');
    assert.ok(nodes.every(({ hostId }) => hostId === 'c'));
    const refused = await daemon.refusal('POST', '/v1/hosts/c/drain', {});
    assert.equal(refused.code, 'InvalidParameterCombination');
    assert.match(
      refused.message,
      /no other host can take the \d+ nodes of host c: a is drained, b is drained/,
    );
    assert.equal((await hostOf(daemon, 'c')).state, 'reachable');
    const unknown = await daemon.refusal('POST', '/v1/hosts/d/drain', {});
    assert.deepEqual([unknown.status, unknown.code], [404, 'HostNotFound']);
    const reachable = await daemon.refusal('POST', '/v1/hosts/c/remove', { dead: true });
    assert.deepEqual([reachable.status, reachable.code], [409, 'InvalidHostState']);
  });

  test('takes nodes again when it is said to; the copies are put apart by a drain of the others', async () => {
    assert.equal((await undrain(daemon, 'a')).state, 'reachable');
    assert.equal((await undrain(daemon, 'b')).state, 'reachable');
    await drain(daemon, 'c');
    assertOff(await daemon.healthy('main'), 'c');
    assertOff(await daemon.healthy('plain'), 'c');
    await undrain(daemon, 'c');
  });

  test('of two that are drained at once, with no third, one is refused', async () => {
    await drain(daemon, 'c');
    const both = await Promise.allSettled(['a', 'b'].map((id) => drain(daemon, id)));
    assert.deepEqual(both.map(({ status }) => status).sort(), ['fulfilled', 'rejected']);
    for (const id of ['a', 'b', 'c']) assert.equal((await undrain(daemon, id)).state, 'reachable');
  });

  test('one whose draining is ended in the middle keeps what it has', async () => {
    const since = await lastEvent(daemon);
    const { nodes } = await daemon.cache('main');
    const { hostId } = nodes[0]!;
    const asked = drain(daemon, hostId).catch((error: unknown) => String(error));
    await firstEvents(daemon, since, ['replacement-started']);
    await undrain(daemon, hostId);
    assert.match(String(await asked), /takes nodes again/);
    await eventually('the caches being available', async () =>
      (await daemon.status()).caches.every(({ state }) => state === 'available'),
    );
    assert.equal((await hostOf(daemon, hostId)).state, 'reachable');
  });
});
