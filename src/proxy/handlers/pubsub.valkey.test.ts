import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { after, before, describe, it } from 'node:test';
import { converse, type Step } from '../../../e2e/harness/converse.ts';
import { migrateSlots } from '../../../e2e/harness/move-slots.ts';
import type { TestNode } from '../../../e2e/harness/node-farm.ts';
import { ProxiedCache, type ProxiedCacheOptions } from '../../../e2e/harness/proxied-cache.ts';
import { until } from '../../../e2e/harness/until.ts';
import type { RawClient } from '../../../e2e/harness/raw-client.ts';
import { hashSlot } from '../../protocol/hash-slot.ts';
import { encodeRequest } from '../../protocol/request-encoder.ts';
import { itemsOf } from '../../protocol/resp-value.ts';

const TIMEOUT_MS = 60_000;

/** Subscriptions to `channel` that a node has, ours being those of the proxy. */
async function upstreamCount(node: TestNode, channel: string, sub = 'NUMSUB'): Promise<number> {
  return Number(itemsOf(await node.admin.call('PUBSUB', sub, channel))[1]);
}

async function upstreamTotal(
  nodes: readonly TestNode[],
  channel: string,
  sub?: string,
): Promise<number> {
  const counts = await Promise.all(nodes.map((node) => upstreamCount(node, channel, sub)));
  return counts.reduce((sum, count) => sum + count, 0);
}

function slotOf(channel: string): number {
  const bytes = Buffer.from(channel);
  return hashSlot(bytes, 0, bytes.length);
}

/** The words of a message or confirmation. */
function wordsOf(reply: Buffer): string[] {
  return reply
    .toString('latin1')
    .split('\r\n')
    .filter((line) => !/^[$*>]/.test(line) && line !== '');
}

/** Publishes, again and again, until the subscriber has a message; returns its words. */
async function publishUntilHeard(
  publisher: RawClient,
  subscriber: RawClient,
  command: string,
  channel: string,
): Promise<string[]> {
  let heard: Buffer | null = null;
  void subscriber.next().then((reply) => (heard = reply));
  await until(async () => {
    await publisher.raw(command, channel, 'again');
    return heard !== null;
  });
  return wordsOf(heard!);
}

