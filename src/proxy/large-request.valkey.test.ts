/** What is larger than LARGE_REQUEST_BYTES has a connection to its node for itself, and is a request like any other there. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { after, before, describe, it } from 'node:test';
import { ProxiedCache } from '../../e2e/harness/proxied-cache.ts';
import { until } from '../../e2e/harness/until.ts';
import { encodeRequest } from '../protocol/request-encoder.ts';

const MIB = 1024 * 1024;
const VALUE = 'x'.repeat(2 * MIB);
const OUTPUT_MAXIMUM_BYTES = 4 * MIB;

describe('large requests', () => {
  let cache: ProxiedCache;
  /** The connections of the node before there was a large request. */
  let shared: Map<string, number>;
  before(async () => {
    cache = await ProxiedCache.start({
      shards: 1,
      deadlineMs: 1000,
      limits: { outputMaximumBytes: OUTPUT_MAXIMUM_BYTES },
    });
    const [client, subscriber] = [await cache.client(), await cache.client()];
    await client.expectOk('SET', 'a', 'small');
    await subscriber.call('SUBSCRIBE', 'news');
    shared = await receivedBy();
  });
  after(() => cache.close());

  const node = () => cache.nodes[0]!;

  async function whileStopped(work: () => Promise<void>): Promise<void> {
    node().signal('SIGSTOP');
    try {
      await work();
    } finally {
      node().signal('SIGCONT');
    }
  }

  /** Bytes that the node has received, by connection. */
  async function receivedBy(): Promise<Map<string, number>> {
    return new Map(
      (await node().admin.text('CLIENT', 'LIST'))
        .split('\n')
        .map((line) => / id=(\d+) .* tot-net-in=(\d+)/.exec(` ${line}`))
        .filter((match) => match !== null)
        .map(([, id, bytes]) => [id!, Number(bytes)]),
    );
  }

  /** Since `before` a large request has gone to the node, and not over a shared connection. */
  async function assertAlone(before: Map<string, number>, what: string): Promise<void> {
    let total = 0;
    for (const [id, bytes] of await receivedBy()) {
      const gained = bytes - (before.get(id) ?? 0);
      total += gained;
      assert.ok(!shared.has(id) || gained < MIB, `${what}: ${gained} over a shared connection`);
    }
    assert.ok(total > 2 * MIB, what);
  }

  async function statistic(name: string): Promise<number> {
    const info = await node().admin.text('INFO', 'stats');
    return Number(new RegExp(`${name}:(\\d+)`).exec(info)![1]);
  }

  it('do not go over the connection that others wait at, whatever they are', async () => {
    const client = await cache.client();
    const cases: readonly (readonly (string | number)[])[][] = [
      [['SET', 'a', VALUE]],
      [['MSET', 'a', VALUE]],
      [['MSET', 'a', VALUE, 'b', 'small']],
      [['MSETEX', 1, 'a', VALUE]],
      [['SCRIPT', 'LOAD', `return 1 --${VALUE}`]],
      [['PUBLISH', 'news', VALUE]],
      [['MULTI'], ['SET', 'a', VALUE], ['EXEC']],
      [['MULTI'], ['SET', 'a', VALUE], ['PUBLISH', 'news', 'amended'], ['EXEC']],
      [['MULTI'], ['SET', 'a', VALUE], ['CLIENT', 'ID'], ['EXEC']],
    ];
    for (const commands of cases) {
      const what = commands.map(([name]) => name).join(' ');
      const before = await receivedBy();
      let reply: Buffer = Buffer.alloc(0);
      for (const command of commands) reply = await client.raw(...command);
      assert.notEqual(reply[0], MINUS, `${what}: ${reply.toString()}`);
      await assertAlone(before, what);
    }
  });

  for (const commands of [[['SET', 'a', VALUE]], [['MULTI'], ['SET', 'a', VALUE], ['EXEC']]]) {
    it(`wait for what is under way, and then do not go over its connection: ${commands.at(-1)![0]}`, async () => {
      const [client, other] = [await cache.client(), await cache.client()];
      await client.expectOk('CLIENT', 'SETNAME', 'sender');
      const bytes = Buffer.concat(
        [['SET', 'a', 'small'], ...commands].map((each) => encodeRequest(each)),
      );
      /** Bytes that the proxy has received from it; -1 when it is gone. */
      const taken = async () =>
        Number(
          /name=sender .*tot-net-in=(\d+)/.exec(await other.text('CLIENT', 'LIST'))?.[1] ?? -1,
        );
      const all = (await taken()) + bytes.length;
      const before = await receivedBy();
      await whileStopped(async () => {
        client.write(bytes);
        await until(async () => (await taken()) === all);
      });
      for (let i = 0; i <= commands.length; i++) assert.notEqual((await client.next())[0], MINUS);
      await assertAlone(before, 'it');
      client.close();
      await until(async () => (await taken()) < 0);
    });
  }

  it('overtake nothing of their session, and nothing overtakes them', async () => {
    const client = await cache.client();
    // More than the kernel takes at once: it could be overtaken.
    const large = 'y'.repeat(12 * MIB);
    const commands = [
      ...['1', '22'].map((value) => ['SET', 'k', value]),
      ['SET', 'k', large],
      ['STRLEN', 'k'],
      ['MSET', 'k', 'small', 'other', large],
      ['MSET', 'k', large, 'other', 'small'],
      ['STRLEN', 'k'],
      ['SET', 'k', '333'],
      ['MULTI'],
      ['APPEND', 'k', large],
      ['EXEC'],
      ['APPEND', 'k', '4444'],
      ['GETRANGE', 'k', '0', '2'],
    ];
    client.write(Buffer.concat(commands.map((command) => encodeRequest(command))));
    const replies: string[] = [];
    for (const _ of commands) replies.push((await client.next()).toString('latin1'));
    assert.deepEqual(replies, [
      '+OK\r\n',
      '+OK\r\n',
      '+OK\r\n',
      `:${large.length}\r\n`,
      '+OK\r\n',
      '+OK\r\n',
      `:${large.length}\r\n`,
      '+OK\r\n',
      '+OK\r\n',
      '+QUEUED\r\n',
      `*1\r\n:${large.length + 3}\r\n`,
      `:${large.length + 7}\r\n`,
      '$3\r\n333\r\n',
    ]);
  });

  it('are tracked after CLIENT CACHING YES', async () => {
    const [client, other] = [await cache.client(), await cache.client()];
    await other.call('HSET', 'tracked', 'f', '1');
    await client.call('HELLO', 3);
    await client.expectOk('CLIENT', 'TRACKING', 'ON', 'OPTIN');
    await client.expectOk('CLIENT', 'CACHING', 'YES');
    await client.raw('HMGET', 'tracked', 'f', VALUE);
    await other.call('HSET', 'tracked', 'f', '2');
    assert.match((await client.push()).toString(), /invalidate[^]*tracked/);
  });

  it('are answered when their node hangs, and so is EXEC after WATCH; who may wait still waits', async () => {
    const [blocked, watching, used, fresh] = [
      await cache.client(),
      await cache.client(),
      await cache.client(),
      await cache.client(),
    ];
    await watching.expectOk('WATCH', 'w');
    await watching.expectOk('MULTI');
    await watching.call('SET', 'w', '1');
    await used.expectOk('SET', 'a', VALUE);
    const popped = blocked.call('BLPOP', 'list', 0);
    await until(async () =>
      (await node().admin.text('INFO', 'clients')).includes('blocked_clients:1'),
    );
    await whileStopped(async () => {
      const replies = await Promise.all([
        used.raw('SET', 'a', VALUE),
        fresh.raw('SET', 'b', VALUE),
        watching.raw('EXEC'),
      ]);
      assert.match(replies[0].toString(), /^-INDOUBT /);
      assert.match(replies[1].toString(), /^-(CLUSTERDOWN|INDOUBT) /);
      assert.match(replies[2].toString(), /^-INDOUBT /);
    });
    const pusher = await cache.client();
    assert.equal(await pusher.call('RPUSH', 'list', 'element'), 1);
    assert.deepEqual((await popped)?.toString(), 'list,element');
  });

  it('have replies that leave as they come, and are bounded', async () => {
    const fieldBytes = 400;
    const fields = 3500;
    const client = await cache.client();
    const field = 'f'.repeat(fieldBytes);
    await client.call('HSET', 'hash', field, 'x'.repeat(20_000));
    const socket = await open(cache.cache.port);
    socket.write(encodeRequest(['CLIENT', 'SETNAME', 'idler']));
    await received(socket);
    socket.pause();
    const sent = await statistic('total_net_output_bytes');
    socket.write(encodeRequest(['HMGET', 'hash', ...Array.from({ length: fields }, () => field)]));
    await until(
      async () => (await statistic('total_net_output_bytes')) > sent + OUTPUT_MAXIMUM_BYTES,
    );
    await until(async () => !(await client.text('CLIENT', 'LIST')).includes('name=idler'));
    socket.destroy();
    const more = (await statistic('total_net_output_bytes')) - sent;
    assert.ok(more < (fields * 20_000) / 2, `the proxy has read ${more} bytes of the reply`);
  });

  it('WAIT uses its connections again', async () => {
    const client = await cache.client();
    await client.call('WAIT', 0, 0);
    const before = await statistic('total_connections_received');
    for (let i = 0; i < 5; i++) await client.call('WAIT', 0, 0);
    assert.equal(await statistic('total_connections_received'), before);
  });
});

