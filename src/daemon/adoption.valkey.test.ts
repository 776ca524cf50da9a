import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { before, suite, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { findProcesses, readProcess } from '../engine/process-identity.ts';
import { eventually, primaryOf, TestDaemon, writeToShard } from './fixtures/test-daemon.ts';

suite('a daemon takes over what another has left', () => {
  const daemon = TestDaemon.forSuite();
  before(() => daemon.create({ name: 'bare', shards: 2 }));

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
    assert.equal(await daemon.exitCodeOfAnother(), 1);
    const log = daemon.log;
    assert.match(log, new RegExp(`another daemon \\(process ${daemon.pid}\\)`));
    assert.equal((await daemon.status()).pid, daemon.pid);
  });

  test('a creation that a killed daemon left half done is finished by the next', async () => {
    const creating = daemon
      .operation('POST', '/v1/caches', { name: 'half', shards: 2 })
      .catch(() => null);
    await eventually('the creation', async () =>
      (await daemon.status()).caches.some((cache) => cache.spec.name === 'half'),
    );
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

test('the data of a replica that the next daemon has not heard yet is waited for', async (t) => {
  const daemon = await TestDaemon.forTest(t);
  const { nodes } = await daemon.create({ name: 'quiet', shards: 1, replicas: 1 });
  const key = await writeToShard(daemon, 'quiet', 0);
  const [primary, replica] = ['primary', 'replica'].map((role) =>
    nodes.find((node) => node.role === role)!,
  );
  await daemon.kill('SIGKILL');
  process.kill(replica!.pid!, 'SIGSTOP');
  process.kill(primary!.pid!, 'SIGKILL');
  await daemon.start();
  // In this time a primary without a replica would be started again, empty.
  await delay(500);
  process.kill(replica!.pid!, 'SIGCONT');
  await eventually('the replica taking over', async () => {
    const cache = await daemon.cache('quiet');
    return (
      primaryOf(cache, 0).id === replica!.id && cache.nodes.every(({ state }) => state === 'online')
    );
  });
  assert.equal(await daemon.ask('quiet', replica!, 'GET', key), 'kept');
});

test('what a daemon was compiled to is there for the next one, though it was killed', async (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'springtide-compiled-'));
  const before = process.env['XDG_CACHE_HOME'];
  process.env['XDG_CACHE_HOME'] = dir;
  t.after(() => {
    if (before === undefined) delete process.env['XDG_CACHE_HOME'];
    else process.env['XDG_CACHE_HOME'] = before;
    rmSync(dir, { recursive: true });
  });
  const daemon = await TestDaemon.forTest(t);
  await eventually('the code of a hundred files being kept', async () => {
    const files = readdirSync(dir, { recursive: true, withFileTypes: true });
    return files.filter((file) => file.isFile()).length > 100;
  });
  await daemon.kill('SIGKILL');
});

test('a shutdown ends every process, and what was there starts again', async (t) => {
  const daemon = await TestDaemon.forTest(t);
  await daemon.create({ name: 'again', shards: 2, replicas: 1 });
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
});