const CONVERSATIONS: Record<string, readonly Step[]> = {
  'RESP2: counts, doubles, the commands that are allowed, leaving': [
    ['a', 'SUBSCRIBE', 'one', 'two', 'one'],
    ['a', 'PSUBSCRIBE', 'o*', 't?o', 'o*'],
    ['a', 'SSUBSCRIBE', '{s}1', '{s}2'],
    ['a', 'GET', 'key'],
    ['a', 'PUBLISH', 'one', 'x'],
    ['a', 'HELLO', '3'],
    ['a', 'PING'],
    ['a', 'PING', 'said'],
    ['b', 'PUBLISH', 'one', 'message'],
    ['b', 'PUBLISH', 'two', 'message'],
    ['b', 'PUBLISH', 'other', 'message'],
    ['b', 'PUBLISH', 'none', 'message'],
    ['b', 'SPUBLISH', '{s}1', 'message'],
    ['b', 'SPUBLISH', 'one', 'message'],
    ['a', 'UNSUBSCRIBE', 'two', 'two', 'never'],
    ['a', 'PUNSUBSCRIBE', 'o*', 't?o'],
    ['a', 'UNSUBSCRIBE'],
    ['a', 'UNSUBSCRIBE'],
    ['a', 'PUNSUBSCRIBE'],
    ['b', 'PUBLISH', 'one', 'message'],
    ['a', 'GET', 'key'],
    ['a', 'SUNSUBSCRIBE', '{s}2', '{s}1'],
    ['a', 'SUNSUBSCRIBE'],
    ['a', 'GET', 'key'],
  ],
  'inside MULTI': [
    ['a', 'HELLO', '3'],
    ['a', 'SUBSCRIBE', '{s}one'],
    ['c', 'SUBSCRIBE', '{s}one'],
    ['a', 'MULTI', '|', 'PUBLISH', '{s}one', 'own', '|', 'SET', '{s}k', '1', '|', 'EXEC'],
    ['b', 'MULTI', '|', 'PUBLISH', '{s}one', 'other', '|', 'CLIENT', 'GETNAME', '|', 'EXEC'],
    ['b', 'MULTI', '|', 'SUBSCRIBE', '{s}one', '|', 'PING', '|', 'SET', '{s}k', '2', '|', 'EXEC'],
    ['a', 'PUBLISH', '{s}one', 'to all'],
    ['b', 'GET', '{s}k'],
    ['b', 'UNSUBSCRIBE'],
    ['b', 'GET', '{s}k'],
  ],
  'RESP3: pushes beside commands': [
    ['a', 'HELLO', '3'],
    ['a', 'SUBSCRIBE', 'one', 'two'],
    ['a', 'PSUBSCRIBE', 'o*'],
    ['a', 'SSUBSCRIBE', 'one'],
    ['a', 'SET', 'key', 'value'],
    ['a', 'GET', 'key'],
    ['a', 'PING', 'said'],
    ['a', 'PUBLISH', 'one', 'own'],
    ['a', 'SPUBLISH', 'one', 'own'],
    [
      'a',
      'SUBSCRIBE',
      'three',
      '|',
      'PUBLISH',
      'three',
      'own',
      '|',
      'UNSUBSCRIBE',
      'three',
      '|',
      'PUBLISH',
      'three',
      'x',
    ],
    ['a', 'HELLO', '2'],
    ['b', 'PUBLISH', 'one', 'as an array'],
    ['a', 'HELLO', '3'],
    ['a', 'GET', 'key'],
    ['a', 'RESET'],
    ['a', 'HELLO', '3'],
    ['b', 'PUBLISH', 'one', 'unheard'],
    ['a', 'PUNSUBSCRIBE'],
  ],
  'several clients, one subscription': [
    ['a', 'HELLO', '3'],
    ['a', 'SUBSCRIBE', 'one'],
    ['b', 'SUBSCRIBE', 'one', 'two'],
    ['c', 'HELLO', '3'],
    ['c', 'PSUBSCRIBE', '*'],
    ['c', 'PUBLISH', 'one', Buffer.from([0, 13, 10, 255])],
    ['c', 'PUBSUB', 'NUMSUB', 'one', 'two', 'three'],
    ['c', 'PUBSUB', 'NUMSUB'],
    ['c', 'PUBSUB', 'CHANNELS', 't*'],
    ['c', 'PUBSUB', 'CHANNELS', '[^t]n?'],
    ['c', 'PUBSUB', 'NUMPAT'],
    ['a', 'SSUBSCRIBE', 'shard'],
    ['c', 'PUBSUB', 'SHARDCHANNELS'],
    ['c', 'PUBSUB', 'SHARDNUMSUB', 'shard', 'one'],
    ['c', 'PUBSUB', 'CHANNELS', 'a', 'b'],
    ['c', 'PUBSUB', 'NOTHING'],
    ['c', 'SUBSCRIBE'],
    ['a', 'UNSUBSCRIBE', 'one'],
    ['c', 'PUBLISH', 'one', 'still'],
    ['c', 'PUBSUB', 'NUMSUB', 'one'],
  ],
};

