/** Valkey GLIDE: standalone and cluster clients with their native core. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import {
  Batch,
  ClusterBatch,
  GlideClient,
  GlideClusterClient,
  GlideClusterClientConfiguration,
  Logger,
  ProtocolVersion,
  Script,
} from '@valkey/valkey-glide';
import { ServedCache } from '../harness/served-cache.ts';

// It logs every error reply, also those that are asked for here.
Logger.setLoggerConfig('off');

let sharded: ServedCache;
let unsharded: ServedCache;

before(async () => {
  [sharded, unsharded] = await Promise.all([
    ServedCache.start({ sharding: true }),
    ServedCache.start({ sharding: false }),
  ]);
});
after(() => Promise.all([sharded?.stop(), unsharded?.stop()]));

type Heard = { channel: string; message: string };
const text = (message: { channel: unknown; message: unknown }): Heard => ({
  channel: String(message.channel),
  message: String(message.message),
});

for (const protocol of [ProtocolVersion.RESP2, ProtocolVersion.RESP3]) {
  for (const kind of ['sharded', 'unsharded'] as const) {
    test(`GlideClient, ${ProtocolVersion[protocol]}, ${kind} cache`, async (t) => {
      const { port } = kind === 'sharded' ? sharded : unsharded;
      const client = await GlideClient.createClient({
        addresses: [{ host: '127.0.0.1', port }],
        protocol,
      });
      t.after(() => client.close());
      await everyday(client);
      const batch = new Batch(true).set('{t}a', '1').incr('{t}a').get('{t}a');
      assert.deepEqual(await client.exec(batch, true), ['OK', 2, '2']);
    });
  }

  test(`GlideClusterClient, ${ProtocolVersion[protocol]}`, async (t) => {
    const addresses = [{ host: '127.0.0.1', port: sharded.port }];
    const client = await GlideClusterClient.createClient({ addresses, protocol });
    t.after(() => client.close());
    await everyday(client);
    const batch = new ClusterBatch(true).set('{t}a', '1').incr('{t}a').get('{t}a');
    assert.deepEqual(await client.exec(batch, true), ['OK', 2, '2']);
  });
}

async function everyday(client: GlideClient | GlideClusterClient): Promise<void> {
  assert.equal(await client.set('k', 'v'), 'OK');
  assert.equal(await client.get('k'), 'v');
  await client.mset({ a: '1', b: '2', c: '3' });
  assert.deepEqual(await client.mget(['a', 'none', 'c']), ['1', null, '3']);
  assert.equal(await client.del(['a', 'b', 'c']), 3);
  await client.hset('h', { f: '1' });
  assert.equal(await client.hget('h', 'f'), '1');
  const script = new Script('return {KEYS[1], ARGV[1]}');
  assert.deepEqual(await client.invokeScript(script, { keys: ['k'], args: ['x'] }), ['k', 'x']);
  script.release();
  const many = await Promise.all(
    Array.from({ length: 500 }, (_, i) =>
      client.set(`many-${i}`, `${i}`).then(() => client.get(`many-${i}`)),
    ),
  );
  assert.deepEqual(
    many,
    Array.from({ length: 500 }, (_, i) => `${i}`),
  );
  await assert.rejects(client.lpush('k', ['x']), /WRONGTYPE/);
}

test('GlideClusterClient: subscriptions to channels and patterns', async (t) => {
  const addresses = [{ host: '127.0.0.1', port: sharded.port }];
  const { Exact, Pattern } = GlideClusterClientConfiguration.PubSubChannelModes;
  const heard: Heard[] = [];
  let done = () => {};
  const all = new Promise<void>((resolve) => (done = resolve));
  const subscriber = await GlideClusterClient.createClient({
    addresses,
    pubsubSubscriptions: {
      channelsAndPatterns: { [Exact]: new Set(['news']), [Pattern]: new Set(['n*ts']) },
      callback: (message) => {
        heard.push(text(message));
        if (heard.length === 2) done();
      },
    },
  });
  t.after(() => subscriber.close());
  const publisher = await GlideClusterClient.createClient({ addresses });
  t.after(() => publisher.close());
  await publisher.publish('one', 'news');
  await publisher.publish('two', 'nuts');
  await all;
  assert.deepEqual(heard, [
    { channel: 'news', message: 'one' },
    { channel: 'nuts', message: 'two' },
  ]);
});
