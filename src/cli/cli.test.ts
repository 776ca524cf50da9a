/** The real command as a process, against the API in memory (fake-api-server.ts). */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import type { CacheStatus, EngineStatus, HostStatus, SystemStatus } from '../model/admin-api.ts';
import { dataDirPaths } from '../model/data-dir.ts';
import { FakeApiServer } from './fake-api-server.ts';
import { runCli, type RunOptions } from './run-cli.ts';

async function start(t: TestContext) {
  const fake = await FakeApiServer.start();
  t.after(() => fake[Symbol.asyncDispose]());
  const cli = (args: string, options: RunOptions = {}) =>
    runCli([...args.split(' '), '--data-dir', fake.dataDir], options);
  return { fake, cli };
}

function emptyDir(t: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), 'springtide-empty-'));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

test('help names every command and every exit code', async () => {
  const { exitCode, out } = await runCli(['--help']);
  assert.equal(exitCode, 0);
  for (const word of 'up down create list status connect delete user failover upgrade replace restart host events logs engine bench doctor'.split(
    ' ',
  ))
    assert.match(out, new RegExp(`^  ${word}\\b`, 'm'));
  for (const code of [0, 1, 2, 3, 4, 5, 6, 7, 8, 130])
    assert.match(out, new RegExp(`^ +${code}  \\w`, 'm'));
});

