import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { chmod, mkdir, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import { AdminClient } from './admin-client.ts';
import { installEngine, type EngineInstallation } from './catalogue.ts';
import { ENGINE_LINES } from './engine-line.ts';
import { adoptNode, launchNode, stopNode, type RunningNode } from './launch.ts';
import { nodeFiles, type NodeSettings } from './node-config.ts';
import { isAlive, readProcess } from './process-identity.ts';

let root: string;
let engine: EngineInstallation;
/** Adopted nodes and children do not keep this process alive; the tests do. */
const alive = setInterval(() => {}, 1000);
const launched: RunningNode[] = [];

before(async () => {
  root = await mkdtemp(join(tmpdir(), 'springtide launch '));
  engine = await installEngine('9.1');
});
after(async () => {
  for (const node of launched) await stopNode(node, { graceMs: 0 });
  clearInterval(alive);
  await rm(root, { recursive: true });
});

async function freePort(): Promise<number> {
  for (;;) {
    const port = 20_000 + Math.floor(Math.random() * 10_000);
    const servers = [port, port + 10_000].map((each) => createServer().listen(each, '127.0.0.1'));
    const free = await Promise.all(servers.map((server) => once(server, 'listening'))).then(
      () => true,
      () => false,
    );
    await Promise.all(servers.map((server) => new Promise((closed) => server.close(closed))));
    if (free) return port;
  }
}

async function settingsOf(
  nodeId: string,
  change: Partial<NodeSettings> = {},
): Promise<NodeSettings> {
  return {
    nodeId,
    port: await freePort(),
    dir: join(root, nodeId),
    clusterEnabled: true,
    ...change,
  };
}

async function launch(settings: NodeSettings, installation = engine): Promise<RunningNode> {
  const node = await launchNode(installation, settings);
  launched.push(node);
  return node;
}

for (const { line } of ENGINE_LINES) {
  test(`Valkey ${line}: a clustered node with every setting starts, says so, and stops`, async () => {
    const installation = await installEngine(line);
    const dir = join(root, `full-${line.replace('.', '-')}`);
    await mkdir(dir, { recursive: true });
    const aclFile = join(dir, 'users.acl');
    await writeFile(aclFile, 'user default on >se"cret ~* &* +@all\n');
    const settings = await settingsOf(`full-${line.replace('.', '-')}`, {
      aclFile,
      ioThreads: 2,
      maxmemoryBytes: 64 << 20,
      hashSeed: 'some seed "é"',
      primaryUser: 'default',
      primaryPassword: 'se"cret',
      unixSocketPath: join(root, `u${line}`),
      extra: { 'slowlog-max-len': '7' },
    });
    const node = await launch(settings, installation);
    assert.equal(node.version, installation.version);
    assert.equal((await stat(nodeFiles(dir).config)).mode & 0o777, 0o600);
    assert.equal((await stat(dir)).mode & 0o777, 0o700);
    using client = await AdminClient.connect({ ...node, password: 'se"cret' });
    const read = async (name: string) =>
      ((await client.call('CONFIG', 'GET', name)) as string[])[1];
    assert.equal(await read('slowlog-max-len'), '7');
    assert.equal(await read('primaryauth'), 'se"cret');
    assert.equal(await read('maxmemory'), String(64 << 20));
    assert.equal(await read('io-threads'), '2');
    assert.equal(await read('dual-channel-replication-enabled'), 'yes');
    assert.equal(await read('cluster-slot-stats-enabled'), line === '8.0' ? 'no' : 'yes');
    assert.doesNotMatch(String(await client.call('INFO', 'errorstats')), /errorstat_/);
    if (line === '9.1') assert.equal(await read('hash-seed'), 'some seed "é"');
    assert.match(
      String(await client.call('INFO', 'server')),
      new RegExp(`process_id:${node.pid}\\r`),
    );
    assert.doesNotMatch(await readFile(node.logFile, 'utf8'), /WARNING: Changing databases/);
    assert.deepEqual(await stopNode(node), { code: 0, signal: null });
    assert.equal(readProcess(node.pid), undefined);
    assert.equal(await adoptNode(node.dir), undefined);
  });
}

test('a killed node is noticed by its starter and by an adopter, and starts again in its place', async () => {
  const settings = await settingsOf('killed');
  const node = await launch(settings);
  const adopted = await adoptNode(node.dir);
  assert.ok(adopted);
  const { exited, ...facts } = adopted;
  assert.deepEqual({ ...facts, exited: node.exited }, node);
  await assert.rejects(launchNode(engine, settings), { code: 'NODE_ALREADY_RUNNING' });
  assert.ok(isAlive(node), 'the refused launch left it alone');
  using client = await AdminClient.connect(node);
  const myId = await client.call('CLUSTER', 'MYID');
  const closed = new Promise<void>((resolve) => client.onClose(resolve));
  process.kill(node.pid, 'SIGKILL');
  await closed;
  assert.deepEqual(await node.exited, { code: null, signal: 'SIGKILL' });
  assert.deepEqual(await exited, { code: null, signal: null });
  assert.equal(await adoptNode(node.dir), undefined, 'its pid file is stale');
  const again = await launch(settings);
  using second = await AdminClient.connect(again);
  assert.equal(await second.call('CLUSTER', 'MYID'), myId, 'it kept its cluster state');
});

test('an adopted node whose watching connection is cut has not ended', async () => {
  const node = await launch(await settingsOf('cut', { clusterEnabled: false }));
  const adopted = await adoptNode(node.dir);
  assert.ok(adopted);
  let ended = false;
  void adopted.exited.then(() => (ended = true));
  using client = await AdminClient.connect(node);
  // Until the watcher is seen, then until it has come back.
  const others = async () => {
    const list = String(await client.call('CLIENT', 'LIST'))
      .trim()
      .split('\n');
    const own = String(await client.call('CLIENT', 'ID'));
    return list.map((line) => /^id=(\d+)/.exec(line)![1]!).filter((id) => id !== own);
  };
  let watcher: string | undefined;
  while (watcher === undefined) [watcher] = await others();
  await client.call('CLIENT', 'KILL', 'ID', watcher);
  for (let current = watcher; current === watcher;) current = (await others())[0] ?? watcher;
  assert.equal(ended, false);
  await stopNode(adopted, { graceMs: 0 });
  assert.equal(ended, true);
});

test('a node outlives the process that started it, and another adopts and stops it', async () => {
  const settings = await settingsOf('orphan');
  const module = (name: string) => JSON.stringify(new URL(name, import.meta.url).href);
  const script = `
    const { installEngine } = await import(${module('catalogue.ts')});
    const { launchNode } = await import(${module('launch.ts')});
    const node = await launchNode(await installEngine('9.1'), ${JSON.stringify(settings)});
    console.log(node.pid);`;
  const starter = await promisify(execFile)(process.execPath, [
    '--input-type=module',
    '-e',
    script,
  ]);
  const adopted = await adoptNode(settings.dir);
  assert.ok(adopted);
  launched.push(adopted);
  assert.equal(adopted.pid, Number(starter.stdout));
  assert.equal(adopted.port, settings.port);
  await rm(nodeFiles(settings.dir).pid);
  assert.equal((await adoptNode(settings.dir))?.pid, adopted.pid, 'found without its pid file');
  await writeFile(nodeFiles(settings.dir).pid, `${process.pid}\n`);
  assert.equal(
    (await adoptNode(settings.dir))?.pid,
    adopted.pid,
    'a pid file that names a stranger is not believed',
  );
  assert.deepEqual(await stopNode(adopted), { code: null, signal: null });
  assert.ok(!isAlive(adopted));
});

test('a stopped node is killed when its grace is over', async () => {
  const node = await launch(await settingsOf('stuck'));
  process.kill(node.pid, 'SIGSTOP');
  assert.deepEqual(await stopNode(node, { graceMs: 50 }), { code: null, signal: 'SIGKILL' });
  assert.deepEqual(
    await stopNode(node),
    { code: null, signal: 'SIGKILL' },
    'stopping twice is harmless',
  );
});

test('a port in use, for clients or for the cluster bus, is named', async () => {
  for (const offset of [0, 10_000]) {
    const settings = await settingsOf(`taken-${offset}`);
    const taken = createServer().listen(settings.port + offset, '127.0.0.1');
    await once(taken, 'listening');
    const { port } = taken.address() as AddressInfo;
    await assert.rejects(launchNode(engine, settings), {
      code: 'NODE_PORT_IN_USE',
      message: new RegExp(`^Port ${port} is in use`),
    });
    taken.close();
    await once(taken, 'close');
  }
});

test('a start that fails says why, in the words of the log, and leaves no process', async () => {
  const bad = await settingsOf('bad-directive', { extra: { 'no-such-directive': 'yes' } });
  await assert.rejects(launchNode(engine, bad), {
    code: 'NODE_START_FAILED',
    message: /exit status 1.*no-such-directive/s,
  });
  assert.equal(await adoptNode(bad.dir), undefined);

  await writeFile(join(root, 'a-file'), '');
  const nowhere = await settingsOf('nowhere', { dir: join(root, 'a-file/nowhere') });
  await assert.rejects(launchNode(engine, nowhere), { code: 'NODE_DIRECTORY_UNUSABLE' });

  const absent = { ...engine, command: [join(root, 'absent')] };
  await assert.rejects(launchNode(absent, await settingsOf('absent-binary')), {
    code: 'NODE_START_FAILED',
    message: /ENOENT/,
  });
});

test('a binary that runs but serves nothing is given up and killed', async () => {
  const binary = join(root, 'mute-server');
  await writeFile(binary, '#!/bin/sh\necho "about to do nothing"\nwhile :; do sleep 0.1; done\n');
  await chmod(binary, 0o755);
  const mute = { ...engine, command: [binary] };
  const settings = await settingsOf('mute');
  await assert.rejects(launchNode(mute, settings, { startTimeoutMs: 200 }), {
    code: 'NODE_START_TIMEOUT',
    message: /200 ms.*about to do nothing/s,
  });
  assert.equal(await adoptNode(settings.dir), undefined);
  const signal = AbortSignal.timeout(50);
  await assert.rejects(launchNode(mute, await settingsOf('mute-2'), { signal }), {
    code: 'NODE_ABORTED',
  });
});
