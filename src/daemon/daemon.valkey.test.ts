import assert from 'node:assert/strict';
import { once } from 'node:events';
import {
  existsSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { installEngine } from '../engine/catalogue.ts';
import { findProcesses, readProcess } from '../engine/process-identity.ts';
import { canBind } from '../control/ports.ts';
import { parseClusterNodes } from '../control/node-observation.ts';
import type { ApiFailure, CacheEvent, CacheStatus, UserStatus } from '../model/admin-api.ts';
import { eventually, primaryOf, replicaOf, TestDaemon } from './fixtures/test-daemon.ts';

before(() => installEngine('9.1'));

/** A free port with a free one beside it, between those of nodes and those of outgoing connections. */
async function freePort(): Promise<number> {
  for (;;) {
    const port = 32_100 + 2 * Math.floor(Math.random() * 300);
    if ((await canBind(port, '127.0.0.1')) && (await canBind(port + 1, '127.0.0.1'))) return port;
  }
}

/** Writes keys until each shard has some; returns a key of the given shard. */
async function fillShard(daemon: TestDaemon, name: string, shard: number): Promise<string> {
  const cache = await daemon.cache(name);
  using client = await daemon.connect(name, primaryOf(cache, shard));
  for (let i = 0; ; i++) {
    try {
      await client.call('SET', `key:${i}`, 'kept');
      await client.call('WAIT', cache.nodes.length > cache.spec.shards ? '1' : '0', '5000');
      return `key:${i}`;
    } catch (error) {
      if (!/MOVED/.test(String(error))) throw error;
    }
  }
}

async function failure(daemon: TestDaemon, method: string, path: string, body?: unknown) {
  const { status, text } = await daemon.call(method, path, body);
  return { status, ...(JSON.parse(text) as ApiFailure) };
}

for (const sharding of [true, false]) {
  suite(sharding ? 'a sharded cache with replicas' : 'an unsharded cache with a replica', () => {
    const daemon = new TestDaemon();
    before(() => daemon.start());
    after(() => daemon.close());

    test('is created and published', async () => {
      const port = await freePort();
      const lines = await daemon.operation('POST', '/v1/caches', {
        name: 'Main',
        sharding,
        ...(sharding ? { shards: 3 } : {}),
        replicas: 1,
        port,
      });
      assert.ok(lines.filter(({ type }) => type === 'progress').length >= 3);
      const cache = await daemon.cache('main');
      assert.equal(cache.state, 'available');
      assert.equal(cache.endpoint, `127.0.0.1:${port}`);
      assert.equal(cache.nodes.length, sharding ? 6 : 2);
      const published = daemon.topologyCache('main');
      assert.equal(published.port, port);
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
      const key = await fillShard(daemon, 'main', 0);
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
        return events.map(({ kind }) => kind).join() === kinds.join();
      });
      const [first] = events;
      const later = await daemon.json<CacheEvent[]>('GET', `/v1/events?after=${first!.id}`);
      assert.deepEqual(later, events.slice(1));
      assert.equal(returned.keys, primaryOf(healed, 0).keys);
      assert.equal(primaryOf(healed, 0).pid, replica.pid);
      const heard = daemon.received();
      assert.ok(heard.some((message) => message.type === 'refresh' && message.cache === 'main'));
      const roles = daemon.topologyCache('main').nodes.filter((node) => node.shard === 0);
      assert.equal(roles.find((node) => node.role === 'primary')?.id, replica.id);
      if (sharding) await noStrangers(daemon, healed);
    });

    test('it survives the loss of the one that took over, too', async () => {
      const key = await fillShard(daemon, 'main', 0);
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
      const key = await fillShard(daemon, 'main', 0);
      const before = await daemon.healthy('main');
      await daemon.operation('POST', '/v1/caches/main/failover', { shard: 0 });
      const changed = await daemon.healthy('main');
      assert.equal(primaryOf(changed, 0).pid, replicaOf(before, 0).pid);
      assert.equal(replicaOf(changed, 0).pid, primaryOf(before, 0).pid);
      assert.equal(await daemon.ask('main', primaryOf(changed, 0), 'GET', key), 'kept');
    });

    test('a failover of a shard that is not there is refused', async () => {
      const refused = await failure(daemon, 'POST', '/v1/caches/main/failover', { shard: 7 });
      assert.equal(refused.status, 400);
      assert.equal(refused.code, 'InvalidParameterValue');
    });

    if (!sharding) {
      // With three shards the engine's own quorum does it, sooner.
      test('a primary that hangs is ended and replaced', async () => {
        const key = await fillShard(daemon, 'main', 0);
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
    }

    test('the death of a primary while no daemon runs is repaired by the next one', async () => {
      const key = await fillShard(daemon, 'main', 0);
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

suite('a cache without replicas', () => {
  const daemon = new TestDaemon();
  before(() => daemon.start());
  after(() => daemon.close());

  test('a killed node comes back with its slots', async () => {
    const created = await daemon.create({ name: 'bare', shards: 2, port: await freePort() });
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
    const peers = parseClusterNodes(String(await daemon.ask('bare', node, 'CLUSTER', 'NODES')));
    assert.deepEqual(
      peers.map((peer) => [peer.noAddress, peer.slots]),
      [
        [false, 8192],
        [false, 8192],
      ],
    );
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

  test('a killed daemon changes nothing; the next one adopts all', async () => {
    const before = await daemon.status();
    const oldPid = daemon.pid;
    await daemon.kill('SIGKILL');
    const topologies = daemon.received().filter(({ type }) => type === 'topology').length;
    await daemon.start();
    assert.notEqual(daemon.pid, oldPid);
    const now = await daemon.status();
    assert.deepEqual(
      now.caches[0]!.nodes.map(({ pid }) => pid),
      before.caches[0]!.nodes.map(({ pid }) => pid),
    );
    assert.deepEqual(
      now.proxies.map(({ pid }) => pid),
      before.proxies.map(({ pid }) => pid),
    );
    await eventually(
      'a newer topology',
      async () => daemon.received().filter(({ type }) => type === 'topology').length > topologies,
    );
    const versions = daemon
      .received()
      .flatMap((m) => (m.type === 'topology' ? [m.topology.version] : []));
    assert.deepEqual(
      versions,
      [...versions].sort((a, b) => a - b),
    );
    assert.equal(now.caches[0]!.state, 'available');
    // Adopted nodes are looked after like one's own.
    const node = primaryOf(now.caches[0]!, 0);
    process.kill(node.pid!, 'SIGKILL');
    await eventually(
      'the restart',
      async () => primaryOf(await daemon.cache('bare'), 0).restarts === node.restarts + 1,
    );
    await daemon.healthy('bare');
  });

  test('a killed proxy is started again', async () => {
    const { proxies } = await daemon.status();
    process.kill(proxies[1]!.pid!, 'SIGKILL');
    await eventually('the proxy serving again', async () => {
      const now = (await daemon.status()).proxies[1]!;
      return now.state === 'serving' && now.pid !== proxies[1]!.pid;
    });
    assert.equal((await daemon.status()).proxies[0]!.pid, proxies[0]!.pid);
  });

  test('a second daemon on the directory is refused and says whose it is', async () => {
    const second = daemon.spawn();
    const [code] = (await once(second, 'exit')) as [number];
    assert.equal(code, 1);
    const log = readFileSync(join(daemon.paths.logs, 'daemon.log'), 'utf8');
    assert.match(log, new RegExp(`another daemon \\(process ${daemon.pid}\\)`));
    assert.equal((await daemon.status()).pid, daemon.pid);
  });

  test('users: made, changed on live connections, removed', async () => {
    const made = await daemon.json<UserStatus>('PUT', '/v1/caches/bare/users/app', {
      enabled: true,
      passwords: ['one', 'two'],
      rules: '~app:*   +@all',
    });
    assert.deepEqual(made, {
      name: 'app',
      enabled: true,
      nopass: false,
      passwords: 2,
      rules: '~app:* +@all',
    });
    const { nodes } = await daemon.cache('bare');
    await eventually('the topology', async () =>
      daemon.topologyCache('bare').users.some((user) => user.name === 'app'),
    );
    using live = await daemon.connect('bare', nodes[0]!, 'app');
    await assert.rejects(live.call('GET', 'bar'), { replyCode: 'NOPERM' });
    await daemon.json('PUT', '/v1/caches/bare/users/app', { rules: '~* +@read' });
    await assert.rejects(live.call('SET', 'bar', '1'), { replyCode: 'NOPERM' });
    assert.equal(await live.call('GET', 'bar'), null);
    assert.ok(live.isOpen);
    for (const node of nodes) {
      const user = (await daemon.ask('bare', node, 'ACL', 'GETUSER', 'app')) as unknown[];
      assert.equal(user[user.indexOf('keys') + 1], '~*');
      assert.match(
        readFileSync(join(daemon.paths.nodes, node.id, 'users.acl'), 'utf8'),
        /user app .*\+@read/,
      );
    }
    const answer = await daemon.call('DELETE', '/v1/caches/bare/users/app');
    assert.equal(answer.status, 204);
    await eventually('the connection being cut', async () => !live.isOpen);
    assert.equal(daemon.topologyCache('bare').users.length, 1);
    assert.equal(
      (await failure(daemon, 'DELETE', '/v1/caches/bare/users/app')).code,
      'UserNotFound',
    );
  });

  test('rules are judged by the engine and leave nothing behind', async () => {
    const { nodes } = await daemon.cache('bare');
    const users = () => daemon.ask('bare', nodes[0]!, 'ACL', 'USERS');
    const before = await users();
    const refused = await failure(daemon, 'PUT', '/v1/caches/bare/users/bad', {
      rules: '+nosuchcommand',
    });
    assert.equal(refused.status, 400);
    assert.equal(refused.code, 'InvalidParameterValue');
    assert.match(refused.message, /Unknown command or category name in ACL/);
    for (const rules of ['+@all >secret', 'nopass', '~* on', '#abc']) {
      const answer = await failure(daemon, 'PUT', '/v1/caches/bare/users/bad', { rules });
      assert.equal(answer.code, 'InvalidParameterValue', rules);
      assert.doesNotMatch(answer.message, /secret/);
    }
    assert.deepEqual(await users(), before);
    assert.equal((await daemon.json<UserStatus[]>('GET', '/v1/caches/bare/users')).length, 1);
  });

  test('a user changed while a node is down is right when the node is back', async () => {
    const { nodes } = await daemon.cache('bare');
    process.kill(nodes[0]!.pid!, 'SIGKILL');
    await daemon.json('PUT', '/v1/caches/bare/users/late', { enabled: true, rules: '+@read' });
    await eventually('all nodes having the user', async () => {
      const answers = await Promise.all(
        nodes.map((node) => daemon.ask('bare', node, 'ACL', 'GETUSER', 'late').catch(() => null)),
      );
      return answers.every((answer) => answer !== null);
    });
    await daemon.healthy('bare');
  });

  test('what cannot be is refused, under the codes of AWS', async () => {
    const cases: [Record<string, unknown>, string][] = [
      [{ name: 'bare' }, 'ServerlessCacheAlreadyExistsFault'],
      [{ name: '-x' }, 'InvalidParameterValue'],
      [{ name: 'x', shards: 0 }, 'InvalidParameterValue'],
      [{ name: 'x', nonsense: 1 }, 'InvalidParameterValue'],
      [{ name: 'x', bind: '0.0.0.0' }, 'InvalidParameterCombination'],
      [{ name: 'x', sharding: false, shards: 2 }, 'InvalidParameterCombination'],
      [
        { name: 'x', port: Number((await daemon.cache('bare')).endpoint.split(':')[1]) },
        'PortInUse',
      ],
    ];
    for (const [spec, code] of cases) {
      const refused = await failure(daemon, 'POST', '/v1/caches', spec);
      assert.equal(refused.code, code, JSON.stringify(spec));
      assert.equal(refused.status, code === 'PortInUse' ? 409 : 400);
    }
    const missing = await failure(daemon, 'GET', '/v1/caches/none');
    assert.deepEqual([missing.status, missing.code], [404, 'ServerlessCacheNotFoundFault']);
    assert.equal((await daemon.status()).caches.length, 1);
  });

  test('no secret is in the log, in argv or readable by others', async () => {
    const published = daemon.topologyCache('bare');
    const secrets = [published.systemSecret, ...published.users.map((user) => user.upstreamSecret)];
    const log = readFileSync(join(daemon.paths.logs, 'daemon.log'), 'utf8');
    for (const secret of secrets) assert.ok(!log.includes(secret));
    for (const name of readdirSync(daemon.dataDir)) {
      if (name.startsWith('state.sqlite')) {
        assert.equal(statSync(join(daemon.dataDir, name)).mode & 0o777, 0o600, name);
      }
    }
    assert.equal(statSync(daemon.paths.apiSocket).mode & 0o777, 0o600);
  });

  test('a deleted cache leaves no process and no file', async () => {
    const { nodes } = await daemon.cache('bare');
    await daemon.operation('DELETE', '/v1/caches/bare');
    for (const node of nodes) assert.equal(readProcess(node.pid!), undefined);
    assert.deepEqual(readdirSync(daemon.paths.nodes), []);
    assert.deepEqual((await daemon.status()).caches, []);
    assert.deepEqual(daemon.topology().caches, []);
  });

  test('a creation that a killed daemon left half done is finished by the next', async () => {
    const creating = daemon
      .operation('POST', '/v1/caches', { name: 'half', shards: 2, port: await freePort() })
      .catch(() => null);
    await eventually('the creation', async () => (await daemon.status()).caches.length === 1);
    await daemon.kill('SIGKILL');
    await creating;
    await daemon.start();
    await eventually('the cache', async () => (await daemon.cache('half')).state === 'available');
    const { nodes } = await daemon.healthy('half');
    for (const node of nodes) {
      assert.equal(findProcesses(join(daemon.paths.nodes, node.id, 'valkey.conf')).length, 1);
    }
  });
});

test('a shutdown ends every process, and what was there starts again', async () => {
  const daemon = new TestDaemon();
  await daemon.start();
  await daemon.create({ name: 'again', shards: 2, replicas: 1, port: await freePort() });
  const before = await daemon.status();
  const lines = await daemon.operation('POST', '/v1/shutdown', {});
  assert.equal(lines.at(-1)?.type, 'done');
  await eventually('the daemon ending', async () => !existsSync(daemon.paths.daemonPidFile));
  for (const { pid } of [...before.caches[0]!.nodes, ...before.proxies]) {
    assert.equal(readProcess(pid!), undefined);
  }
  await daemon.start();
  const cache = await daemon.healthy('again');
  assert.equal(cache.state, 'available');
  assert.deepEqual(
    cache.nodes.map((node) => node.restarts),
    [0, 0, 0, 0],
  );
  await eventually('the cluster being whole', async () => {
    const answers = await Promise.all(
      cache.nodes.map((node) => daemon.ask('again', node, 'CLUSTER', 'INFO').then(String)),
    );
    return answers.every((info) => info.includes('cluster_slots_ok:16384'));
  });
  await daemon.close();
});

test('a cache whose nodes cannot start is create-failed, leaves nothing, and may be tried again', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'springtide-broken-'));
  const binary = join(dir, 'valkey-server');
  const script =
    '#!/bin/sh\n[ "$1" = --version ] && echo "Valkey server v=9.1.2 sha=0:0" && exit 0\necho broken on purpose\nexit 1\n';
  writeFileSync(binary, script, { mode: 0o755 });
  const daemon = new TestDaemon([`--engine-binary=${binary}`]);
  await daemon.start();
  try {
    const spec = { name: 'never', shards: 1, port: await freePort() };
    for (let attempt = 0; attempt < 2; attempt++) {
      await assert.rejects(daemon.operation('POST', '/v1/caches', spec), /broken on purpose/);
      const cache = await daemon.cache('never');
      assert.equal(cache.state, 'create-failed');
      assert.match(cache.reason!, /broken on purpose/);
      assert.deepEqual(daemon.topology().caches, []);
    }
    await daemon.operation('DELETE', '/v1/caches/never');
    assert.deepEqual(readdirSync(daemon.paths.nodes), []);
    assert.deepEqual((await daemon.status()).caches, []);
  } finally {
    await daemon.close();
    rmSync(dir, { recursive: true });
  }
});

test('metrics: valid exposition text with every name that the document has', async () => {
  const daemon = new TestDaemon();
  await daemon.start();
  try {
    await daemon.create({ name: 'seen', shards: 1, replicas: 1, port: await freePort() });
    await daemon.healthy('seen');
    const { metricsUrl } = await daemon.status();
    const answer = await fetch(metricsUrl!);
    assert.match(answer.headers.get('content-type')!, /^text\/plain/);
    const text = await answer.text();
    for (const line of text.split('\n')) {
      assert.match(line, /^$|^# (HELP|TYPE) \S+ .+$|^\w+(\{[^}]*\})? \S+$/);
    }
    const documented = readFileSync(new URL('../../docs/metrics.md', import.meta.url), 'utf8');
    for (const row of documented.split('\n').filter((one) => one.startsWith('| `springtide_'))) {
      for (const [, name] of row.split('|')[1]!.matchAll(/`(springtide_\w+[a-z])`/g)) {
        assert.ok(text.includes(`# TYPE ${name!} `), name!);
      }
    }
    assert.match(
      text,
      /springtide_node_up\{cache="seen",node="[^"]+",shard="0",role="replica"\} 1/,
    );
    assert.match(text, /springtide_cache_available\{cache="seen"\} 1/);
  } finally {
    await daemon.close();
  }
});
