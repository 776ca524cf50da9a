import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { after, before, describe, it } from 'node:test';
import { converse, type Step } from '../../../e2e/harness/converse.ts';
import { migrateSlots } from '../../../e2e/harness/move-slots.ts';
import { ProxiedCache } from '../../../e2e/harness/proxied-cache.ts';
import { until } from '../../../e2e/harness/until.ts';
import type { RawClient } from '../../../e2e/harness/raw-client.ts';
import { hashSlot } from '../../protocol/hash-slot.ts';
import { encodeRequest } from '../../protocol/request-encoder.ts';

const TIMEOUT_MS = 60_000;
const FORGET_ALL = '>2\r\n$10\r\ninvalidate\r\n_\r\n';

function invalidated(key: string): string {
  return `>2\r\n$10\r\ninvalidate\r\n*1\r\n$${key.length}\r\n${key}\r\n`;
}

const CONVERSATIONS: Record<string, readonly Step[]> = {
  'what was read is invalidated once': [
    ['a', 'HELLO', '3'],
    ['a', 'CLIENT', 'TRACKINGINFO'],
    ['a', 'CLIENT', 'GETREDIR'],
    ['a', 'CLIENT', 'TRACKING', 'ON'],
    ['a', 'CLIENT', 'TRACKINGINFO'],
    ['a', 'CLIENT', 'GETREDIR'],
    ['a', 'GET', 'k1'],
    ['b', 'SET', 'k1', '1'],
    ['b', 'SET', 'k1', '2'],
    ['b', 'SET', 'unread', '1'],
    ['a', 'MGET', 'k1', 'k2', 'k3'],
    ['b', 'DEL', 'k1'],
    ['b', 'MSET', 'k2', '1', 'k3', '1'],
    ['a', 'GET', 'k1'],
    ['a', 'SET', 'k1', 'own'],
    ['a', 'MULTI', '|', 'GET', 'k1', '|', 'EXEC'],
    ['b', 'SET', 'k1', '3'],
    ['a', 'WATCH', 'k1', '|', 'MULTI', '|', 'GET', 'k1', '|', 'EXEC'],
    ['a', 'GET', 'k1'],
    ['a', 'CLIENT', 'TRACKING', 'OFF'],
    ['b', 'SET', 'k1', '4'],
    ['a', 'CLIENT', 'CACHING', 'YES'],
  ],
  'OPTIN: only after CLIENT CACHING YES, for one command': [
    ['a', 'HELLO', '3'],
    ['a', 'CLIENT', 'TRACKING', 'ON', 'OPTIN'],
    ['a', 'GET', 'k1'],
    ['b', 'SET', 'k1', '1'],
    [
      'a',
      'CLIENT',
      'CACHING',
      'YES',
      '|',
      'CLIENT',
      'TRACKINGINFO',
      '|',
      'CLIENT',
      'CACHING',
      'YES',
      '|',
      'GET',
      'k1',
      '|',
      'GET',
      'k2',
    ],
    ['b', 'SET', 'k2', '1'],
    ['b', 'SET', 'k1', '2'],
    ['a', 'CLIENT', 'CACHING', 'YES', '|', 'MGET', 'k1', 'k2'],
    ['b', 'SET', 'k1', '1'],
    ['b', 'SET', 'k2', '1'],
    ['a', 'CLIENT', 'CACHING', 'YES', '|', 'MULTI', '|', 'GET', 'k1', '|', 'EXEC'],
    ['b', 'SET', 'k1', '1'],
    ['a', 'CLIENT', 'CACHING', 'NO'],
    ['a', 'CLIENT', 'CACHING', 'PERHAPS'],
    ['a', 'CLIENT', 'TRACKING', 'ON', 'OPTOUT'],
    ['a', 'RESET'],
    ['a', 'CLIENT', 'TRACKINGINFO'],
  ],
  'OPTOUT and NOLOOP': [
    ['a', 'HELLO', '3'],
    ['a', 'CLIENT', 'TRACKING', 'ON', 'OPTOUT', 'NOLOOP'],
    ['a', 'GET', 'k1'],
    ['a', 'SET', 'k1', 'own'],
    ['b', 'SET', 'k1', '1'],
    ['a', 'GET', 'k1'],
    ['b', 'SET', 'k1', '1'],
    ['a', 'CLIENT', 'CACHING', 'NO', '|', 'GET', 'k1'],
    ['b', 'SET', 'k1', '1'],
    ['a', 'CLIENT', 'TRACKINGINFO'],
  ],
  'BCAST: by prefix, from every node': [
    ['a', 'HELLO', '3'],
    ['a', 'CLIENT', 'TRACKING', 'ON', 'BCAST', 'PREFIX', 'u:', 'PREFIX', 'o:'],
    ['b', 'SET', 'u:1', '1'],
    ['b', 'SET', 'u:2', '1'],
    ['b', 'SET', 'o:1', '1'],
    ['b', 'SET', 'x:1', '1'],
    ['a', 'CLIENT', 'TRACKING', 'ON', 'BCAST', 'PREFIX', 'q:'],
    ['b', 'SET', 'q:1', '1'],
    ['b', 'SET', 'u:3', '1'],
    ['a', 'CLIENT', 'TRACKINGINFO'],
    ['a', 'CLIENT', 'TRACKING', 'ON', 'BCAST', 'PREFIX', 'u:1'],
    ['a', 'CLIENT', 'TRACKING', 'ON'],
    ['a', 'CLIENT', 'TRACKING', 'ON', 'PREFIX', 'u:1'],
    ['a', 'CLIENT', 'TRACKING', 'PERHAPS'],
    ['a', 'CLIENT', 'TRACKING', 'ON', 'SIDEWAYS'],
    ['a', 'CLIENT', 'TRACKING', 'OFF'],
    ['a', 'CLIENT', 'TRACKING', 'ON', 'BCAST'],
    ['a', 'CLIENT', 'TRACKINGINFO'],
    ['b', 'SET', 'any', '1'],
  ],
  'REDIRECT of a RESP2 client to a subscriber': [
    ['a', 'CLIENT', 'TRACKING', 'ON', 'REDIRECT', '123456789'],
    ['a', 'CLIENT', 'TRACKING', 'ON', 'REDIRECT', 'nobody'],
    ['a', 'CLIENT', 'TRACKING', 'ON', 'REDIRECT'],
    ['b', 'SUBSCRIBE', '__redis__:invalidate'],
    ['a', 'CLIENT', 'TRACKING', 'ON', 'REDIRECT', '<b>'],
    ['a', 'CLIENT', 'TRACKINGINFO'],
    ['a', 'CLIENT', 'GETREDIR'],
    ['a', 'GET', 'k1'],
    ['c', 'SET', 'k1', '1'],
    ['a', 'GET', 'k1'],
    ['a', 'SET', 'k1', 'own'],
    ['a', 'CLIENT', 'TRACKING', 'OFF'],
  ],
  'REDIRECT to a RESP3 client': [
    ['a', 'HELLO', '3'],
    ['b', 'HELLO', '3'],
    ['a', 'CLIENT', 'TRACKING', 'ON', 'REDIRECT', '<b>'],
    ['a', 'GET', 'k1'],
    ['c', 'SET', 'k1', '1'],
    ['a', 'CLIENT', 'TRACKING', 'ON', 'REDIRECT', '<a>'],
    ['a', 'CLIENT', 'TRACKINGINFO'],
  ],
};