describe('large requests of a client that has gone', () => {
  let cache: ProxiedCache;
  before(async () => (cache = await ProxiedCache.start({ shards: 1 })));
  after(() => cache.close());

  for (const [what, commands] of [
    ['a command', [['SET', 'gone', VALUE]]],
    ['a part of one', [['MSET', 'gone', VALUE, 'other', 'small']]],
    ['a transaction', [['MULTI'], ['SET', 'gone', VALUE], ['EXEC']]],
    [
      'a transaction that the proxy has a part in',
      [['MULTI'], ['SET', 'gone', VALUE], ['CLIENT', 'ID'], ['EXEC']],
    ],
    ['a transaction after WATCH', [['WATCH', 'w'], ['MULTI'], ['SET', 'gone', VALUE], ['EXEC']]],
  ] as const) {
    it(`are not held: ${what}`, async () => {
      const [node] = cache.nodes;
      const connections = async () =>
        Number(/connected_clients:(\d+)/.exec(await node!.admin.text('INFO', 'clients'))![1]);
      const other = await cache.client();
      const leaver = async () =>
        (await other.text('CLIENT', 'LIST'))
          .split('\n')
          .find((line) => line.includes('name=leaver'));
      // The shared connection is there from now on.
      await other.expectOk('SET', 'other', 'small');
      const socket = await open(cache.cache.port);
      let written = 0;
      const write = (command: readonly string[]): void => {
        const bytes = encodeRequest(command);
        written += bytes.length;
        socket.write(bytes);
      };
      // The first makes a connection to the node that has nothing left to say before it takes what comes next.
      for (const command of [
        ['SET', 'a', VALUE],
        ['CLIENT', 'SETNAME', 'leaver'],
        ...commands.slice(0, -1),
      ]) {
        write(command);
        await received(socket);
      }
      const before = await connections();
      node!.signal('SIGSTOP');
      try {
        write(commands.at(-1)!);
        await until(async () => (await leaver())!.includes(` tot-net-in=${written} `));
        socket.resetAndDestroy();
        await until(async () => (await leaver()) === undefined);
      } finally {
        node!.signal('SIGCONT');
      }
      await until(async () => (await connections()) < before, 5000);
    });
  }
});

async function open(port: number): Promise<Socket> {
  const socket = connect({ port, host: '127.0.0.1' });
  socket.on('error', () => socket.destroy());
  await once(socket, 'connect');
  return socket;
}

/** Something has come. */
async function received(socket: Socket): Promise<void> {
  await once(socket, 'data');
}

const MINUS = 45;
