/** What one client can make a proxy hold: requests, replies, connections that have ended. Each has a bound. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { ProxiedCache } from '../../e2e/harness/proxied-cache.ts';
import { until } from '../../e2e/harness/until.ts';
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
    const pids = nodes.map((node) => cache.nodes[node]!.pid);
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

  it('keeps the order and the bytes of large replies that wait for an older one, time after time', async () => {
    const big = keyOf(0);
    const other = keyOf(1);
    const value = Array.from({ length: MIB / 4 }, (_, i) => String(i % 10)).join('');
    const client = await cache.client();
    await client.expectOk('SET', big, value);
    await client.expectOk('SET', other, 'small');
    // More together than one client may leave waiting: what has been written must not count any more.
    for (let round = 0; round < 6; round++) {
      await whileStopped([1], async () => {
        client.write(encodeRequest(['GET', other]));
        for (let i = 0; i < 4; i++) client.write(encodeRequest(['GET', big]));
        await sleep(100);
      });
      assert.equal((await client.next()).toString(), '$5\r\nsmall\r\n');
      for (let i = 0; i < 4; i++) {
        const reply = (await client.next()).toString();
        assert.ok(reply === `$${value.length}\r\n${value}\r\n`);
      }
    }
  });

  it('a command without keys that waits for its node is not given up for a later one of the proxy itself', async () => {
    const client = await cache.client();
    await cache.nodes[0]!.kill();
    // The proxy must have seen it, or it sends the command and cannot know what became of it.
    await sleep(100);
    client.write(encodeRequest(['EVAL', 'return 7', 0]));
    client.write(encodeRequest(['PING']));
    await sleep(50);
    await cache.restart(0);
    assert.equal((await client.next()).toString(), ':7\r\n');
    assert.equal((await client.next()).toString(), '+PONG\r\n');
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

describe('bounds of all sessions together', () => {
  const VALUE_BYTES = 12 * MIB;
  /** The kernel's buffers hold some of what is sent, on both sides. */
  const CLIENTS = 8;
  let cache: ProxiedCache;

  before(async () => {
    cache = await ProxiedCache.start({ shards: 1, clientMemoryBytes: 3 * VALUE_BYTES });
  });
  after(() => cache.close());

  function openMany(bytes: Buffer): Socket[] {
    const sockets = Array.from({ length: CLIENTS }, () => open(cache.cache.port));
    for (const socket of sockets) {
      socket.pause();
      socket.write(bytes);
    }
    return sockets;
  }

  /** Ends when some clients were cut; those that are left are served. */
  async function someAreCut(sockets: readonly Socket[]): Promise<void> {
    const client = await cache.client();
    const connected = async () =>
      (await client.text('CLIENT', 'LIST')).split('\n').filter((line) => line !== '').length - 1;
    await until(async () => (await connected()) < CLIENTS, 5000);
    assert.ok((await connected()) > 0);
    for (const socket of sockets) socket.destroy();
    await until(async () => (await connected()) === 0, 5000);
    client.close();
  }

  it('cuts the largest of many that do not read their replies', async () => {
    const client = await cache.client();
    await client.expectOk('SET', 'big', 'x'.repeat(VALUE_BYTES));
    client.close();
    await someAreCut(openMany(encodeRequest(['GET', 'big'])));
  });

  it('cuts a client with CLIENT NO-EVICT when no other is left', async () => {
    const [spared, other] = [await cache.client(), await cache.client()];
    await spared.expectOk('CLIENT', 'NO-EVICT', 'on');
    const request = encodeRequest(['SET', 'big', 'x'.repeat(4 * VALUE_BYTES)]);
    spared.write(request.subarray(0, 2 * VALUE_BYTES));
    const list = await cache.client();
    await until(async () => heldOf(await list.text('CLIENT', 'LIST')) >= 2 * VALUE_BYTES);
    other.write(request.subarray(0, 1.5 * VALUE_BYTES));
    await until(() => other.closed, 5000);
    assert.equal(spared.closed, false);
    spared.write(request.subarray(2 * VALUE_BYTES));
    await until(() => spared.closed, 5000);
    list.close();
  });

  /** Of the requests that are half received. */
  function heldOf(list: string): number {
    return [...list.matchAll(/ qbuf=(\d+) /g)].reduce((sum, [, bytes]) => sum + Number(bytes), 0);
  }

  it('cuts a client that queues very many small commands', async () => {
    const client = await cache.client();
    await client.expectOk('MULTI');
    const many = Buffer.concat(Array.from({ length: 10_000 }, () => encodeRequest(['PING'])));
    // In bytes a tenth of what all may make the proxy hold.
    for (let i = 0; i < 25; i++) client.write(many);
    await until(() => client.closed, 5000);
  });

  it('cuts the largest of many that do not send the rest of their requests', async () => {
    const request = encodeRequest(['SET', 'big', 'x'.repeat(VALUE_BYTES)]);
    const sockets = openMany(request.subarray(0, VALUE_BYTES - MIB));
    let told = 0;
    for (const socket of sockets) {
      socket.on('data', (chunk: Buffer) => {
        if (chunk.toString().startsWith('-ERR this request and what other clients')) told++;
      });
      socket.resume();
    }
    await until(() => told > 0, 5000);
    await someAreCut(sockets);
  });
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
