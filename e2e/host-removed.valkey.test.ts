/** Three hosts in namespaces of their own; one is cut off, and whoever runs it says that it is dead, which it is not. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { eventually, primaryOf, TestDaemon } from '../src/daemon/fixtures/test-daemon.ts';
import { readProcess } from '../src/engine/process-identity.ts';
import type { HostStatus } from '../src/model/admin-api.ts';
import { RespError } from '../src/protocol/resp-value.ts';
import { eventsAfter, firstEvents, lastEvent, underTraffic } from './harness/daemon-traffic.ts';
import { RawClient } from './harness/raw-client.ts';
import { networkSuite } from './harness/network-suite.ts';
import type { TestNetwork } from './harness/test-network.ts';

networkSuite('a host that is lost for good', lostForGood);

function lostForGood(network: TestNetwork, daemon: TestDaemon): void {
  const stateOf = async (id: string) =>
    (await daemon.json<HostStatus[]>('GET', '/v1/hosts')).find((host) => host.id === id)!.state;
  const remove = (id: string, body: object) =>
    daemon.operation('POST', `/v1/hosts/${id}/remove`, body);

  test('is given up on the word of whoever runs it: promoted elsewhere, copied anew, and nothing of it comes back', async (t) => {
    // One shard: no quorum of the engine could do it.
    await daemon.create({ name: 'main', shards: 1, replicas: 1 });
    await daemon.create({ name: 'plain', sharding: false, replicas: 1 });
    // Without a copy its data is lost; it must serve again all the same.
    await daemon.create({ name: 'alone', shards: 3 });
    const before = await daemon.healthy('main');
    const gone = primaryOf(before, 0).hostId;
    await daemon.create({ name: 'spare', shards: 1, replicas: 2 });
    const spare = (await daemon.healthy('spare')).nodes.find((node) => node.hostId === gone)!;
    const pids = (await daemon.status()).caches
      .flatMap(({ nodes }) => nodes)
      .filter(({ hostId }) => hostId === gone)
      .map(({ pid }) => pid!);
    const alone = await RawClient.connect(daemon.topologyCache('alone').port);
    t.after(() => alone.close());
    for (let i = 0; i < 100; i++) await alone.call('SET', `key:${i}`, i);
    const since = await lastEvent(daemon);
    await underTraffic(
      t,
      daemon,
      'main',
      async () => {
        network.cut(gone);
        await firstEvents(daemon, since, ['host-lost']);
        assert.equal(await stateOf(gone), 'lost');
        const drained = await daemon.refusal('POST', `/v1/hosts/${gone}/drain`, {});
        assert.equal(drained.code, 'InvalidHostState');
        const unsaid = await daemon.refusal('POST', `/v1/hosts/${gone}/remove`, {});
        assert.match(unsaid.message, /two primaries/);
        assert.equal(primaryOf(await daemon.cache('main'), 0).hostId, gone);
        // What was begun before, and waits for the node that is gone, ends with it. So does a replica's removal.
        const waiting = [primaryOf(before, 0), spare].map((node, i) =>
          daemon.call('POST', `/v1/caches/${['main', 'spare'][i]}/nodes/${node.id}/replace`, {}),
        );
        void Promise.allSettled(waiting);
        await eventually('its begin', async () =>
          (await daemon.status()).caches.some(({ state }) => state === 'modifying'),
        );
        // Who asked is cut off with the daemon.
        void remove(gone, { dead: true }).catch(() => undefined);
        await firstEvents(daemon, since, ['host-removed']);
        await daemon.kill('SIGKILL');
        await daemon.start();
        await remove(gone, { dead: true });
        for (const name of ['main', 'plain', 'alone', 'spare']) {
          // A replacement that was under way has a node more until it has ended.
          await eventually(`${name} having its shape, elsewhere`, async () => {
            const { nodes, spec } = await daemon.healthy(name);
            return (
              nodes.length === spec.shards * (1 + spec.replicas) &&
              nodes.every(({ hostId }) => hostId !== gone) &&
              new Set(nodes.map(({ shard }) => shard)).size === spec.shards
            );
          });
        }
      },
      ['INDOUBT', 'CLUSTERDOWN', 'UNAVAILABLE'],
    );
    await eventually('all slots of the one without copies', async () => {
      const replies = [];
      for (let i = 0; i < 100; i++) replies.push(await alone.call('SET', `key:${i}`, i));
      return replies.every((reply) => !(reply instanceof RespError));
    });
    // Not dead at all.
    for (const pid of pids) assert.ok(readProcess(pid));
    assert.equal(await stateOf(gone), 'removed');
    network.join(gone);
    await eventually('the end of what ran there', async () =>
      pids.every((pid) => readProcess(pid) === undefined),
    );
    const kinds = (await eventsAfter(daemon, since)).map(({ kind }) => kind);
    assert.equal(kinds.filter((kind) => kind === 'host-drained').length, 1);
    assert.ok(kinds.includes('host-found'));
    for (const name of ['main', 'plain', 'alone', 'spare']) await daemon.healthy(name);
    const back = await daemon.json<HostStatus>('POST', `/v1/hosts/${gone}/undrain`, {});
    assert.deepEqual([back.state, back.nodes], ['reachable', 0]);
  });
}
