import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type AddressInfo, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { AdminClient, NodeReplyError } from './admin-client.ts';
import { findEngine, installEngine } from './catalogue.ts';
import { LocalHost } from './local-host.ts';
import type { HostedNode } from './host.ts';

let root: string;
let host: LocalHost;
let node: HostedNode;
const alive = setInterval(() => {}, 1000);

before(async () => {
  root = await mkdtemp(join(tmpdir(), 'springtide-admin-'));
  await installEngine('9.1');
  host = new LocalHost({ dataDir: root, findEngine });
  node = await host.startNode({
    nodeId: 'a',
    clusterEnabled: false,
    aclLines: [
      'user default off',
      'user admin on >pass ~* &* +@all',
      'user reader on >read ~* +@read',
    ],
  });
});
after(async () => {
  clearInterval(alive);
  await host.stopNode('a', { graceMs: 0 });
  await rm(root, { recursive: true });
});

const connect = () => AdminClient.connect({ ...node, username: 'admin', password: 'pass' });

test('commands, numbers and binary arguments go through in order', async () => {
  using client = await connect();
  const replies = await Promise.all([
    client.call('SET', 'key', Buffer.from('välue')),
    client.call('GET', 'key'),
    client.call('EXPIRE', 'key', 100),
    client.call('GET', 'absent'),
    client.call('LPUSH', 'list', 'a', 'b'),
    client.call('LRANGE', 'list', 0, -1),
  ]);
  assert.deepEqual(replies, ['OK', 'välue', 1, null, 2, ['b', 'a']]);
});

test('an error reply carries its first word and leaves the connection in use', async () => {
  using client = await connect();
  await client.call('SET', 'text', 'x');
  await assert.rejects(client.call('INCR', 'text'), (error) => {
    assert.ok(error instanceof NodeReplyError);
    assert.equal(error.code, 'NODE_REPLIED_ERROR');
    assert.equal(error.replyCode, 'ERR');
    return true;
  });
  await assert.rejects(client.call('LPOP', 'text'), { replyCode: 'WRONGTYPE' });
  assert.equal(await client.call('GET', 'text'), 'x');
});

test('a refused login', async () => {
  const { port } = node;
  await assert.rejects(
    AdminClient.connect({ host: '127.0.0.1', port, username: 'admin', password: 'no' }),
    {
      code: 'NODE_REPLIED_ERROR',
      replyCode: 'WRONGPASS',
    },
  );
  using reader = await AdminClient.connect({ ...node, username: 'reader', password: 'read' });
  await assert.rejects(reader.call('SET', 'a', 'b'), { replyCode: 'NOPERM' });
});

test('a call that takes too long, and one that is given up', async () => {
  using client = await connect();
  await assert.rejects(client.callWith({ timeoutMs: 30 }, 'BLPOP', 'empty', 0), {
    code: 'NODE_TIMEOUT',
    message: /BLPOP/,
  });
  using second = await connect();
  const given = AbortSignal.timeout(30);
  await assert.rejects(second.callWith({ signal: given }, 'BLPOP', 'empty', 0), {
    code: 'NODE_ABORTED',
  });
  await assert.rejects(second.callWith({ signal: given }, 'PING'), { code: 'NODE_ABORTED' });
});

test('closing ends calls under way and later ones, and calls back once', async () => {
  const client = await connect();
  let closes = 0;
  client.onClose(() => closes++);
  const blocked = assert.rejects(client.call('BLPOP', 'empty', 0), {
    code: 'NODE_CONNECTION_CLOSED',
  });
  const closed = new Promise<void>((resolve) => client.onClose(resolve));
  assert.ok(client.isOpen);
  client.close();
  await Promise.all([blocked, closed]);
  assert.ok(!client.isOpen);
  await assert.rejects(client.call('PING'), { code: 'NODE_CONNECTION_CLOSED' });
  await new Promise<void>((resolve) => client.onClose(resolve));
  assert.equal(closes, 1);
});

test('a connection that the node closes is noticed and not made again', async () => {
  using client = await connect();
  using killer = await connect();
  const closed = new Promise<void>((resolve) => client.onClose(resolve));
  const blocked = assert.rejects(client.call('BLPOP', 'empty', 0), {
    code: 'NODE_CONNECTION_CLOSED',
  });
  await killer.call('CLIENT', 'KILL', 'USER', 'admin', 'SKIPME', 'yes');
  await Promise.all([closed, blocked]);
  assert.equal(String(await killer.call('CLIENT', 'LIST')).match(/user=admin/g)?.length, 1);
});

test('nobody there, and somebody who says nothing', async () => {
  const silent = createServer().listen(0, '127.0.0.1') as Server;
  await once(silent, 'listening');
  const { port } = silent.address() as AddressInfo;
  const options = { host: '127.0.0.1', port, password: 'x', connectTimeoutMs: 50 };
  const accepted = once(silent, 'connection');
  await assert.rejects(AdminClient.connect(options), { code: 'NODE_TIMEOUT' });
  const [socket] = await accepted;
  socket.destroy();
  await assert.rejects(AdminClient.connect({ ...options, signal: AbortSignal.abort() }), {
    code: 'NODE_ABORTED',
  });
  silent.close();
  await once(silent, 'close');
  await assert.rejects(AdminClient.connect(options), {
    code: 'NODE_UNREACHABLE',
    message: /ECONNREFUSED/,
  });
});

test('a node that comes back is not reached through the old client', async () => {
  const request = { nodeId: 'b', clusterEnabled: false };
  const first = await host.startNode(request);
  using client = await AdminClient.connect(first);
  const closed = new Promise<void>((resolve) => client.onClose(resolve));
  await host.stopNode('b', { graceMs: 0 });
  await closed;
  const again = await host.startNode({ ...request, port: first.port });
  try {
    assert.notEqual(again.pid, first.pid);
    await assert.rejects(client.call('PING'), { code: 'NODE_CONNECTION_CLOSED' });
  } finally {
    await host.stopNode('b', { graceMs: 0, forget: true });
  }
});
