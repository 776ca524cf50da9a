/** EVALSHA inside MULTI: a script that the cache knows is known wherever its transaction is executed. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { after, before, describe, it, type TestContext } from 'node:test';
import { migrateSlots, moveSlotByHand } from '../../e2e/harness/move-slots.ts';
import { ProxiedCache, type ProxiedCacheOptions } from '../../e2e/harness/proxied-cache.ts';
import { RawClient } from '../../e2e/harness/raw-client.ts';
import { until } from '../../e2e/harness/until.ts';
import type { CacheUser } from '../model/user.ts';

/** Keys of the first, the second and the third of three shards. */
const KEYS = ['b', 'c', 'a'] as const;
const COUNT = "return redis.call('INCR', KEYS[1])";
/** May run scripts, and load none. */
const RUNNER: CacheUser = {
  name: 'runner',
  enabled: true,
  nopass: true,
  passwordHashes: [],
  rules: '~* &* +@all -script|load -eval',
  upstreamSecret: 'internal-of-runner',
};
const NOSCRIPT = /^-NOSCRIPT No matching script/;

/** EXEC's reply to a transaction of these commands. */
async function transaction(client: RawClient, ...commands: (string | number)[][]): Promise<string> {
  await client.expectOk('MULTI');
  for (const [name, ...rest] of commands)
    assert.equal(await client.text(String(name), ...rest), 'QUEUED');
  return (await client.raw('EXEC')).toString();
}

