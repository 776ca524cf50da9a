/** The commands about nodes, hosts and engines, against the API in memory. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { CacheStatus, EngineStatus, HostStatus } from '../model/admin-api.ts';
import { startCli } from './test-cli.ts';

test('Ctrl-C ends the waiting for a change of nodes, and says that it goes on', async (t) => {
  const { fake, cli } = await startCli(t);
  fake.addCache({ name: 'main' });
  fake.hold = true;
  const { exitCode, err } = await cli('restart main', {
    onProgress: (said, kill) => {
      if (said.endsWith('50% changing nodes\n')) kill('SIGINT');
    },
  });
  assert.equal(exitCode, 130, err);
  assert.match(err, /the daemon goes on with it\.\nFollow it: springtide status main/);
});

test('changes of nodes are sent, followed and told', async (t) => {
  const { fake, cli } = await startCli(t);
  fake.addCache({ name: 'main' });
  const bodyOf = (path: string) => fake.requests.find((each) => each.path === path)!.body;
  const upgrade = await cli('upgrade main --engine-version 9.1 --parallel 2');
  assert.equal(upgrade.exitCode, 0, upgrade.err);
  assert.match(upgrade.err, /50% changing nodes/);
  assert.match(upgrade.err, /Cache main runs Valkey 9\.1\.2 on 3 nodes/);
  assert.deepEqual(bodyOf('/v1/caches/main/upgrade'), { engineVersion: '9.1', parallelShards: 2 });
  const restart = await cli('restart main --json');
  assert.equal((JSON.parse(restart.out) as CacheStatus).spec.name, 'main');
  assert.deepEqual(bodyOf('/v1/caches/main/restart'), { parallelShards: 1 });
  assert.equal((await cli('replace main --node main-0-0')).exitCode, 0);
  assert.ok(bodyOf('/v1/caches/main/nodes/main-0-0/replace'));
  const unknown = await cli('replace main --node main-9-9');
  assert.equal(unknown.exitCode, 3);
  assert.match(unknown.err, /no node main-9-9\.\nThere are: main-0-0, /);
  assert.equal((await cli('upgrade main --engine-version 7.2')).exitCode, 2);
  assert.equal((await cli('upgrade main')).exitCode, 2);
  assert.equal((await cli('upgrade other --engine-version 9.1')).exitCode, 3);
});

test('hosts are listed, emptied, taken back and given up', async (t) => {
  const { fake, cli } = await startCli(t);
  const host = { zone: 'east', address: '127.0.0.1', nodes: 3, warmNodes: 1, cores: 2 };
  fake.hosts.push(
    { ...host, id: 'a', state: 'reachable', freeMemoryBytes: 1e9 },
    { ...host, id: 'b', state: 'lost', freeMemoryBytes: null },
  );
  const list = await cli('host list');
  assert.match(list.out, /^a +east +127\.0\.0\.1 +reachable +3 +1 +2 +\S+ MB$/m);
  assert.match(list.out, /^b +east +127\.0\.0\.1 +lost .* -$/m);
  assert.deepEqual(JSON.parse((await cli('host list --json')).out), fake.hosts);
  const drain = await cli('host drain a');
  assert.equal(drain.exitCode, 0, drain.err);
  assert.match(drain.err, /Host a has no nodes any more/);
  assert.equal((JSON.parse((await cli('host drain a --json')).out) as HostStatus).id, 'a');
  assert.match((await cli('host undrain a')).out, /Host a takes nodes/);
  await cli('host remove b');
  await cli('host remove b --dead');
  const bodies = fake.requests.filter(({ path }) => path === '/v1/hosts/b/remove');
  assert.deepEqual(
    bodies.map(({ body }) => body),
    [{ dead: false }, { dead: true }],
  );
  fake.failure = { code: 'InvalidHostState', message: 'host b can be reached' };
  assert.equal((await cli('host remove b --dead')).exitCode, 5);
});

test('status shows hosts and zones where there are any', async (t) => {
  const { fake, cli } = await startCli(t);
  const cache = fake.addCache({ name: 'main', shards: 1, replicas: 1 });
  assert.doesNotMatch((await cli('status main')).out, /ZONE/);
  const nodes = cache.nodes.map((node, i) => ({ ...node, hostId: `h${i}`, zone: `z${i}` }));
  fake.caches.set('main', { ...cache, nodes });
  const { out } = await cli('status main');
  assert.match(out, /VERSION +ZONE +HOST +ADDRESS/);
  assert.match(out, /^main-0-1 .* z1 +h1 /m);
});

test('failover names what is not there', async (t) => {
  const { fake, cli } = await startCli(t);
  fake.addCache({ name: 'main', shards: 1 });
  fake.addCache({ name: 'safe', shards: 1, replicas: 1 });
  assert.equal((await cli('failover main 0')).exitCode, 5);
  assert.equal((await cli('failover safe 1')).exitCode, 3);
  assert.equal((await cli('failover safe 0')).exitCode, 0);
  assert.deepEqual(fake.requests.find(({ path }) => path === '/v1/caches/safe/failover')!.body, {
    shard: 0,
  });
});

test('engines: what is in use stays', async (t) => {
  const { fake, cli } = await startCli(t);
  fake.addCache({ name: 'main' });
  assert.match(
    (await cli('engine list')).out,
    /^valkey +9\.1 \(default\) +9\.1\.2 +Debian forky +main$/m,
  );
  assert.equal((await cli('engine remove 9.1')).exitCode, 5);
  assert.equal((await cli('engine remove 8.1')).exitCode, 3);
  assert.equal((await cli('engine install 7.2')).exitCode, 2);
  const installed = await cli('engine install 8.1 --json');
  assert.equal((JSON.parse(installed.out) as EngineStatus).version, '8.1.2');
  assert.equal((await cli('engine remove 8.1')).exitCode, 0);
});