for (const sharding of [true, false]) {
  describe(`pub/sub, ${sharding ? 'sharded' : 'unsharded'}`, { timeout: TIMEOUT_MS }, () => {
    let cache: ProxiedCache;
    before(async () => {
      cache = await ProxiedCache.start({
        sharding,
        shards: 2,
        limits: { pubsubOutputHardBytes: 1024 * 1024 },
        users: [
          {
            name: 'alice',
            enabled: true,
            nopass: true,
            passwordHashes: [],
            rules: '+@all -psubscribe resetchannels &a:*',
            upstreamSecret: 'secret-of-alice',
          },
        ],
      } satisfies ProxiedCacheOptions);
    });
    after(() => cache.close());

    for (const [name, steps] of Object.entries(CONVERSATIONS)) {
      it(`as a plain server: ${name}`, async () => {
        const [plain, endpoint] = await converse(cache, steps);
        assert.deepEqual(endpoint, plain);
      });
    }

    it('what a client publishes to itself comes after the reply', async () => {
      const client = await cache.client();
      await client.raw('HELLO', '3');
      await client.raw('SUBSCRIBE', 'mirror');
      // A new connection to the node: it is read after the one that brings the messages.
      await client.expectOk('CLIENT', 'NO-TOUCH', 'ON');
      for (let i = 0; i < 100; i++) {
        // With something before it in the same read the engine writes the message first, to the other connection.
        const commands = [
          ['GET', 'mirror'],
          ['PUBLISH', 'mirror', 'message'],
        ];
        client.write(Buffer.concat(commands.map((command) => encodeRequest(command))));
        const heard: string[] = [];
        for (let n = 0; n < 3; n++) heard.push((await client.next()).toString('latin1', 0, 4));
        assert.deepEqual(heard, ['_\r\n', ':1\r\n', '>3\r\n']);
      }
    });

    it('nobody is counted for those who have left', async () => {
      const [leaver, publisher] = [await cache.client(), await cache.client()];
      // So many that the node is still at it when the PUBLISH comes over another connection.
      const channels = Array.from({ length: 3000 }, (_, i) => `left-${i}`);
      for (let i = 0; i < 5; i++) {
        leaver.write(encodeRequest(['SUBSCRIBE', ...channels]));
        for (const _ of channels) await leaver.next();
        await leaver.raw('RESET');
        assert.equal(await publisher.text('PUBLISH', channels.at(-1)!, 'message'), '0');
      }
    });

    it('what a client publishes to itself inside MULTI comes after EXEC has answered', async () => {
      const client = await cache.client();
      await client.raw('HELLO', '3');
      await client.raw('SUBSCRIBE', 'self');
      // A new connection to the node: it is read after the one that brings the messages.
      await client.expectOk('CLIENT', 'NO-TOUCH', 'ON');
      for (let i = 0; i < 100; i++) {
        const commands = [['MULTI'], ['PUBLISH', 'self', 'message'], ['SET', 'self', i], ['EXEC']];
        client.write(Buffer.concat(commands.map((command) => encodeRequest(command))));
        const heard: string[] = [];
        for (let n = 0; n < 5; n++) heard.push((await client.next()).toString('latin1', 0, 7));
        assert.deepEqual(heard, ['+OK\r\n', '+QUEUED', '+QUEUED', '*2\r\n:1\r', '>3\r\n$7\r']);
      }
    });

    it('inside MULTI, what is published after a subscription could not be heard: refused', async () => {
      const client = await cache.client();
      await client.expectOk('MULTI');
      await client.raw('SUBSCRIBE', 'unheard');
      assert.equal(
        (await client.raw('PUBLISH', 'unheard', 'message')).toString(),
        "-ERR Command 'publish' not allowed inside a transaction\r\n",
      );
      assert.match((await client.raw('EXEC')).toString(), /^-EXECABORT /);
      assert.equal(await client.text('PUBLISH', 'unheard', 'message'), '0');
    });

    it('a client that goes while EXEC is under way is subscribed to nothing', async () => {
      const other = await cache.client();
      const socket = connect({ port: cache.cache.port });
      await once(socket, 'connect');
      socket.write(encodeRequest(['CLIENT', 'SETNAME', 'ghost']));
      await once(socket, 'data');
      for (const node of cache.nodes) await node.admin.expectOk('CLIENT', 'PAUSE', '300', 'ALL');
      const commands = [['MULTI'], ['SET', 'gone', 'yes'], ['SUBSCRIBE', 'gone'], ['EXEC']];
      socket.write(Buffer.concat(commands.map((command) => encodeRequest(command))));
      await once(socket, 'data');
      socket.resetAndDestroy();
      await until(async () => !(await other.text('CLIENT', 'LIST')).includes('name=ghost'));
      await until(async () => (await other.raw('GET', 'gone')).toString() === '$3\r\nyes\r\n');
      const counts = await other.raw('PUBSUB', 'NUMSUB', 'gone');
      assert.equal(counts.toString(), '*2\r\n$4\r\ngone\r\n:0\r\n');
      assert.equal(await upstreamTotal(cache.nodes, 'gone'), 0);
    });

    it('leaves nothing at the nodes when its clients have gone', async () => {
      const clients = await Promise.all([1, 2, 3].map(() => cache.client()));
      for (const client of clients) await client.raw('SUBSCRIBE', 'counted');
      for (const client of clients) await client.raw('SSUBSCRIBE', 'counted');
      assert.equal(await upstreamTotal(cache.nodes, 'counted'), 1);
      assert.equal(await upstreamTotal(cache.nodes, 'counted', 'SHARDNUMSUB'), 1);
      clients[0]!.close();
      await clients[1]!.raw('RESET');
      clients[2]!.write(encodeRequest(['QUIT']));
      await until(async () => (await upstreamTotal(cache.nodes, 'counted')) === 0);
      await until(async () => (await upstreamTotal(cache.nodes, 'counted', 'SHARDNUMSUB')) === 0);
    });

    it('asks the engine what a user may subscribe to, and takes none of a refused command', async () => {
      const client = await cache.client();
      await client.expectOk('AUTH', 'alice', 'any');
      const refused = '-NOPERM No permissions to access a channel\r\n';
      assert.equal((await client.raw('SUBSCRIBE', 'a:1', 'b:1')).toString(), refused);
      assert.deepEqual(wordsOf(await client.raw('SUBSCRIBE', 'a:1')), ['subscribe', 'a:1', ':1']);
      assert.equal((await client.raw('SSUBSCRIBE', 'b:2')).toString(), refused);
      assert.equal(
        (await client.raw('PSUBSCRIBE', 'a:*')).toString(),
        "-NOPERM User alice has no permissions to run the 'psubscribe' command\r\n",
      );
      // Two clients at once, one of them refused: the other is not harmed by it.
      const other = await cache.client();
      await other.expectOk('AUTH', 'alice', 'any');
      client.write(encodeRequest(['SUBSCRIBE', 'b:3']));
      other.write(encodeRequest(['SUBSCRIBE', 'a:3']));
      assert.equal((await client.next()).toString(), refused);
      assert.deepEqual(wordsOf(await other.next()), ['subscribe', 'a:3', ':1']);
      const publisher = await cache.client();
      await publisher.raw('PUBLISH', 'a:1', 'for alice');
      assert.deepEqual(wordsOf(await client.next()), ['message', 'a:1', 'for alice']);
    });

    it('confirms and delivers although CLIENT REPLY is off, not errors', async () => {
      const [client, publisher] = [await cache.client(), await cache.client()];
      client.write(encodeRequest(['CLIENT', 'REPLY', 'OFF']));
      client.write(encodeRequest(['SSUBSCRIBE']));
      client.write(encodeRequest(['SUBSCRIBE', 'quiet']));
      assert.deepEqual(wordsOf(await client.next()), ['subscribe', 'quiet', ':1']);
      await publisher.raw('PUBLISH', 'quiet', 'message');
      assert.deepEqual(wordsOf(await client.next()), ['message', 'quiet', 'message']);
    });

    it('cuts a subscriber that does not read, and nobody else', async () => {
      const [slow, quick, publisher] = [
        await cache.client(),
        await cache.client(),
        await cache.client(),
      ];
      await slow.raw('SUBSCRIBE', 'flood');
      await quick.raw('SUBSCRIBE', 'flood');
      slow.pause();
      const payload = 'x'.repeat(100_000);
      let sent = 0;
      await until(async () => {
        sent++;
        const reached = (await publisher.raw('PUBLISH', 'flood', payload)).toString();
        await quick.next();
        return reached === ':1\r\n';
      });
      assert.ok(sent > 10, 'what the limit allows is not cut');
    });
  });
}