for (const sharding of [true, false]) {
  describe(
    `client tracking, ${sharding ? 'sharded' : 'unsharded'}`,
    { timeout: TIMEOUT_MS },
    () => {
      let cache: ProxiedCache;
      before(async () => (cache = await ProxiedCache.start({ sharding, shards: 2 })));
      after(() => cache.close());

      it('a client that has said QUIT is gone, even while it keeps its side open', async () => {
        const target = connect({ port: cache.cache.port, allowHalfOpen: true });
        target.write(encodeRequest(['CLIENT', 'ID']));
        const [greeting] = (await once(target, 'data')) as [Buffer];
        const id = greeting.toString('latin1', 1, greeting.length - 2);
        const [reader, writer] = [await cache.client(), await cache.client()];
        await reader.raw('HELLO', '3');
        await reader.expectOk('CLIENT', 'TRACKING', 'ON', 'REDIRECT', id);
        await reader.raw('GET', 'redirected');
        target.write(encodeRequest(['QUIT']));
        target.resume();
        await once(target, 'end');
        await writer.expectOk('SET', 'redirected', '1');
        assert.equal(
          (await reader.next()).toString(),
          `>2\r\n$21\r\ntracking-redir-broken\r\n:${id}\r\n`,
        );
        assert.match(
          (await writer.raw('CLIENT', 'TRACKING', 'ON', 'REDIRECT', id)).toString(),
          /does not exist/,
        );
        assert.doesNotMatch(await writer.text('CLIENT', 'LIST'), new RegExp(`id=${id} `));
        target.destroy();
      });

      for (const [name, steps] of Object.entries(CONVERSATIONS)) {
        it(`as a plain server: ${name}`, async () => {
          const clean: Step[] = [['b', 'FLUSHALL']];
          // A subscriber may not flush: somebody else does.
          if (steps.some(([, word]) => word === 'SUBSCRIBE')) clean[0] = ['c', 'FLUSHALL'];
          const [plain, endpoint] = await converse(cache, [...clean, ...steps]);
          assert.deepEqual(endpoint, plain);
        });
      }

      it('tells the client to forget everything on FLUSHALL, once for each shard at the most', async () => {
        const [reader, writer] = [await cache.client(), await cache.client()];
        await reader.raw('HELLO', '3');
        await reader.expectOk('CLIENT', 'TRACKING', 'ON');
        await reader.raw('MGET', 'a', 'b', 'c', 'd');
        await writer.expectOk('FLUSHALL');
        assert.equal((await reader.next()).toString(), FORGET_ALL);
        let more = 0;
        for (
          let reply = await reader.raw('PING');
          !reply.equals(Buffer.from('+PONG\r\n'));
          more++
        ) {
          assert.equal(reply.toString(), FORGET_ALL);
          reply = await reader.next();
        }
        assert.ok(more <= 1);
      });
    },
  );
}

