import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdtemp, readdir, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, beforeEach, test } from 'node:test';
import { AdminClient } from './admin-client.ts';
import { findEngine, installEngine } from './catalogue.ts';
import type { NodeEnd } from './host.ts';
import { LocalHost } from './local-host.ts';
import { REPLICATION_ACL_RULES } from './node-config.ts';
import { readCommandLine } from './process-identity.ts';

let root: string;
let dataDir: string;
let host: LocalHost;
const alive = setInterval(() => {}, 1000);

before(async () => {
  root = await mkdtemp(join(tmpdir(), 'springtide-host-'));
  await installEngine('9.1');
});
beforeEach(async () => {
  if (host !== undefined) await stopAll();
  dataDir = await mkdtemp(join(root, 'data-'));
  host = new LocalHost({ dataDir, findEngine, ports: [13_000, 13_400] });
});
after(async () => {
  await stopAll();
  clearInterval(alive);
  await rm(root, { recursive: true });
});

async function stopAll(): Promise<void> {
  for (const { nodeId } of await host.list())
    await host.stopNode(nodeId, { graceMs: 0, forget: true });
}

const pause = () => new Promise((next) => setTimeout(next, 20));

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}

function nextEnd(of: LocalHost): Promise<NodeEnd> {
  return new Promise((resolve) => {
    const subscription = of.onNodeEnd((end) => {
      subscription[Symbol.dispose]();
      resolve(end);
    });
  });
}

test('nodes started at once get ports and directories of their own', async () => {
  assert.deepEqual(await host.list(), []);
  const ids = ['n1', 'n2', 'n3', 'n4'];
  const nodes = await Promise.all(
    ids.map((nodeId) => host.startNode({ nodeId, clusterEnabled: true })),
  );
  assert.equal(new Set(nodes.map((node) => node.port)).size, 4);
  assert.deepEqual((await host.list()).map((node) => node.nodeId).sort(), ids);
  for (const node of nodes) {
    assert.ok((await stat(join(dataDir, 'nodes', node.nodeId))).isDirectory());
    using client = await AdminClient.connect(node);
    assert.match(String(await client.call('CLUSTER', 'INFO')), /cluster_known_nodes:1\r/);
  }
  await host.stopNode('n1', { forget: true });
  await host.stopNode('n2');
  assert.deepEqual((await readdir(join(dataDir, 'nodes'))).sort(), ['n2', 'n3', 'n4']);
  assert.deepEqual((await host.list()).map((node) => node.nodeId).sort(), ['n3', 'n4']);
});

test('starting twice, at once or later, is one node', async () => {
  const request = { nodeId: 'one', clusterEnabled: false };
  const [first, second] = await Promise.all([host.startNode(request), host.startNode(request)]);
  assert.deepEqual(first, second);
  assert.deepEqual(await host.startNode(request), first);
});

test('the end of a node is told with what is known of it', async () => {
  const node = await host.startNode({ nodeId: 'mortal', clusterEnabled: false });
  const died = nextEnd(host);
  process.kill(node.pid, 'SIGKILL');
  const told = { nodeId: 'mortal', pid: node.pid };
  assert.deepEqual(await died, {
    ...told,
    requested: false,
    code: null,
    signal: 'SIGKILL',
    outOfMemory: false,
  });
  assert.deepEqual(await host.list(), []);
  const again = await host.startNode({ nodeId: 'mortal', clusterEnabled: false, port: node.port });
  const stopped = nextEnd(host);
  await host.stopNode('mortal');
  assert.deepEqual(await stopped, {
    nodeId: 'mortal',
    pid: again.pid,
    requested: true,
    code: 0,
    signal: null,
    outOfMemory: false,
  });
  await host.stopNode('mortal');
});

