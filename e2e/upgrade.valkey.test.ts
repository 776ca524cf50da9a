/** Nodes are replaced under value-checked traffic: no error, no acknowledged write lost, whatever is killed meanwhile. */
import assert from 'node:assert/strict';
import { before, suite, test } from 'node:test';
import { installEngine } from '../src/engine/catalogue.ts';
import { eventually, TestDaemon } from '../src/daemon/fixtures/test-daemon.ts';
import type { CacheStatus } from '../src/model/admin-api.ts';
import { RespError } from '../src/protocol/resp-value.ts';
import {
  eventsAfter,
  firstEvents,
  lastEvent,
  REAL_PROXIES,
  underTraffic,
} from './harness/daemon-traffic.ts';
import { RawClient } from './harness/raw-client.ts';

before(async () => {
  for (const line of ['8.0', '8.1', '9.1']) await installEngine(line);
});

const versions = (cache: CacheStatus) =>
  [...new Set(cache.nodes.map(({ engineVersion }) => engineVersion.slice(0, 3)))].sort();

function upgrade(daemon: TestDaemon, name: string, engineVersion: string) {
  return daemon.operation('POST', `/v1/caches/${name}/upgrade`, { engineVersion });
}

/** The whole of the change in the middle of which something is done; ends when the cache is available again. */
async function untilChanged(daemon: TestDaemon, name: string): Promise<CacheStatus> {
  await eventually(
    'the end of the change',
    async () => (await daemon.cache(name)).state === 'available',
  );
  return daemon.healthy(name);
}

