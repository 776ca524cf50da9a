/** The real command as a process, against the API in memory (fake-api-server.ts): what all commands have in common. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import type { CacheStatus, SystemStatus } from '../model/admin-api.ts';
import { dataDirPaths } from '../model/data-dir.ts';
import { runCli } from './run-cli.ts';
import { emptyDir, startCli } from './test-cli.ts';

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
  const { fake, cli } = await startCli(t);
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
  const { fake, cli } = await startCli(t);
  fake.addCache({ name: 'main' });
  const { out, err } = await cli('status', { env: { NO_COLOR: '', FORCE_COLOR: '1' } });
  assert.ok(!out.includes('\u001b') && !err.includes('\u001b'));
});

test('an operation whose end nobody told is a failure', async (t) => {
  const { fake, cli } = await startCli(t);
  fake.cut = true;
  const { exitCode, err } = await cli('create a');
  assert.equal(exitCode, 1);
  assert.match(err, /went away before it said how this ended/);
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
  const { fake } = await startCli(t);
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
  const { fake } = await startCli(t);
  for (let index = 0; index < 200; index += 1) fake.addCache({ name: `cache${index}` });
  const main = join(import.meta.dirname, 'main.ts');
  const line = `"${process.execPath}" "${main}" status --json --data-dir "${fake.dataDir}" | head -1`;
  const { err, out } = await new Promise<{ err: string; out: string }>((resolve) => {
    execFile('sh', ['-c', line], (_error, stdout, stderr) => resolve({ out: stdout, err: stderr }));
  });
  assert.equal(out, '{\n');
  assert.equal(err, '');
});