test('a second host on the same directory takes the nodes over', async () => {
  const node = await host.startNode({ nodeId: 'kept', clusterEnabled: true });
  const successor = new LocalHost({ dataDir, findEngine });
  assert.deepEqual(await successor.list(), [node]);
  assert.deepEqual(await successor.startNode({ nodeId: 'kept', clusterEnabled: true }), node);
  const died = nextEnd(successor);
  process.kill(node.pid, 'SIGKILL');
  assert.deepEqual(await died, {
    nodeId: 'kept',
    pid: node.pid,
    requested: false,
    code: null,
    signal: null,
    outOfMemory: false,
  });
});

test('a failed start gives its port back; an id that is no plain name makes no path', async () => {
  const narrow = new LocalHost({ dataDir, findEngine, ports: [13_500, 13_500] });
  const bad = { nodeId: 'bad', clusterEnabled: false, extra: { 'no-such-directive': 'x' } };
  await assert.rejects(narrow.startNode(bad), { code: 'NODE_START_FAILED' });
  const node = await narrow.startNode({ nodeId: 'good', clusterEnabled: false });
  assert.equal(node.port, 13_500);
  await assert.rejects(narrow.startNode({ nodeId: 'more', clusterEnabled: false }), {
    code: 'NODE_PORT_IN_USE',
    message: /13500 to 13500/,
  });
  await narrow.stopNode('good', { graceMs: 0 });
  await assert.rejects(host.startNode({ nodeId: '../out', clusterEnabled: false }), {
    code: 'NODE_UNKNOWN',
  });
  await assert.rejects(host.stopNode('..', { forget: true }), { code: 'NODE_UNKNOWN' });
});

test('a secret is in no command line', async () => {
  const secret = 'correct-horse';
  const node = await host.startNode({
    nodeId: 'quiet',
    clusterEnabled: true,
    primaryUser: 'repl',
    primaryPassword: secret,
    aclLines: [`user default on >${secret} ~* &* +@all`],
  });
  assert.ok(readCommandLine(node.pid).length > 1);
  assert.ok(!readCommandLine(node.pid).join(' ').includes(secret));
  assert.equal((await stat(join(node.dir, 'users.acl'))).mode & 0o777, 0o600);
});

for (const version of ['9.1', '8.1', '8.0']) {
  test(`Valkey ${version}: a replica logs in to its primary with its own user and copies it`, async () => {
    await installEngine(version);
    const common = {
      version,
      clusterEnabled: true,
      primaryUser: 'copier',
      primaryPassword: 'a "quoted" secret',
      clusterNodeTimeoutMs: 1000,
      aclLines: [
        'user default on nopass ~* &* +@all',
        `user copier on #${sha256('a "quoted" secret')} ${REPLICATION_ACL_RULES}`,
      ],
    };
    const primary = await host.startNode({ ...common, nodeId: 'primary' });
    const replica = await host.startNode({ ...common, nodeId: 'replica' });
    using onPrimary = await AdminClient.connect(primary);
    using onReplica = await AdminClient.connect(replica);
    await onPrimary.call('CLUSTER', 'ADDSLOTSRANGE', 0, 16_383);
    await onPrimary.call('CLUSTER', 'MEET', '127.0.0.1', replica.port);
    const primaryId = String(await onPrimary.call('CLUSTER', 'MYID'));
    while (!String(await onReplica.call('CLUSTER', 'NODES')).includes(primaryId)) await pause();
    while (!/cluster_state:ok/.test(String(await onPrimary.call('CLUSTER', 'INFO')))) await pause();
    await onPrimary.call('SET', 'key', 'value');
    await onReplica.call('CLUSTER', 'REPLICATE', primaryId);
    while (!/master_link_status:up/.test(String(await onReplica.call('INFO', 'replication'))))
      await pause();
    await onReplica.call('READONLY');
    assert.equal(await onReplica.call('GET', 'key'), 'value');
  });
}

test('capacity is that of this machine', async () => {
  const capacity = await host.capacity();
  assert.ok(capacity.cores >= 1);
  assert.ok(capacity.freeMemoryBytes > 0 && capacity.freeMemoryBytes <= capacity.memoryBytes);
});
