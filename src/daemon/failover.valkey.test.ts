import assert from 'node:assert/strict';
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { suite, test } from 'node:test';
import { parseClusterNodes } from '../control/node-observation.ts';
import { readProcess } from '../engine/process-identity.ts';
import type { CacheEvent, CacheStatus } from '../model/admin-api.ts';
import {
  eventually,
  primaryOf,
  replicaOf,
  TestDaemon,
  writeToShard,
} from './fixtures/test-daemon.ts';

for (const sharding of [true, false]) {
  suite(sharding ? 'a sharded cache with replicas' : 'an unsharded cache with a replica', () => {
    const daemon = TestDaemon.forSuite();

    test('is created and published', async () => {
      const lines = await daemon.operation('POST', '/v1/caches', {
        name: 'Main',
        sharding,
        ...(sharding ? { shards: 3 } : {}),
        replicas: 1,
      });
      assert.ok(lines.filter(({ type }) => type === 'progress').length >= 3);
      const cache = await daemon.cache('main');
      assert.equal(cache.state, 'available');
      assert.equal(cache.nodes.length, sharding ? 6 : 2);
      const published = daemon.topologyCache('main');
      assert.equal(cache.endpoint, `127.0.0.1:${published.port}`);
      assert.deepEqual(
        published.nodes.map(({ id, port, role, shard }) => ({ id, port, role, shard })),
        cache.nodes.map(({ id, port, role, shard }) => ({ id, port, role, shard })),
      );
      assert.equal((await daemon.status()).proxies.filter((p) => p.state === 'serving').length, 2);
    });

    test('a node lets nobody in without a secret', async () => {
      const { nodes } = await daemon.cache('main');
      for (const node of nodes) {
        const acl = (await daemon.ask('main', node, 'ACL', 'LIST')) as string[];
        assert.equal(acl.length, 2);
        for (const line of acl) assert.doesNotMatch(line, /nopass/);
        const file = join(daemon.paths.nodes, node.id, 'users.acl');
        assert.equal(statSync(file).mode & 0o777, 0o600);
      }
    });

    test('a primary that is killed is replaced by its replica and comes back as one', async () => {
      const key = await writeToShard(daemon, 'main', 0);
      const cache = await daemon.cache('main');
      const primary = primaryOf(cache, 0);
      const replica = replicaOf(cache, 0);
      process.kill(primary.pid!, 'SIGKILL');
      await eventually(
        'the takeover',
        async () => primaryOf(await daemon.cache('main'), 0).id === replica.id,
      );
      assert.equal(await daemon.ask('main', replica, 'GET', key), 'kept');
      const healed = await daemon.healthy('main');
      const returned = replicaOf(healed, 0);
      assert.equal(returned.id, primary.id);
      assert.notEqual(returned.pid, primary.pid);
      assert.equal(returned.restarts, 1);
      const kinds = ['cache-created', 'node-lost', 'failover', 'node-restarted'];
      if (sharding) kinds.push('node-joined');
      let events: CacheEvent[] = [];
      await eventually('the events', async () => {
        events = await daemon.json('GET', '/v1/events?cache=main');
        // A machine that is slow may have more to tell (a node that did not answer for a while).
        const told = events.map(({ kind }) => kind).filter((kind) => kinds.includes(kind));
        return told.join() === kinds.join();
      });
      const [first] = events;
      const later = await daemon.json<CacheEvent[]>('GET', `/v1/events?after=${first!.id}`);
      assert.deepEqual(later, events.slice(1));
      assert.equal(returned.keys, primaryOf(healed, 0).keys);
      assert.equal(primaryOf(healed, 0).pid, replica.pid);
      const heard = () => daemon.received();
      await eventually('the proxies being told to look', async () =>
        heard().some((message) => message.type === 'refresh' && message.cache === 'main'),
      );
      await eventually('the proxies being told of the roles', async () => {
        const roles = daemon.topologyCache('main').nodes.filter((node) => node.shard === 0);
        return roles.find((node) => node.role === 'primary')?.id === replica.id;
      });
      if (sharding) await noStrangers(daemon, healed);
    });

    test('it survives the loss of the one that took over, too', async () => {
      const key = await writeToShard(daemon, 'main', 0);
      const before = await daemon.healthy('main');
      process.kill(primaryOf(before, 0).pid!, 'SIGKILL');
      await eventually(
        'the takeover',
        async () => primaryOf(await daemon.cache('main'), 0).id === replicaOf(before, 0).id,
      );
      const healed = await daemon.healthy('main');
      assert.equal(await daemon.ask('main', primaryOf(healed, 0), 'GET', key), 'kept');
      if (sharding) await noStrangers(daemon, healed);
    });

    test('a killed replica comes back without a failover', async () => {
      const before = await daemon.healthy('main');
      process.kill(replicaOf(before, 0).pid!, 'SIGKILL');
      await eventually(
        'the restart',
        async () =>
          replicaOf(await daemon.cache('main'), 0).restarts > replicaOf(before, 0).restarts,
      );
      const healed = await daemon.healthy('main');
      assert.equal(primaryOf(healed, 0).pid, primaryOf(before, 0).pid);
      assert.equal(replicaOf(healed, 0).keys, primaryOf(healed, 0).keys);
    });

    test('a planned failover changes places and keeps the processes', async () => {
      const key = await writeToShard(daemon, 'main', 0);
      const before = await daemon.healthy('main');
      await daemon.operation('POST', '/v1/caches/main/failover', { shard: 0 });
      const changed = await daemon.healthy('main');
      assert.equal(primaryOf(changed, 0).pid, replicaOf(before, 0).pid);
      assert.equal(replicaOf(changed, 0).pid, primaryOf(before, 0).pid);
      assert.equal(await daemon.ask('main', primaryOf(changed, 0), 'GET', key), 'kept');
    });

    test('a failover of a shard that is not there is refused', async () => {
      const refused = await daemon.refusal('POST', '/v1/caches/main/failover', { shard: 7 });
      assert.equal(refused.status, 400);
      assert.equal(refused.code, 'InvalidParameterValue');
    });

    test('a primary that hangs is ended and replaced', async () => {
      const key = await writeToShard(daemon, 'main', 0);
      const before = await daemon.healthy('main');
      process.kill(primaryOf(before, 0).pid!, 'SIGSTOP');
      await eventually(
        'the takeover',
        async () => primaryOf(await daemon.cache('main'), 0).id === replicaOf(before, 0).id,
      );
      const healed = await daemon.healthy('main');
      assert.equal(await daemon.ask('main', primaryOf(healed, 0), 'GET', key), 'kept');
      assert.equal(readProcess(primaryOf(before, 0).pid!), undefined);
    });

    test('the death of a primary while no daemon runs is repaired by the next one', async () => {
      const key = await writeToShard(daemon, 'main', 0);
      const before = await daemon.healthy('main');
      await daemon.kill('SIGKILL');
      process.kill(primaryOf(before, 0).pid!, 'SIGKILL');
      await daemon.start();
      await eventually(
        'the takeover',
        async () => primaryOf(await daemon.cache('main'), 0).id === replicaOf(before, 0).id,
      );
      const healed = await daemon.healthy('main');
      assert.equal(await daemon.ask('main', primaryOf(healed, 0), 'GET', key), 'kept');
      const untouched = (cache: CacheStatus) =>
        cache.nodes.filter((node) => node.id !== primaryOf(before, 0).id).map(({ pid }) => pid);
      assert.deepEqual(untouched(healed), untouched(before));
    });
  });
}

/** Every node knows the nodes that are there, and no identity of one that was. */
async function noStrangers(daemon: TestDaemon, cache: CacheStatus): Promise<void> {
  const ports = cache.nodes.map((node) => node.port).sort();
  await eventually('the old identity being forgotten', async () => {
    for (const node of cache.nodes) {
      const text = String(await daemon.ask(cache.spec.name, node, 'CLUSTER', 'NODES'));
      const peers = parseClusterNodes(text);
      if (
        peers
          .map((peer) => peer.port)
          .sort()
          .join() !== ports.join()
      )
        return false;
    }
    return true;
  });
}
