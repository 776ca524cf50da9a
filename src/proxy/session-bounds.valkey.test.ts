/** What one client can make a proxy hold: requests, replies, connections that have ended. Each has a bound. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { ProxiedCache, until } from '../../e2e/fixtures/proxied-cache.ts';
import { hashSlot } from '../protocol/hash-slot.ts';
import { encodeRequest } from '../protocol/request-encoder.ts';

const MIB = 1024 * 1024;
/** Requests under way of one session, and what the kernel and the sockets hold beside them. */
const TAKEN_MAXIMUM_BYTES = 32 * MIB + 16 * MIB;

describe('bounds of a session', () => {
  let cache: ProxiedCache;

  before(async () => {
    cache = await ProxiedCache.start({ limits: { outputMaximumBytes: 4 * MIB } });
  });
  after(() => cache.close());

  async function whileStopped(nodes: readonly number[], work: () => Promise<void>): Promise<void> {
    const pids = nodes.map((node) => cache.nodes[node]!.process.pid!);
    for (const pid of pids) process.kill(pid, 'SIGSTOP');
    try {
      await work();
    } finally {
      for (const pid of pids) process.kill(pid, 'SIGCONT');
    }
  }

  for (const end of ['QUIT\r\n', '*1\r\n+not RESP\r\n']) {
    it(`a connection that ${JSON.stringify(end)} has ended does not stay when the client keeps its side open`, async () => {
      const socket = open(cache.cache.port);
      socket.write('CLIENT SETNAME lingering\r\n');
      await once(socket, 'data');
      socket.write(end);
      await once(socket, 'end');
      const other = await cache.client();
      await until(async () => !(await other.text('CLIENT', 'LIST')).includes('name=lingering'));
      socket.destroy();
    });
  }

  for (const blocking of ['BLPOP nothing 0', 'WAIT 1 0']) {
    it(`a client that goes before its ${blocking} begins does not stay`, async () => {
      const other = await cache.client();
      const socket = open(cache.cache.port);
      // Behind a command that is under way: it begins when that is answered, and by then the client has closed its side.
      socket.end(`CLIENT SETNAME gone\r\nSET a 1\r\n${blocking}\r\n`);
      await once(socket, 'data');
      await until(async () => !(await other.text('CLIENT', 'LIST')).includes('name=gone'), 5000);
      socket.destroy();
    });
  }

  for (const [how, first, request] of [
    ['with CLIENT REPLY OFF', 'CLIENT REPLY OFF\r\n', ['SET', 'a', 'x'.repeat(MIB)]],
    [
      'over several shards',
      '',
      ['MSET', ...['a', 'b', 'c'].flatMap((key) => [key, 'x'.repeat(MIB)])],
    ],
  ] as const) {
    it(`takes no more writes ${how} than may be under way, when the nodes do not take them`, async () => {
      await whileStopped([0, 1, 2], async () => {
        const socket = open(cache.cache.port);
        socket.write(first);
        const bytes = encodeRequest(request);
        let taken = 0;
        while (taken < 100 * MIB && (await isTaken(socket, bytes))) taken += bytes.length;
        assert.ok(taken < TAKEN_MAXIMUM_BYTES, `took ${taken} bytes`);
        socket.destroy();
      });
    });
  }

  it('cuts a client whose replies wait for an older one beyond the limit of output', async () => {
    const big = keyOf(0);
    const other = keyOf(1);
    const client = await cache.client();
    await client.expectOk('SET', big, 'x'.repeat(MIB));
    await whileStopped([1], async () => {
      client.write(encodeRequest(['GET', other]));
      for (let i = 0; i < 16; i++) client.write(encodeRequest(['GET', big]));
      await until(() => client.closed);
    });
  });

  it('a command without keys that waits for its node is not given up for a later one of the proxy itself', async () => {
    const node = cache.nodes[0]!.process;
    const client = await cache.client();
    node.kill('SIGKILL');
    await once(node, 'exit');
    // The proxy must have seen it, or it sends the command and cannot know what became of it.
    await sleep(100);
    client.write(encodeRequest(['EVAL', 'return 7', 0]));
    client.write(encodeRequest(['PING']));
    await sleep(50);
    const again = spawn(node.spawnfile, node.spawnargs.slice(1), { stdio: 'ignore' });
    try {
      assert.equal((await client.next()).toString(), ':7\r\n');
      assert.equal((await client.next()).toString(), '+PONG\r\n');
    } finally {
      again.kill('SIGKILL');
    }
  });

  /** A key of the shard. */
  function keyOf(shard: number): string {
    for (let i = 0; ; i++) {
      const key = Buffer.from(`key${i}`);
      if (Math.floor(hashSlot(key, 0, key.length) / Math.ceil(16_384 / 3)) === shard)
        return key.toString();
    }
  }
});

/** A connection that does not close its side when the other one does. */
function open(port: number): Socket {
  const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
  socket.on('error', () => socket.destroy());
  socket.on('data', () => {});
  return socket;
}

/** Does the other side take these bytes, whole and soon? */
function isTaken(socket: Socket, bytes: Buffer): Promise<boolean> {
  const taken = new Promise<boolean>((resolve) => socket.write(bytes, () => resolve(true)));
  return Promise.race([taken, sleep(500, false)]);
}
