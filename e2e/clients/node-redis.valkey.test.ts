/** node-redis (`redis`): createClient and createCluster, RESP2 and RESP3. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { createClient, createCluster } from 'redis';
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

for (const RESP of [2, 3] as const) {
  for (const kind of ['sharded', 'unsharded'] as const) {
    test(`createClient, RESP${RESP}, ${kind} cache`, async (t) => {
      const { port } = kind === 'sharded' ? sharded : unsharded;
      const client = await createClient({
        url: `redis://127.0.0.1:${port}`,
        RESP,
        name: 'tester',
      }).connect();
      t.after(() => client.destroy());
      await client.flushAll();
      await client.set('k', 'v', { expiration: { type: 'EX', value: 100 } });
      assert.equal(await client.get('k'), 'v');
      assert.equal(await client.ttl('k'), 100);
      assert.deepEqual(await client.mGet(['k', 'none', 'k']), ['v', null, 'v']);
      await client.mSet({ a: '1', b: '2', c: '3' });
      assert.equal(await client.del(['a', 'b', 'c', 'none']), 3);
      await client.hSet('h', { f: '1' });
      assert.deepEqual({ ...(await client.hGetAll('h')) }, { f: '1' });
      await client.zAdd('z', [{ score: 1.5, value: 'a' }]);
      assert.deepEqual(
        { ...(await client.zRangeWithScores('z', 0, -1))[0] },
        { score: 1.5, value: 'a' },
      );
      assert.deepEqual(await client.multi().set('{t}a', '1').incr('{t}a').get('{t}a').exec(), [
        'OK',
        2,
        '2',
      ]);
      assert.equal(await client.eval('return ARGV[1]', { keys: ['k'], arguments: ['x'] }), 'x');
      await client.xAdd('x', '1-1', { f: 'v' });
      const read = await client.xRead({ key: 'x', id: '0' }, { COUNT: 1 });
      assert.equal(JSON.stringify(read).includes('1-1'), true);
      await assert.rejects(client.lPush('k', 'x'), /WRONGTYPE/);

      const keys: string[] = [];
      for await (const batch of client.scanIterator({ MATCH: '*', COUNT: 10 })) keys.push(...batch);
      assert.ok(keys.includes('h') && keys.includes('x'));

      const watching = await client.duplicate().connect();
      t.after(() => watching.destroy());
      await watching.watch('k');
      await client.set('k', 'changed');
      await assert.rejects(watching.multi().set('k', 'lost').exec(), { name: 'Error' });

      const subscriber = await client.duplicate().connect();
      t.after(() => subscriber.destroy());
      const heard: string[] = [];
      const both = Promise.withResolvers<void>();
      const listener = (message: string, channel: string) => {
        heard.push(`${channel} ${message}`);
        if (heard.length === 2) both.resolve();
      };
      await subscriber.subscribe('news', listener);
      await subscriber.pSubscribe('n*ts', listener);
      await client.publish('news', 'one');
      await client.publish('nuts', 'two');
      await both.promise;
      assert.deepEqual(heard, ['news one', 'nuts two']);
    });
  }
}

test('createCluster finds one node that owns everything', async (t) => {
  const cluster = createCluster({ rootNodes: [{ url: `redis://127.0.0.1:${sharded.port}` }] });
  t.after(() => cluster.destroy());
  await cluster.connect();
  await Promise.all(Array.from({ length: 300 }, (_, i) => cluster.set(`key-${i}`, `${i}`)));
  const values = await Promise.all(Array.from({ length: 300 }, (_, i) => cluster.get(`key-${i}`)));
  assert.deepEqual(
    values,
    Array.from({ length: 300 }, (_, i) => `${i}`),
  );
  assert.deepEqual(await cluster.multi().set('{t}a', '1').incr('{t}a').exec(), ['OK', 2]);
  assert.deepEqual(
    cluster.masters.map(({ address }) => address),
    [`127.0.0.1:${sharded.port}`],
  );
  const heard = Promise.withResolvers<string>();
  await cluster.sSubscribe('shard', heard.resolve);
  await cluster.sPublish('shard', 'here');
  assert.equal(await heard.promise, 'here');
});