suite('an upgrade', () => {
  test('sharded, 8.0 to 8.1 to 9.1: nobody notices, and the new commands are there', async (t) => {
    const daemon = await TestDaemon.forTest(t, [REAL_PROXIES]);
    await daemon.create({ name: 'main', shards: 2, replicas: 1, engineVersion: '8.0' });
    const client = await RawClient.connect(daemon.topologyCache('main').port);
    t.after(() => client.close());
    const hsetex = () => client.call('HSETEX', 'h', 'EX', 1000, 'FIELDS', 1, 'f', 'v');
    assert.match((await refusalOf(hsetex())).message, /unknown command/);
    const since = await lastEvent(daemon);
    const traffic = await underTraffic(
      t,
      daemon,
      'main',
      async () => {
        await upgrade(daemon, 'main', '8.1');
        assert.deepEqual(versions(await daemon.cache('main')), ['8.1']);
        await upgrade(daemon, 'main', '9.1');
      },
      [],
    );
    assert.deepEqual(traffic.lost, []);
    const cache = await daemon.cache('main');
    assert.deepEqual(versions(cache), ['9.1']);
    assert.equal(cache.nodes.length, 4);
    assert.equal(cache.state, 'available');
    assert.equal(cache.spec.engineVersion, '9.1');
    assert.match(cache.engineFullVersion!, /^9\.1\./);
    await eventually('the new commands', async () => (await hsetex()) === 1);
    assert.match(String(await client.call('INFO', 'server')), /valkey_version:9\.1\./);
    const kinds = (await eventsAfter(daemon, since)).map(({ kind }) => kind);
    assert.equal(kinds.filter((kind) => kind === 'upgrade-started').length, 2);
    assert.equal(kinds.filter((kind) => kind === 'upgrade-done').length, 2);
    assert.equal(kinds.filter((kind) => kind === 'node-replaced').length, 8);
  });

  test('unsharded, without a replica', async (t) => {
    const daemon = await TestDaemon.forTest(t, [REAL_PROXIES]);
    await daemon.create({ name: 'one', sharding: false, engineVersion: '8.1' });
    const traffic = await underTraffic(
      t,
      daemon,
      'one',
      () => upgrade(daemon, 'one', '9.1').then(() => undefined),
      [],
    );
    assert.deepEqual(traffic.lost, []);
    const cache = await daemon.cache('one');
    assert.deepEqual(versions(cache), ['9.1']);
    assert.equal(cache.nodes.length, 1);
  });

  test('replicas that came after the cache was made are replaced like the others', async (t) => {
    const daemon = await TestDaemon.forTest(t);
    await daemon.create({ name: 'one', sharding: false, engineVersion: '8.1' });
    await daemon.json('PATCH', '/v1/caches/one', { replicas: 1 });
    await eventually('the replica', async () => (await daemon.cache('one')).nodes.length === 2);
    await daemon.healthy('one');
    const since = await lastEvent(daemon);
    await upgrade(daemon, 'one', '9.1');
    assert.equal((await daemon.cache('one')).nodes.length, 2);
    const kinds = (await eventsAfter(daemon, since)).map(({ kind }) => kind);
    // The old replica goes only when there is another copy.
    assert.ok(kinds.indexOf('replica-added') < kinds.indexOf('node-removed'), kinds.join(' '));
  });

  test('on the reader port nothing is missing while new replicas get their data', async (t) => {
    const daemon = await TestDaemon.forTest(t, [REAL_PROXIES]);
    await daemon.create({ name: 'main', shards: 1, replicas: 1, engineVersion: '8.1' });
    const { port, readerPort } = daemon.topologyCache('main');
    const [writer, reader] = await Promise.all(
      [port, readerPort].map((one) => RawClient.connect(one)),
    );
    t.after(() => [writer!, reader!].forEach((client) => client.close()));
    const value = 'x'.repeat(100_000);
    for (let i = 0; i < 500; i++) await writer!.call('SET', `key:${i}`, value);
    await writer!.call('WAIT', 1, 5000);
    let ended = false;
    const done = upgrade(daemon, 'main', '9.1').finally(() => (ended = true));
    let reads = 0;
    while (!ended) {
      assert.equal(await reader!.call('STRLEN', `key:${reads % 500}`), value.length);
      reads++;
    }
    await done;
    assert.ok(reads > 100);
  });

  test('goes on where a killed daemon left it', async (t) => {
    const daemon = await TestDaemon.forTest(t, [REAL_PROXIES]);
    await daemon.create({ name: 'main', shards: 2, replicas: 1, engineVersion: '8.1' });
    const traffic = await underTraffic(
      t,
      daemon,
      'main',
      async () => {
        for (const kind of ['upgrade-started', 'failover', 'node-replaced']) {
          const since = await lastEvent(daemon);
          // Who asked is cut off with the daemon.
          if (kind === 'upgrade-started')
            void upgrade(daemon, 'main', '9.1').catch(() => undefined);
          await firstEvents(daemon, since, [kind]);
          await daemon.kill('SIGKILL');
          await daemon.start();
        }
        await untilChanged(daemon, 'main');
      },
      [],
    );
    assert.deepEqual(traffic.lost, []);
    const cache = await daemon.cache('main');
    assert.deepEqual(versions(cache), ['9.1']);
    assert.equal(cache.nodes.length, 4);
  });

  test('a new node that is killed in the middle comes back and the upgrade goes on', async (t) => {
    const daemon = await TestDaemon.forTest(t, [REAL_PROXIES]);
    await daemon.create({ name: 'main', shards: 1, replicas: 1, engineVersion: '8.1' });
    const old = new Set((await daemon.cache('main')).nodes.map(({ id }) => id));
    const traffic = await underTraffic(
      t,
      daemon,
      'main',
      async () => {
        const done = upgrade(daemon, 'main', '9.1');
        let pid: number | null = null;
        await eventually('a new node', async () => {
          const { nodes } = await daemon.cache('main');
          pid = nodes.find((node) => !old.has(node.id) && node.role === 'replica')?.pid ?? null;
          return pid !== null;
        });
        process.kill(pid!, 'SIGKILL');
        await done;
      },
      [],
    );
    assert.deepEqual(traffic.lost, []);
    const cache = await daemon.healthy('main');
    assert.deepEqual(versions(cache), ['9.1']);
    assert.equal(cache.nodes.length, 2);
  });

  test('is refused with the reason', async (t) => {
    const daemon = await TestDaemon.forTest(t, [REAL_PROXIES]);
    await daemon.create({ name: 'main', shards: 1, engineVersion: '9.1' });
    const refused = (engineVersion: string) =>
      daemon.refusal('POST', '/v1/caches/main/upgrade', { engineVersion });
    assert.equal((await refused('9.1')).code, 'InvalidParameterCombination');
    assert.equal((await refused('7.2')).code, 'InvalidParameterValue');
    const client = await RawClient.connect(daemon.topologyCache('main').port);
    t.after(() => client.close());
    await client.call('HSETEX', 'h', 'EX', 1000, 'FIELDS', 1, 'f', 'v');
    const { code, message } = await refused('8.1');
    assert.equal(code, 'InvalidParameterCombination');
    assert.match(message, /fields with a time to live \(1 of them\), which 8\.1 cannot load/);
    assert.equal((await daemon.cache('main')).state, 'available');
    await client.call('DEL', 'h');
    await client.call('SELECT', 3);
    await client.call('SET', 'k', 'v');
    assert.match((await refused('8.1')).message, /keys in database 3/);
  });
});