describe('pub/sub while the cache changes', { timeout: TIMEOUT_MS }, () => {
  let cache: ProxiedCache;
  before(async () => (cache = await ProxiedCache.start({ shards: 3, replicas: 1 })));
  after(() => cache.close());

  it('refuses shard channels of several slots in one command, takes them in several', async () => {
    const client = await cache.client();
    const crossed = "-CROSSSLOT Keys in request don't hash to the same slot\r\n";
    assert.equal((await client.raw('SSUBSCRIBE', 'a', 'b')).toString(), crossed);
    for (const [i, channel] of ['a', 'b', 'c'].entries()) {
      assert.deepEqual(wordsOf(await client.raw('SSUBSCRIBE', channel)), [
        'ssubscribe',
        channel,
        `:${i + 1}`,
      ]);
    }
    assert.equal((await client.raw('SUNSUBSCRIBE', 'a', 'b')).toString(), crossed);
  });

  it('follows a shard channel to the slot’s new owner', async () => {
    const [subscriber, publisher] = [await cache.client(), await cache.client()];
    const channel = 'moving';
    const slot = slotOf(channel);
    const from = cache.nodes[Math.floor(slot / Math.ceil(16_384 / 3))]!;
    const to = cache.nodes.slice(0, 3).find((node) => node !== from)!;
    await subscriber.raw('SSUBSCRIBE', channel);
    await migrateSlots(from, to, slot, slot);
    await until(async () => (await upstreamCount(to, channel, 'SHARDNUMSUB')) === 1);
    assert.equal((await publisher.raw('SPUBLISH', channel, 'there')).toString(), ':1\r\n');
    assert.deepEqual(wordsOf(await subscriber.next()), ['smessage', channel, 'there']);
    // And it was not told: the next thing it hears is an answer to itself.
    assert.deepEqual(wordsOf(await subscriber.raw('SSUBSCRIBE', channel)), [
      'ssubscribe',
      channel,
      ':1',
    ]);
  });

  it('goes on after the death of the node that carried it', async () => {
    const [subscriber, publisher] = [await cache.client(), await cache.client()];
    const shard = ['x', 'y', 'z', 'u', 'v', 'w'].find((name) => slotOf(name) < 16_384 / 3)!;
    await subscriber.raw('SUBSCRIBE', 'channel');
    await subscriber.raw('PSUBSCRIBE', 'chan*');
    await subscriber.raw('SSUBSCRIBE', shard);
    const carrier = cache.nodes[0]!;
    assert.equal(await upstreamCount(carrier, 'channel'), 1);
    await carrier.kill();
    const survivors = cache.nodes.slice(1);
    await until(async () => (await upstreamTotal(survivors, 'channel')) === 1);
    await cache.nodes[3]!.admin.expectOk('CLUSTER', 'FAILOVER', 'TAKEOVER');
    await until(async () => (await upstreamCount(cache.nodes[3]!, shard, 'SHARDNUMSUB')) === 1);
    assert.deepEqual(await publishUntilHeard(publisher, subscriber, 'PUBLISH', 'channel'), [
      'message',
      'channel',
      'again',
    ]);
    assert.deepEqual(wordsOf(await subscriber.next()), ['pmessage', 'chan*', 'channel', 'again']);
    assert.equal((await publisher.raw('SPUBLISH', shard, 'there')).toString(), ':1\r\n');
    await until(
      async () => wordsOf(await subscriber.next()).join(' ') === `smessage ${shard} there`,
    );
  });
});
