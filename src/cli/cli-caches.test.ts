/** The commands that make, change and delete caches and their users, against the API in memory. */
import assert from 'node:assert/strict';
import { createServer, type AddressInfo } from 'node:net';
import { test } from 'node:test';
import type { CacheStatus } from '../model/admin-api.ts';
import { runCli } from './run-cli.ts';
import { startCli } from './test-cli.ts';

test('create sends what was asked for, shows progress apart from the data', async (t) => {
  const { fake, cli } = await startCli(t);
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
  const { fake, cli } = await startCli(t);
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
  const { fake, cli } = await startCli(t);
  const { exitCode, err } = await cli('create old --engine-version 8.0');
  assert.equal(exitCode, 0, err);
  assert.match(err, /Valkey 8\.0: installing/);
  assert.deepEqual(
    fake.requests.filter(({ method }) => method === 'POST').map(({ path }) => path),
    ['/v1/engines/8.0', '/v1/caches'],
  );
});

test('create refuses a port that is taken before anything is made', async (t) => {
  const { fake, cli } = await startCli(t);
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
  const { fake, cli } = await startCli(t);
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

test('delete wants a yes', async (t) => {
  const { fake, cli } = await startCli(t);
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
  const { fake } = await startCli(t);
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
  const { fake, cli } = await startCli(t);
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