test('help tells each default once, in words that can be typed', async () => {
  for (const command of ['logs', 'engine install', 'status', 'bench']) {
    const { out } = await runCli([...command.split(' '), '--help']);
    const text = out.replaceAll(/\s+/g, ' ');
    assert.match(text, /\(default: /, command);
    assert.doesNotMatch(text, /\(default: [^)]*\) \(default: /, command);
    assert.doesNotMatch(text, /\(default: (\[|\d{4})/, command);
  }
});

test('a command line that is wrong ends with 2 and a sentence', async () => {
  for (const args of [
    ['frobnicate'],
    ['create', 'a', '--shards', '0'],
    ['create', 'a', '--tls', 'maybe'],
    ['create'],
    [],
  ]) {
    const { exitCode, out, err } = await runCli(args);
    assert.equal(exitCode, 2, `${args.join(' ')}: ${err}`);
    assert.ok(out === '' || args.length === 0);
    assert.doesNotMatch(err, /\n\s+at /);
  }
  assert.match((await runCli(['modify', 'a', '--frob'])).err, /springtide modify --help shows how/);
  assert.match((await runCli(['user', 'list'])).err, /springtide user list --help shows how/);
});

test('no daemon: 4, and how to start one', async (t) => {
  const directory = emptyDir(t);
  for (const args of [
    'list',
    'status',
    'down',
    'create a',
    'delete a --yes',
    'user list a',
    'connect a',
    'failover a 0',
    'upgrade a --engine-version 9.1',
    'replace a --node a-0',
    'restart a',
    'host list',
    'host drain a',
    'host remove a --dead',
  ]) {
    const { exitCode, err } = await runCli([...args.split(' '), '--data-dir', directory]);
    assert.equal(exitCode, 4, args);
    assert.match(err, /No Springtide daemon runs on/);
    assert.ok(err.includes(`springtide up --detach --data-dir ${directory}`));
  }
});

test('list and status show what there is', async (t) => {
  const { fake, cli } = await start(t);
  assert.match((await cli('list')).err, /There is no cache/);
  fake.addCache({ name: 'main', port: 6379, replicas: 1 });
  const list = await cli('list');
  assert.equal(list.exitCode, 0);
  assert.match(
    list.out,
    /^main +available +127\.0\.0\.1:6379 +9\.1\.2 +3 shards \+ 1 replica each +off +50 +12\.3k +30 MB$/m,
  );
  const status = await cli('status main');
  assert.match(status.out, /reader 127\.0\.0\.1:6380/);
  assert.match(status.out, /^read +1k +\d+ µs +\d+ µs$/m);
  assert.match(status.out, /WRONGTYPE 3; 7 retried/);
  assert.equal(status.out.match(/^main-\d-\d/gm)?.length, 6);
  assert.equal((JSON.parse((await cli('list --json')).out) as CacheStatus[])[0]!.spec.name, 'main');
  assert.equal((JSON.parse((await cli('status --json')).out) as SystemStatus).proxies.length, 1);
  assert.equal((await cli('status other')).exitCode, 3);
});

test('nothing is coloured where the output is no terminal', async (t) => {
  const { fake, cli } = await start(t);
  fake.addCache({ name: 'main' });
  const { out, err } = await cli('status', { env: { NO_COLOR: '', FORCE_COLOR: '1' } });
  assert.ok(!out.includes('\u001b') && !err.includes('\u001b'));
});

test('create sends what was asked for, shows progress apart from the data', async (t) => {
  const { fake, cli } = await start(t);
  const { exitCode, out, err } = await cli(
    'create Cart --sharding off --memory-max 512mb --ecpu-max 5k --deadline 2s --json',
  );
  assert.equal(exitCode, 0, err);
  assert.equal((JSON.parse(out) as CacheStatus).spec.name, 'cart');
  assert.match(err, /25% starting nodes: 1 of 4/);
  const sent = fake.requests.find((request) => request.method === 'POST')!;
  assert.deepEqual(sent.body, {
    name: 'Cart',
    sharding: false,
    shards: 1,
    deadlineMs: 2000,
    limits: { memoryMaximumBytes: 512 * 1024 ** 2, ecpuPerSecondMaximum: 5000 },
  });
  const again = await cli('create cart');
  assert.equal(again.exitCode, 5);
  assert.match(again.err, /exists already/);
});

test('create says what is there when a user could not be made', async (t) => {
  const { fake, cli } = await start(t);
  fake.refuseUsers = { code: 'InvalidParameterValue', message: 'unknown category' };
  const { exitCode, err } = await cli('create a --user app:+@nope --password-file -', {
    input: 'secret\n',
  });
  assert.equal(exitCode, 2);
  assert.match(err, /Error: Unknown category\.\nThe cache is there, its users are not all\./);
  assert.match(err, /springtide user create a --data-dir .* springtide delete a/);
  assert.ok(fake.caches.has('a'));
});

test('create installs the engine that is missing', async (t) => {
  const { fake, cli } = await start(t);
  const { exitCode, err } = await cli('create old --engine-version 8.0');
  assert.equal(exitCode, 0, err);
  assert.match(err, /Valkey 8\.0: installing/);
  assert.deepEqual(
    fake.requests.filter(({ method }) => method === 'POST').map(({ path }) => path),
    ['/v1/engines/8.0', '/v1/caches'],
  );
});

test('create refuses a port that is taken before anything is made', async (t) => {
  const { fake, cli } = await start(t);
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => server.close());
  const { port } = server.address() as AddressInfo;
  const { exitCode, err } = await cli(`create a --port ${port}`);
  assert.equal(exitCode, 5);
  assert.match(
    err,
    new RegExp(`Port ${port} on 127\\.0\\.0\\.1, wanted for the endpoint, is already in use`),
  );
  assert.match(err, /--port auto/);
  fake.addCache({ name: 'main', port });
  assert.match((await cli(`create a --port ${port}`)).err, /in use by cache main\./);
  assert.ok(fake.requests.every(({ method }) => method === 'GET'));
});

test('what an installation can fail with has an exit code of its own', async (t) => {
  const { fake, cli } = await start(t);
  fake.installed.clear();
  const cases: [string, number][] = [
    ['ENGINE_MIRROR_UNREACHABLE', 7],
    ['ENGINE_DISK_FULL', 8],
    ['ENGINE_APT_MISSING', 6],
    ['InternalFailure', 1],
  ];
  for (const [code, expected] of cases) {
    fake.failure = { code, message: 'the reason, in words' };
    const { exitCode, out, err } = await cli('create a');
    assert.equal(exitCode, expected, code);
    assert.match(err, /Error: The reason, in words\.\n/);
    assert.equal(out, '');
  }
});

test('an operation whose end nobody told is a failure', async (t) => {
  const { fake, cli } = await start(t);
  fake.cut = true;
  const { exitCode, err } = await cli('create a');
  assert.equal(exitCode, 1);
  assert.match(err, /went away before it said how this ended/);
});

test('delete wants a yes', async (t) => {
  const { fake, cli } = await start(t);
  fake.addCache({ name: 'main' });
  const unasked = await cli('delete main');
  assert.equal(unasked.exitCode, 2);
  assert.match(unasked.err, /Add --yes/);
  assert.equal(fake.caches.size, 1);
  assert.equal((await cli('delete main --yes')).exitCode, 0);
  assert.equal(fake.caches.size, 0);
  assert.equal((await cli('delete main --yes')).exitCode, 3);
});

test('users: passwords come from standard input, two for rotation, and never from the command line', async (t) => {
  const { fake } = await start(t);
  fake.addCache({ name: 'main' });
  const run = (args: string[], input = '') =>
    runCli(['user', ...args, '--data-dir', fake.dataDir], { input });
  const rules = ['--rules', '~app:* +@all'];
  assert.equal((await run(['create', 'main', 'app', ...rules])).exitCode, 2);
  const created = await run(['create', 'main', 'app', ...rules, '--password-file', '-'], 'first\n');
  assert.equal(created.exitCode, 0, created.err);
  assert.deepEqual(fake.requests.at(-1)!.body, {
    enabled: true,
    rules: '~app:* +@all',
    passwords: ['first'],
  });
  assert.ok(!created.out.includes('first'));
  assert.equal((await run(['create', 'main', 'app', ...rules, '--nopass'])).exitCode, 5);
  const rotated = await run(
    ['modify', 'main', 'app', '--password-file', '-', '--disable'],
    'first\nsecond\n',
  );
  assert.equal(rotated.exitCode, 0, rotated.err);
  assert.match(rotated.out, /^app +off +2 +~app:\* \+@all$/m);
  assert.equal(
    (await run(['modify', 'main', 'app', '--password-file', '-'], 'a\nb\nc\n')).exitCode,
    2,
  );
  assert.equal((await run(['modify', 'main', 'app'])).exitCode, 2);
  assert.equal((await run(['modify', 'main', 'nobody', '--enable'])).exitCode, 3);
  assert.equal((await run(['delete', 'main', 'app', '--yes'])).exitCode, 0);
  assert.equal((await run(['delete', 'main', 'app', '--yes'])).exitCode, 3);
});

test('modify sends what is to change, and names options where it cannot be', async (t) => {
  const { fake, cli } = await start(t);
  fake.addCache({ name: 'main' });
  const changed = await cli('modify main --shards 4 --ecpu-min 5k --near-cache on');
  assert.equal(changed.exitCode, 0, changed.err);
  assert.match(changed.out, /^Cache main is changed\./);
  assert.deepEqual(fake.requests.at(-1), {
    method: 'PATCH',
    path: '/v1/caches/main',
    body: { shards: 4, nearCache: true, limits: { ecpuPerSecondMinimum: 5000 } },
  });
  assert.match((await cli('modify main --shards 4')).out, /is so already/);
  const { length } = fake.requests;
  const maximum = await cli('modify main --shards-max 2');
  assert.equal(maximum.exitCode, 2);
  assert.match(maximum.err, /^Error: --shards-max: 2 is below shards, 4/);
  assert.match((await cli('modify main --ecpu-max 1k')).err, /^Error: --ecpu-min: 5000 is above/);
  assert.ok(fake.requests.slice(length).every(({ method }) => method === 'GET'));
  assert.equal((await cli('modify other --shards 4')).exitCode, 3);
});

test('Ctrl-C ends the waiting for a change of nodes, and says that it goes on', async (t) => {
  const { fake, cli } = await start(t);
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
  const { fake, cli } = await start(t);
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
  const { fake, cli } = await start(t);
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
  const { fake, cli } = await start(t);
  const cache = fake.addCache({ name: 'main', shards: 1, replicas: 1 });
  assert.doesNotMatch((await cli('status main')).out, /ZONE/);
  const nodes = cache.nodes.map((node, i) => ({ ...node, hostId: `h${i}`, zone: `z${i}` }));
  fake.caches.set('main', { ...cache, nodes });
  const { out } = await cli('status main');
  assert.match(out, /VERSION +ZONE +HOST +ADDRESS/);
  assert.match(out, /^main-0-1 .* z1 +h1 /m);
});

test('failover names what is not there', async (t) => {
  const { fake, cli } = await start(t);
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
  const { fake, cli } = await start(t);
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

test('events: of a cache that never was, there are none, and that is said', async (t) => {
  const { cli } = await start(t);
  const { exitCode, out, err } = await cli('events nobody');
  assert.deepEqual([exitCode, out, err], [0, '', 'There are no events of a cache nobody.\n']);
});

test('what a command could not end with is told before it begins', async (t) => {
  const { fake, cli } = await start(t);
  fake.addCache({ name: 'main' });
  const bench = await cli('bench main --yes --svg /nonexistent/plot.svg');
  assert.equal(bench.exitCode, 8);
  assert.match(bench.err, /^Error: \/nonexistent\/plot\.svg cannot be written \(ENOENT.*\)\.$/m);
  const up = await runCli(['up', '--detach', '--port', '65535', '--data-dir', emptyDir(t)]);
  assert.equal(up.exitCode, 2);
  assert.match(up.err, /^Error: Port 65535 has none after it for the reader endpoint\.$/m);
});

test('events: all or of one cache, for people and for programs', async (t) => {
  const { fake, cli } = await start(t);
  fake.events.push(
    { id: 1, atMs: 1e12, cache: 'main', kind: 'node-lost', message: 'node a ended' },
    { id: 2, atMs: 1e12, cache: null, kind: 'proxy-restarted', message: 'proxy 0 is gone' },
    { id: 5, atMs: 1e12, cache: 'main', kind: 'failover', message: 'node b took over' },
  );
  const all = await cli('events');
  assert.equal(all.exitCode, 0);
  assert.deepEqual(
    all.out
      .trimEnd()
      .split('\n')
      .map((line) => line.slice(21)),
    [
      'main: node-lost  node a ended',
      'proxy-restarted  proxy 0 is gone',
      'main: failover  node b took over',
    ],
  );
  const one = await cli('events main --lines 1 --json');
  assert.deepEqual(JSON.parse(one.out), fake.events.slice(2));
});

test('events --follow goes on with what happens, each event once', async (t) => {
  const { fake, cli } = await start(t);
  const event = { atMs: 1e12, cache: 'main', kind: 'failover', message: 'x' };
  fake.events.push({ ...event, id: 1 });
  const timer = setInterval(() => {
    if (fake.requests.length > 0) fake.events.push({ ...event, id: fake.events.length + 1 });
  }, 200);
  t.after(() => clearInterval(timer));
  const { out } = await cli('events main --follow --json', {
    onOutput: (text, kill) => {
      if (text.split('\n').length > 4) kill('SIGTERM');
    },
  });
  const ids = out
    .trimEnd()
    .split('\n')
    .map((line) => (JSON.parse(line) as { id: number }).id);
  assert.deepEqual(
    ids,
    ids.map((_, index) => index + 1),
  );
  assert.ok(ids.length >= 4);
});

test('status --watch off a terminal prints plain lines until it is stopped', async (t) => {
  const { fake, cli } = await start(t);
  fake.addCache({ name: 'main' });
  const { out } = await cli('status --watch --interval 100ms', {
    onOutput: (text, kill) => {
      if (text.split('\n').length === 3 && fake.events.length === 0) {
        fake.addCache({ name: 'second' });
        fake.events.push({
          id: 1,
          atMs: 1e12,
          cache: 'second',
          kind: 'cache-created',
          message: 'Cache second is created.',
        });
      }
      if (text.includes('event') && text.includes(' second ')) kill('SIGTERM');
    },
  });
  assert.match(
    out,
    /^\d\d:\d\d:\d\d main available requests\/s=12\.3k clients=50 nodes=3\/3 memory=30MB$/m,
  );
  assert.match(out, /event cache-created Cache second is created\./);
  assert.ok(!out.includes('\u001b'));
});

test('up where a daemon runs says so and shows it', async (t) => {
  const { fake, cli } = await start(t);
  fake.addCache({ name: 'main', port: 6379 });
  const { exitCode, out } = await cli('up');
  assert.equal(exitCode, 0);
  assert.match(out, /already runs here \(pid \d+, for 1h 0m\)/);
  assert.match(out, /Endpoint +127\.0\.0\.1:6379/);
  assert.match(out, /new Redis\(\{ host: '127\.0\.0\.1', port: 6379 \}\)/);
});

test('up says which port is in use and what to do, before it starts anything', async (t) => {
  const directory = emptyDir(t);
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => server.close());
  const { port } = server.address() as AddressInfo;
  const args = ['up', '--port', String(port), '--data-dir', join(directory, 'data')];
  const { exitCode, err } = await runCli(args);
  assert.equal(exitCode, 5);
  assert.match(
    err,
    new RegExp(
      `Port ${port} .* is already in use by another program\\.\nChoose another one: springtide up .*--port`,
    ),
  );
  assert.doesNotMatch(err, /Starting the daemon/);
});

test('a data directory that cannot be made is one sentence and 8', async (t) => {
  const file = join(emptyDir(t), 'file');
  writeFileSync(file, '');
  const { exitCode, err } = await runCli([
    'up',
    '--port',
    'auto',
    '--data-dir',
    join(file, 'data'),
  ]);
  assert.equal(exitCode, 8, err);
  assert.match(err, /cannot be used \(ENOTDIR/);
  assert.match(err, /--data-dir/);
});

test('a path too long for a socket is told as that', async (t) => {
  const { exitCode, err } = await runCli([
    'list',
    '--data-dir',
    join(emptyDir(t), 'x'.repeat(120)),
  ]);
  assert.equal(exitCode, 2);
  assert.match(err, /too long for a unix socket/);
});

test('logs are read without a daemon', async (t) => {
  const { fake } = await start(t);
  const run = (...args: string[]) => runCli(['logs', ...args, '--data-dir', fake.dataDir]);
  assert.equal((await run()).exitCode, 3);
  const { logs } = dataDirPaths(fake.dataDir);
  mkdirSync(logs);
  const lines = ['{"level":30,"time":0,"msg":"cache created","cache":"main"}', 'plain words'];
  writeFileSync(join(logs, 'daemon.log'), `${lines.join('\n')}\n`);
  assert.equal((await run()).out, '00:00:00.000 INFO  cache created cache=main\nplain words\n');
  assert.equal((await run('--json', '-n', '2')).out, `${lines.join('\n')}\n`);
  assert.equal((await run('-n', '1')).out, 'plain words\n');
  assert.equal((await run('kernel')).exitCode, 2);
});

test('doctor prints JSON that says for each check what to do', async (t) => {
  const { out } = await runCli(['doctor', '--json', '--data-dir', emptyDir(t)]);
  const findings = JSON.parse(out) as { check: string; verdict: string; fix: string | null }[];
  assert.ok(findings.length >= 12);
  assert.deepEqual(
    findings.filter(({ verdict, fix }) => (verdict === 'ok') !== (fix === null)),
    [],
  );
});

test('a reader that goes away ends the command quietly', async (t) => {
  const { fake } = await start(t);
  for (let index = 0; index < 200; index += 1) fake.addCache({ name: `cache${index}` });
  const main = join(import.meta.dirname, 'main.ts');
  const line = `"${process.execPath}" "${main}" status --json --data-dir "${fake.dataDir}" | head -1`;
  const { err, out } = await new Promise<{ err: string; out: string }>((resolve) => {
    execFile('sh', ['-c', line], (_error, stdout, stderr) => resolve({ out: stdout, err: stderr }));
  });
  assert.equal(out, '{\n');
  assert.equal(err, '');
});