suite('going back to an older engine', () => {
  for (const sharding of [true, false]) {
    test(`${sharding ? 'sharded' : 'unsharded'}, 9.1 to 8.1: works while nothing new was used`, async (t) => {
      const daemon = await TestDaemon.forTest(t, [REAL_PROXIES]);
      const shape = sharding ? { shards: 2 } : { sharding };
      await daemon.create({ name: 'main', ...shape, replicas: 1, engineVersion: '9.1' });
      const traffic = await underTraffic(
        t,
        daemon,
        'main',
        () => upgrade(daemon, 'main', '8.1').then(() => undefined),
        [],
      );
      assert.deepEqual(traffic.lost, []);
      const cache = await daemon.cache('main');
      assert.deepEqual(versions(cache), ['8.1']);
      const client = await RawClient.connect(daemon.topologyCache('main').port);
      t.after(() => client.close());
      await eventually('the old commands alone', async () => {
        const reply = await client.call('HSETEX', 'h', 'EX', 1, 'FIELDS', 1, 'f', 'v');
        return reply instanceof RespError && /unknown command/.test(reply.message);
      });
    });
  }

  test('is given up when clients write what the older one does not know; nothing is lost', async (t) => {
    const daemon = await TestDaemon.forTest(t, [REAL_PROXIES]);
    await daemon.create({ name: 'main', shards: 1, replicas: 1, engineVersion: '8.1' });
    const client = await RawClient.connect(daemon.topologyCache('main').port);
    t.after(() => client.close());
    const since = await lastEvent(daemon);
    let number = 0;
    let ended = false;
    await client.call('SET', 'counted', 0);
    const failed = daemon
      .call('POST', '/v1/caches/main/upgrade', { engineVersion: '8.0' })
      .finally(() => (ended = true));
    // SET with IFEQ is of 8.1: 8.0 answers its primary with a syntax error, and goes on.
    while (!ended) {
      await client.call('SET', 'counted', number + 1, 'IFEQ', number);
      number++;
    }
    assert.match((await failed).text, /has missed writes|could not execute/);
    const cache = await untilChanged(daemon, 'main');
    assert.deepEqual(versions(cache), ['8.1']);
    assert.equal(cache.nodes.length, 2);
    assert.equal(cache.spec.engineVersion, '8.1');
    assert.equal(String(await client.call('GET', 'counted')), String(number));
    await firstEvents(daemon, since, ['upgrade-failed']);
  });

  test('is given up when the older engine does not start', async (t) => {
    const daemon = await TestDaemon.forTest(t, [REAL_PROXIES]);
    await daemon.create({ name: 'main', shards: 1, engineVersion: '9.1' });
    await daemon.json('PUT', '/v1/caches/main/users/app', {
      enabled: true,
      nopass: true,
      rules: '~* +hsetex',
    });
    const { text } = await daemon.call('POST', '/v1/caches/main/upgrade', { engineVersion: '8.1' });
    assert.match(text, /does not come to run/);
    const cache = await untilChanged(daemon, 'main');
    assert.deepEqual(versions(cache), ['9.1']);
    assert.equal(cache.nodes.length, 1);
  });
});

suite('nodes of the same engine', () => {
  test('one is replaced, then all are restarted', async (t) => {
    const daemon = await TestDaemon.forTest(t, [REAL_PROXIES]);
    await daemon.create({ name: 'main', shards: 2, replicas: 1 });
    const idsOf = async () => (await daemon.cache('main')).nodes.map(({ id }) => id);
    const first = await idsOf();
    const primary = (await daemon.cache('main')).nodes.find(({ role }) => role === 'primary')!.id;
    const traffic = await underTraffic(
      t,
      daemon,
      'main',
      async () => {
        await daemon.operation('POST', `/v1/caches/main/nodes/${primary}/replace`, {});
        const second = await idsOf();
        assert.deepEqual(
          first.filter((id) => !second.includes(id)),
          [primary],
        );
        await daemon.operation('POST', '/v1/caches/main/restart', { parallelShards: 2 });
        assert.deepEqual(
          (await idsOf()).filter((id) => second.includes(id)),
          [],
        );
      },
      [],
    );
    assert.deepEqual(traffic.lost, []);
    assert.equal((await daemon.healthy('main')).nodes.length, 4);
    const unknown = await daemon.refusal('POST', '/v1/caches/main/nodes/none/replace', {});
    assert.equal(unknown.code, 'InvalidParameterValue');
  });
});

async function refusalOf(reply: Promise<unknown>): Promise<RespError> {
  const answered = await reply;
  assert.ok(answered instanceof RespError, String(answered));
  return answered;
}