describe('client tracking while the cache changes', { timeout: TIMEOUT_MS }, () => {
  let cache: ProxiedCache;
  before(async () => (cache = await ProxiedCache.start({ shards: 3, replicas: 1 })));
  after(() => cache.close());

  async function tracking(...options: string[]): Promise<RawClient> {
    const client = await cache.client();
    await client.raw('HELLO', '3');
    await client.expectOk('CLIENT', 'TRACKING', 'ON', ...options);
    return client;
  }

  it('never tells of an invalidation before the read that it is about', async () => {
    const [reader, writer] = [await tracking(), await cache.client()];
    // Reads of the other shards stand before and behind; the key is written all the while.
    const reads = Array.from({ length: 50 }, (_, i) => ['GET', i % 2 === 0 ? 'hot' : `cold${i}`]);
    for (let round = 0; round < 20; round++) {
      let lastValue = '';
      let invalidations = 0;
      for (let i = 0; i < 20; i++) writer.write(encodeRequest(['INCR', 'hot']));
      reader.write(
        Buffer.concat([...reads, ['ECHO', 'the-end']].map((words) => encodeRequest(words))),
      );
      for (let i = 0; i < 20; i++) await writer.next();
      let answered = -1;
      for (let ended = false; !ended;) {
        const reply = (await reader.next()).toString();
        if (reply === invalidated('hot')) {
          invalidations++;
          lastValue = '';
          continue;
        }
        ended = reply.includes('the-end');
        answered++;
        if (!ended && answered % 2 === 0) lastValue = reply;
      }
      // What the client would hold in its cache now must be what the server holds, or be invalidated yet.
      const now = (await writer.raw('GET', 'hot')).toString();
      if (lastValue !== '' && lastValue !== now) {
        assert.equal((await reader.next()).toString(), invalidated('hot'));
      }
      assert.ok(invalidations <= 25);
    }
    reader.close();
  });

  it('tells the client to forget everything when a slot has moved', async () => {
    const [reader, writer] = [await tracking(), await cache.client()];
    const slot = hashSlot(Buffer.from('moved'), 0, 5);
    const from = cache.nodes[Math.floor(slot / Math.ceil(16_384 / 3))]!;
    const to = cache.nodes.slice(0, 3).find((node) => node !== from)!;
    await writer.expectOk('SET', 'moved', '1');
    await reader.raw('GET', 'moved');
    await migrateSlots(from, to, slot, slot);
    await writer.expectOk('SET', 'moved', '2');
    assert.ok([FORGET_ALL, invalidated('moved')].includes((await reader.next()).toString()));
    reader.close();
  });

  it('tells the client to forget everything when a connection that had read is lost', async () => {
    const [reader, broadcast] = [await tracking(), await tracking('BCAST', 'PREFIX', 'b:')];
    const low = ['x', 'y', 'z', 'u', 'v', 'w'].find(
      (name) => hashSlot(Buffer.from(name), 0, 1) < 16_384 / 3,
    )!;
    await reader.raw('GET', low);
    await cache.nodes[0]!.kill();
    assert.equal((await reader.next()).toString(), FORGET_ALL);
    assert.equal((await broadcast.next()).toString(), FORGET_ALL);
    await cache.nodes[3]!.admin.expectOk('CLUSTER', 'FAILOVER', 'TAKEOVER');
    const writer = await cache.client();
    const hidden = `b:{${low}}`;
    // The new primary is heard in time; until then each loss is a new "forget everything".
    let heard = '';
    void (async () => {
      while (!broadcast.closed)
        heard += (await broadcast.next().catch(() => Buffer.from(''))).toString();
    })();
    await until(async () => {
      await writer.raw('SET', hidden, '1');
      return heard.includes(invalidated(hidden));
    });
    assert.equal((await reader.raw('SET', low, '1')).toString(), '+OK\r\n');
    await reader.raw('GET', low);
    await writer.expectOk('SET', low, '2');
    for (let reply = ''; reply !== invalidated(low);) reply = (await reader.next()).toString();
    broadcast.close();
    reader.close();
  });

  it('leaves no tracking connection when its clients have gone', async () => {
    const clients = [await tracking(), await tracking('BCAST'), await tracking('OPTIN')];
    for (const client of clients) await client.raw('MGET', 'a', 'b', 'c', 'd');
    clients[0]!.close();
    await clients[1]!.raw('RESET');
    await clients[2]!.raw('CLIENT', 'TRACKING', 'OFF');
    await until(async () => {
      const alive = cache.nodes.filter((node) => node.isAlive);
      const infos = await Promise.all(alive.map((node) => node.admin.text('INFO', 'clients')));
      return infos.every((info) => /tracking_clients:0\r/.test(info));
    });
  });
});
