/** What `up` says before it starts anything. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { runCli } from './run-cli.ts';
import { emptyDir, startCli } from './test-cli.ts';

test('what a command could not end with is told before it begins', async (t) => {
  const { fake, cli } = await startCli(t);
  fake.addCache({ name: 'main' });
  const bench = await cli('bench main --yes --svg /nonexistent/plot.svg');
  assert.equal(bench.exitCode, 8);
  assert.match(bench.err, /^Error: \/nonexistent\/plot\.svg cannot be written \(ENOENT.*\)\.$/m);
  const up = await runCli(['up', '--detach', '--port', '65535', '--data-dir', emptyDir(t)]);
  assert.equal(up.exitCode, 2);
  assert.match(up.err, /^Error: Port 65535 has none after it for the reader endpoint\.$/m);
});

test('up where a daemon runs says so and shows it', async (t) => {
  const { fake, cli } = await startCli(t);
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
