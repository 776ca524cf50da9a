/** ioredis and iovalkey, as their documentation shows them: one endpoint, and Cluster. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { after, before, describe, test } from 'node:test';
import * as ioredis from 'ioredis';
import * as iovalkey from 'iovalkey';
import { ServedCache } from '../harness/served-cache.ts';

let sharded: ServedCache;
let unsharded: ServedCache;

before(async () => {
  [sharded, unsharded] = await Promise.all([
    ServedCache.start({ sharding: true }),
    ServedCache.start({ sharding: false }),
  ]);
});
after(() => Promise.all([sharded?.stop(), unsharded?.stop()]));

type Client = ioredis.Redis | ioredis.Cluster;

/** iovalkey is a fork of ioredis; what is used here is the same in both. */
const LIBRARIES = { ioredis, iovalkey: iovalkey as unknown as typeof ioredis };

for (const [name, library] of Object.entries(LIBRARIES)) {
  const kinds: readonly [string, () => Client][] = [
    ['one server, sharded cache', () => new library.Redis({ port: sharded.port })],
    ['one server, unsharded cache', () => new library.Redis({ port: unsharded.port })],
    [
      'Cluster, sharded cache',
      () => new library.Cluster([{ host: '127.0.0.1', port: sharded.port }]),
    ],
  ];
  describe(name, () => {
    for (const [kind, connect] of kinds) {
      test(kind, async () => {
        const client = connect();
        const subscriber = connect();
        try {
          await exercise(client, `${name}-${kind}`);
          await subscribeAndPublish(subscriber, client, `${name}-${kind}`);
        } finally {
          client.disconnect();
          subscriber.disconnect();
        }
      });
    }

    test('offline queue and reconnection: a proxy that is started again is found again', async () => {
      const client = new library.Redis({
        port: unsharded.port,
        retryStrategy: () => 50,
        maxRetriesPerRequest: null,
      });
      client.on('error', () => {});
      try {
        await client.set('before', '1');
        await unsharded.killProxy();
        const [value] = await Promise.all([client.get('before'), unsharded.startProxy()]);
        assert.equal(value, '1');
      } finally {
        client.disconnect();
      }
    });
  });
}

async function exercise(client: Client, prefix: string): Promise<void> {
  const key = (name: string) => `${prefix}:${name}`;
  assert.equal(await client.set(key('a'), 'één'), 'OK');
  assert.equal(await client.get(key('a')), 'één');
  assert.deepEqual(await client.getBuffer(key('a')), Buffer.from('één'));
  const pipeline = client.pipeline();
  const tag = `{${prefix}}`;
  for (let i = 0; i < 200; i++) pipeline.set(`${tag}${i}`, i);
  pipeline.mget(`${tag}1`, `${tag}199`, `${tag}none`);
  const results = await pipeline.exec();
  assert.deepEqual(results!.at(-1), [null, ['1', '199', null]]);
  assert.deepEqual(await client.multi().incr(`${tag}n`).incr(`${tag}n`).get(`${tag}n`).exec(), [
    [null, 1],
    [null, 2],
    [null, '2'],
  ]);
  client.defineCommand('putAndGet', {
    numberOfKeys: 1,
    lua: "server.call('SET', KEYS[1], ARGV[1]) return server.call('GET', KEYS[1])",
  });
  const scripted = client as Client & { putAndGet(key: string, value: string): Promise<string> };
  assert.equal(await scripted.putAndGet(key('lua'), 'x'), 'x');
  assert.equal(await scripted.putAndGet(key('lua'), 'y'), 'y');
  await client.hset(key('h'), { f: '1', g: '2' });
  assert.deepEqual(await client.hgetall(key('h')), { f: '1', g: '2' });
  await client.xadd(key('x'), '*', 'f', 'v');
  const blocked = (client as ioredis.Redis).duplicate();
  try {
    const popped = blocked.blpop(key('queue'), 60);
    await client.rpush(key('queue'), 'job');
    assert.deepEqual(await popped, [key('queue'), 'job']);
  } finally {
    blocked.disconnect();
  }
  await assert.rejects(client.lpush(key('a'), 'x'), /WRONGTYPE/);
}

async function subscribeAndPublish(
  subscriber: Client,
  publisher: Client,
  channel: string,
): Promise<void> {
  assert.equal(await subscriber.subscribe(channel), 1);
  assert.equal(await subscriber.psubscribe(`${channel}.*`), 2);
  const message = once(subscriber, 'message');
  await publisher.publish(channel, 'hello');
  assert.deepEqual(await message, [channel, 'hello']);
  const matched = once(subscriber, 'pmessage');
  await publisher.publish(`${channel}.sub`, 'there');
  assert.deepEqual(await matched, [`${channel}.*`, `${channel}.sub`, 'there']);
  await subscriber.unsubscribe(channel);
  await subscriber.punsubscribe();
}

test('ioredis scanStream and keyPrefix over all shards', async (t) => {
  const client = new ioredis.Redis({ port: sharded.port, keyPrefix: 'prefix:' });
  t.after(() => client.disconnect());
  await Promise.all(Array.from({ length: 500 }, (_, i) => client.set(`scan-${i}`, i)));
  const found = new Set<string>();
  for await (const keys of client.scanStream({ match: 'prefix:scan-*', count: 100 })) {
    for (const key of keys as string[]) found.add(key);
  }
  assert.equal(found.size, 500);
});