for (const line of ['9.1', '8.1'] as const) {
  describe(`scripts in transactions (Valkey ${line})`, () => {
    let cache: ProxiedCache;
    before(async () => {
      cache = await ProxiedCache.start({ shards: 3, line });
    });
    after(() => cache.close());

    /** Loads a script that no other test has, and has one shard forget it. */
    async function loadElsewhere(client: RawClient, body: string, shard: number): Promise<string> {
      const sha = await client.text('SCRIPT', 'LOAD', body);
      await cache.nodes[shard]!.admin.expectOk('SCRIPT', 'FLUSH');
      return sha;
    }

    for (const watching of [false, true]) {
      it(`are brought to a node that does not know them${watching ? ', over the connection that watches' : ''}`, async () => {
        const client = await cache.client();
        for (const [shard, key] of KEYS.entries()) {
          await client.raw('DEL', key);
          const sha = await loadElsewhere(client, `${COUNT} -- ${shard} ${watching}`, shard);
          for (const name of ['EVALSHA', 'evalsha']) {
            if (watching) await client.expectOk('WATCH', key);
            const replies = await transaction(
              client,
              ['SET', key, 1],
              [name, sha.toUpperCase(), 1, key],
              ['EVALSHA_RO', sha, 1, key],
              ['GET', key],
            );
            assert.match(replies, /^\*4\r\n\+OK\r\n:2\r\n-ERR Write commands .*\r\n\$1\r\n2\r\n$/);
          }
        }
      });
    }

    it('keep the order of a pipeline', async () => {
      const client = await cache.client();
      const sha = await loadElsewhere(client, `${COUNT} -- pipeline`, 0);
      const [key] = KEYS;
      const run = `MULTI|EVALSHA ${sha} 1 ${key}|EXEC`;
      const words = `SET ${key} 10|INCR ${key}|${run}|INCR ${key}|${run}|GET ${key}`;
      const replies = await Promise.all(
        words.split('|').map((each) => client.raw(...(each.split(' ') as [string]))),
      );
      assert.deepEqual(
        replies.map((reply) => reply.toString().trim().replaceAll('\r\n', ' ')),
        ['+OK', ':11', '+OK', '+QUEUED', '*1 :12', ':13', '+OK', '+QUEUED', '*1 :14', '$2 14'],
      );
    });

    it('are brought with what the proxy answers in between', async () => {
      const client = await cache.client();
      const sha = await loadElsewhere(client, `${COUNT} -- between`, 1);
      const [, key] = KEYS;
      await client.raw('DEL', key);
      const replies = await transaction(client, ['CLIENT', 'GETNAME'], ['EVALSHA', sha, 1, key]);
      assert.equal(replies, '*2\r\n$-1\r\n:1\r\n');
    });

    it('follow their slot to a node that does not know them', async () => {
      const client = await cache.client();
      const [, from, to] = cache.nodes;
      const [, key] = KEYS;
      const slot = Number(await client.call('CLUSTER', 'KEYSLOT', key));
      const sha = await loadElsewhere(client, `${COUNT} -- moved`, 2);
      await client.expectOk('SET', key, 1);
      // The proxy knows that it is at the old owner.
      assert.equal(await transaction(client, ['EVALSHA', sha, 1, key]), '*1\r\n:2\r\n');
      if (line === '9.1') await migrateSlots(from!, to!, slot, slot);
      else await moveSlotByHand(cache.nodes, from!, to!, slot);
      assert.equal(await transaction(client, ['EVALSHA', sha, 1, key]), '*1\r\n:3\r\n');
    });

    it('that nobody knows get the node’s own answer, and the rest is executed', async () => {
      const client = await cache.client();
      const [key] = KEYS;
      for (let round = 0; round < 2; round++) {
        const replies = await transaction(
          client,
          ['SET', key, 'rest'],
          ['EVALSHA', 'f'.repeat(40), 1, key],
          ['EVALSHA', 'no name', 1, key],
        );
        assert.match(replies, /^\*3\r\n\+OK\r\n(-NOSCRIPT No matching script[^\r]*\r\n){2}$/);
      }
      // Once it is loaded, it is there at once.
      const sha = await client.text('SCRIPT', 'LOAD', "return 'now'");
      assert.equal(await transaction(client, ['EVALSHA', sha, 1, key]), '*1\r\n$3\r\nnow\r\n');
    });

    it('are gone after SCRIPT FLUSH', async () => {
      const client = await cache.client();
      const sha = await client.text('SCRIPT', 'LOAD', `${COUNT} -- flushed`);
      for (const key of KEYS) await transaction(client, ['EVALSHA', sha, 1, key]);
      await client.expectOk('SCRIPT', 'FLUSH');
      for (const key of KEYS) {
        assert.match(
          await transaction(client, ['EVALSHA', sha, 1, key]),
          /^\*1\r\n-NOSCRIPT [^\r]*\r\n$/,
        );
        assert.match((await client.raw('EVALSHA', sha, 1, key)).toString(), NOSCRIPT);
      }
    });
  });

  describe(`scripts of an unsharded cache (Valkey ${line})`, () => {
    async function cacheFor(t: TestContext, options: ProxiedCacheOptions): Promise<ProxiedCache> {
      const cache = await ProxiedCache.start({ sharding: false, line, ...options });
      t.after(() => cache.close());
      return cache;
    }

    it('are there when its only node begins anew, whichever proxy they were loaded through', async (t) => {
      const cache = await cacheFor(t, { proxies: 2 });
      const clients = await Promise.all(cache.proxyPorts.map((port) => RawClient.connect(port)));
      const [first, second] = clients as [RawClient, RawClient];
      t.after(() => clients.forEach((client) => client.close()));
      const shas = await Promise.all(
        [1, 2].map((i) => first.text('SCRIPT', 'LOAD', `${COUNT} -- ${i}`)),
      );
      for (const sha of shas)
        assert.equal(await transaction(first, ['EVALSHA', sha, 1, sha]), '*1\r\n:1\r\n');
      await cache.nodes[0]!.kill();
      await cache.restart(0);
      assert.equal(await transaction(second, ['EVALSHA', shas[0]!, 1, 'k']), '*1\r\n:1\r\n');
      assert.equal(await transaction(first, ['EVALSHA', shas[0]!, 1, 'k']), '*1\r\n:2\r\n');
      assert.equal((await second.raw('EVALSHA', shas[1]!, 1, 'k')).toString(), ':3\r\n');
      // What one proxy has had forgotten, no other brings back.
      await first.expectOk('SCRIPT', 'FLUSH');
      for (const client of [second, first])
        assert.match((await client.raw('EVALSHA', shas[1]!, 1, 'k')).toString(), NOSCRIPT);
    });

    it('that a client may not load are not loaded for it', async (t) => {
      const cache = await cacheFor(t, { users: [RUNNER] });
      const client = await cache.client();
      await client.expectOk('AUTH', 'runner', 'any');
      const body = "return 'of nobody'";
      const sha = createHash('sha1').update(body).digest('hex');
      assert.match((await client.raw('SCRIPT', 'LOAD', body)).toString(), /^-NOPERM /);
      await cache.nodes[0]!.kill();
      await cache.restart(0);
      assert.match(
        await transaction(client, ['EVALSHA', sha, 1, 'k']),
        /^\*1\r\n-NOSCRIPT [^\r]*\r\n$/,
      );
      assert.match((await client.raw('EVALSHA', sha, 1, 'k')).toString(), NOSCRIPT);
    });

    it('are loaded into replicas: one that takes over knows them', async (t) => {
      const cache = await cacheFor(t, { replicas: 1 });
      const client = await cache.client();
      const sha = await client.text('SCRIPT', 'LOAD', COUNT);
      const node = cache.nodes[1]!;
      const replica = node.admin;
      const known = async () => (await replica.raw('SCRIPT', 'EXISTS', sha)).toString();
      await until(async () => (await known()) === '*1\r\n:1\r\n');
      node.signal('SIGSTOP');
      const meanwhile = await client.raw('SCRIPT', 'LOAD', `${COUNT} -- meanwhile`);
      node.signal('SIGCONT');
      assert.match(meanwhile.toString(), /^\$40\r\n/);
      // Inside a transaction it is a node's command like others.
      assert.equal(
        await transaction(client, ['SCRIPT', 'LOAD', COUNT], ['EVALSHA', sha, 1, 'k']),
        `*2\r\n$40\r\n${sha}\r\n:1\r\n`,
      );
    });
  });
}
