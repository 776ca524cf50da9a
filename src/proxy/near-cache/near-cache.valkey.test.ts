/** The near cache before real nodes: what it answers, for whom, and what makes it forget. */
import assert from 'node:assert/strict';
import { after, before, describe, it, type TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { moveSlotByHand, migrateSlots } from '../../../e2e/harness/move-slots.ts';
import { heat, isNear } from '../../../e2e/harness/near-reads.ts';
import type { TestNode } from '../../../e2e/harness/node-farm.ts';
import { ProxiedCache } from '../../../e2e/harness/proxied-cache.ts';
import { RawClient } from '../../../e2e/harness/raw-client.ts';
import { until } from '../../../e2e/harness/until.ts';
import type { CacheUser } from '../../model/user.ts';
import { hashSlot } from '../../protocol/hash-slot.ts';
import { NEAR_STALE_MS } from './near-links.ts';

const APP: CacheUser = {
  name: 'app',
  enabled: true,
  nopass: true,
  passwordHashes: [],
  rules: '~app:* &* +@all',
  upstreamSecret: 'secret-of-app',
};
const LIBRARY = `#!lua name=near
server.register_function('put', function(keys, args) return server.call('SET', keys[1], args[1]) end)`;

function slotOfKey(key: string): number {
  const bytes = Buffer.from(key);
  return hashSlot(bytes, 0, bytes.length);
}

for (const sharding of [true, false]) {
  describe(`near cache of ${sharding ? 'a sharded' : 'an unsharded'} cache`, () => {
    let cache: ProxiedCache;
    let client: RawClient;
    /** As the system user, at the node that has the keys. */
    let direct: RawClient;

    /** One slot for all keys: a script, a transaction and RENAME name several. */
    const key = (name: string): string => `{near}${name}`;
    const ownerOf = (name: string): TestNode =>
      cache.nodes[sharding && slotOfKey(name) > 8191 ? 1 : 0]!;

    before(async () => {
      cache = await ProxiedCache.start({ sharding, nearCache: true, shards: 2, users: [APP] });
      client = await cache.client();
      direct = ownerOf(key('k')).admin;
      await client.call('FUNCTION', 'LOAD', LIBRARY);
    });
    after(() => cache.close());

    it('answers reads of a hot key, and nothing else', async () => {
      await client.expectOk('MSET', key('k'), 'v', key('cold'), 'c');
      await heat(cache, client, 'GET', key('k'));
      assert.equal(await client.text('GET', key('k')), 'v');
      assert.equal(await isNear(cache, client, 'GET', key('cold')), false);
      assert.equal(await isNear(cache, client, 'TTL', key('k')), false);
      assert.equal(await isNear(cache, client, 'PING'), false);
    });

    const reading: [string, ...string[]][] = [
      ['SET', key('k'), 'new'],
      ['APPEND', key('k'), 'new'],
      ['DEL', key('k')],
      ['UNLINK', key('k')],
      ['RENAME', key('k'), key('other')],
      ['RENAME', key('cold'), key('k')],
      ['COPY', key('cold'), key('k'), 'REPLACE'],
      ['EVAL', "return redis.call('SET', KEYS[1], 'by a script')", '1', key('k')],
      ['FCALL', 'put', '1', key('k'), 'by a function'],
      ['PEXPIRE', key('k'), '1'],
      ['FLUSHALL'],
      ['FLUSHDB'],
      ...(sharding ? [] : ([['MOVE', key('k'), '1']] as [string, ...string[]][])),
    ];
    const reset = async (): Promise<void> => {
      await client.call('FLUSHALL');
      await client.expectOk('MSET', key('k'), 'old', key('cold'), 'c');
      await heat(cache, client, 'GET', key('k'));
    };

    for (const change of reading)
      it(`forgets on ${change.join(' ')} through this proxy at once, at a node within the bound`, async () => {
        await reset();
        const writer = await cache.client();
        await writer.call(...change);
        const own = await client.raw('GET', key('k'));
        if (change[0] !== 'PEXPIRE') {
          assert.deepEqual(own, await client.raw('EVAL', GET, 1, key('k')));
          assert.notEqual(own.toString(), '$3\r\nold\r\n');
        }
        await reset();
        await direct.call(...change);
        await sleep(NEAR_STALE_MS + 5);
        const seen = await client.raw('GET', key('k'));
        assert.deepEqual(seen, await client.raw('EVAL', GET, 1, key('k')));
        assert.notEqual(seen.toString(), '$3\r\nold\r\n');
      });

    it('forgets on a transaction, through this proxy at once, at a node within the bound', async () => {
      await reset();
      for (const writer of [await cache.client(), direct]) {
        await reset();
        await writer.expectOk('MULTI');
        await writer.call('INCR', key('n'));
        await writer.call('SET', key('k'), 'new');
        await writer.call('EXEC');
        if (writer === direct) await sleep(NEAR_STALE_MS + 5);
        assert.equal(await client.text('GET', key('k')), 'new');
      }
      await reset();
      const watcher = await cache.client();
      await watcher.expectOk('WATCH', key('k'));
      assert.equal(await isNear(cache, watcher, 'GET', key('k')), false);
      await watcher.expectOk('MULTI');
      assert.equal(await watcher.text('SET', key('k'), 'watched'), 'QUEUED');
      await watcher.call('EXEC');
      assert.equal(await client.text('GET', key('k')), 'watched');
    });

    it('forgets on a pop that had blocked', async () => {
      const list = key('list');
      await client.call('RPUSH', list, 'a');
      await heat(cache, client, 'LRANGE', list, 0, -1);
      const popper = await cache.client();
      await popper.call('BLPOP', list, 0);
      assert.deepEqual(await client.call('LRANGE', list, 0, -1), []);
    });

    it('a key that runs out is not there any more', async () => {
      await client.expectOk('SET', key('k'), 'short', 'PX', 300);
      const startedMs = performance.now();
      await heat(cache, client, 'GET', key('k')).catch(() => undefined);
      // Told in the node's own time: both clocks are this machine's.
      while (performance.now() - startedMs < 350) await client.call('GET', key('k'));
      assert.equal(await client.call('GET', key('k')), null);
    });

    it('hashes with fields that run out are not kept', async () => {
      const hash = key('hash');
      await client.call('HSET', hash, 'f', '1', 'g', '2');
      await heat(cache, client, 'HGETALL', hash);
      await client.call('HPEXPIRE', hash, 60, 'FIELDS', 1, 'f');
      const set = performance.now();
      while (performance.now() - set < 100) await client.call('HGETALL', hash);
      assert.deepEqual(((await client.call('HGETALL', hash)) as Buffer[]).map(String), ['g', '2']);
      await client.call('DEL', hash);
    });

    it('one session sees its own order: what was sent before is in what is read after', async () => {
      for (let i = 0; i < 200; i++) {
        if (i % 20 === 0) await heat(cache, client, 'GET', key('k'));
        client.send('SET', key('k'), `p${i}`);
        client.send('GET', key('k'));
        client.send('GET', key('k'));
        const [, ...values] = (await client.replies(3)).map(String);
        assert.deepEqual(values, Array(2).fill(`$${String(i).length + 1}\r\np${i}\r\n`));
      }
    });

    it('gives nothing to a user who may not read the key, nor from another database', async () => {
      await reset();
      const app = await cache.client();
      await app.expectOk('AUTH', 'app', 'any');
      for (let i = 0; i < 50; i++)
        assert.match((await app.raw('GET', key('k'))).toString(), /^-NOPERM/);
      const other = await cache.client();
      await other.expectOk('SELECT', 1);
      await reset();
      await other.expectOk('SET', key('k'), 'in 1');
      await heat(cache, other, 'GET', key('k'));
      assert.equal(await other.text('GET', key('k')), 'in 1');
      assert.equal(await client.text('GET', key('k')), 'old');
      await other.call('DEL', key('k'));
    });

    it('who tracks, touches nothing or reads at the reader port is not answered by it', async () => {
      await reset();
      const tracks = await cache.client();
      await tracks.call('HELLO', 3);
      await tracks.expectOk('CLIENT', 'TRACKING', 'ON');
      const untouching = await cache.client();
      await untouching.expectOk('CLIENT', 'NO-TOUCH', 'ON');
      for (const one of [tracks, untouching, await cache.reader()])
        for (let i = 0; i < 10; i++) assert.equal(await isNear(cache, one, 'GET', key('k')), false);
    });

    it('a large value is not kept', async () => {
      await client.expectOk('SET', key('k'), 'x'.repeat(200_000));
      for (let i = 0; i < 2000; i++) await client.call('GET', key('k'));
      assert.equal(await isNear(cache, client, 'GET', key('k')), false);
      await client.call('DEL', key('k'));
    });

    it('a node that is stopped: nothing is given that is older than the bound', async () => {
      await reset();
      const node = ownerOf(key('k'));
      node.signal('SIGSTOP');
      try {
        await sleep(NEAR_STALE_MS + 5);
        const { nearHits } = cache.usage();
        const late = client.raw('GET', key('k'));
        await sleep(300);
        assert.equal(cache.usage().nearHits, nearHits);
        node.signal('SIGCONT');
        assert.equal((await late).toString(), '$3\r\nold\r\n');
      } finally {
        node.signal('SIGCONT');
      }
      await heat(cache, client, 'GET', key('k'));
    });

    it('a lost tracking connection takes with it what was read over it', async () => {
      await reset();
      const { nearDrops } = cache.usage();
      await direct.call('CLIENT', 'KILL', 'TYPE', 'NORMAL', 'SKIPME', 'YES');
      await until(() => cache.usage().nearDrops > nearDrops);
      await direct.call('SET', key('k'), 'unheard');
      await sleep(NEAR_STALE_MS + 5);
      assert.equal(await client.text('GET', key('k')), 'unheard');
      await heat(cache, client, 'GET', key('k'));
    });

    it('evicted keys are gone', async () => {
      await reset();
      await direct.expectOk('CONFIG', 'SET', 'maxmemory-policy', 'allkeys-random');
      await direct.expectOk('CONFIG', 'SET', 'maxmemory', '1');
      await direct.call('SET', key('cold'), 'x').catch(() => undefined);
      await sleep(NEAR_STALE_MS + 5);
      await until(async () => (await direct.call('DBSIZE')) === 0);
      await sleep(NEAR_STALE_MS + 5);
      assert.equal(await client.call('GET', key('k')), null);
      await direct.expectOk('CONFIG', 'SET', 'maxmemory', '0');
    });
  });
}

const GET = "return redis.call('GET', KEYS[1])";

describe('near cache when another node has the say', () => {
  const slot = slotOfKey('k');
  const start = async (t: TestContext, replicas: number): Promise<ProxiedCache> => {
    const cache = await ProxiedCache.start({ nearCache: true, shards: 2, replicas });
    t.after(() => cache.close());
    return cache;
  };

  it('a slot that has moved away, atomically or by hand, is read where it is', async (t) => {
    const cache = await start(t, 0);
    const client = await cache.client();
    const from = cache.nodes[slot > 8191 ? 1 : 0]!;
    const to = cache.nodes[slot > 8191 ? 0 : 1]!;
    await client.expectOk('SET', 'k', 'before');
    await heat(cache, client, 'GET', 'k');
    await migrateSlots(from, to, slot, slot);
    await to.admin.expectOk('SET', 'k', 'after');
    await sleep(NEAR_STALE_MS + 5);
    assert.equal(await client.text('GET', 'k'), 'after');
    await heat(cache, client, 'GET', 'k');
    await moveSlotByHand(cache.nodes, to, from, slot);
    await from.admin.expectOk('SET', 'k', 'back');
    await sleep(NEAR_STALE_MS + 5);
    assert.equal(await client.text('GET', 'k'), 'back');
    await heat(cache, client, 'GET', 'k');
  });

  it('a replica that was promoted has the say', async (t) => {
    const cache = await start(t, 1);
    const client = await cache.client();
    const replica = cache.nodes[slot > 8191 ? 3 : 2]!;
    await client.expectOk('SET', 'k', 'before');
    await heat(cache, client, 'GET', 'k');
    await replica.admin.expectOk('CLUSTER', 'FAILOVER');
    await until(async () =>
      (await replica.admin.text('INFO', 'replication')).includes('role:master'),
    );
    await replica.admin.expectOk('SET', 'k', 'after');
    await sleep(NEAR_STALE_MS + 5);
    assert.equal(await client.text('GET', 'k'), 'after');
    await heat(cache, client, 'GET', 'k');
  });
});
