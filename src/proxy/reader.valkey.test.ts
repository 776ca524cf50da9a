/** The reader port: reads, and nothing that writes, by whatever way. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { ProxiedCache } from '../../e2e/harness/proxied-cache.ts';
import type { TestNode } from '../../e2e/harness/node-farm.ts';
import type { RawClient } from '../../e2e/harness/raw-client.ts';

const LIBRARY = `#!lua name=lib
server.register_function('put', function(keys) return server.call('SET', keys[1], 'f') end)`;

for (const sharding of [true, false]) {
  describe(`reader port of ${sharding ? 'a sharded' : 'an unsharded'} cache without replicas`, () => {
    const refused = sharding ? /^-MOVED \d+ 127\.0\.0\.1:\d+\r\n$/ : /^-READONLY You can't write/;
    let cache: ProxiedCache;
    let client: RawClient;

    before(async () => {
      cache = await ProxiedCache.start({ sharding, limits: { requestMaximumBytes: 100_000 } });
      client = await cache.client();
      await client.expectOk('SET', 'k', 'old');
      await client.call('FUNCTION', 'LOAD', LIBRARY);
    });
    after(() => cache.close());

    it('refuses writes, alone, blocking, several keys and in MULTI', async () => {
      const reader = await cache.reader();
      for (const command of [
        ['SET', 'k', 'new'],
        ['BLPOP', 'k', 0],
        ['MSET', 'k', 'new', 'l', 'new'],
        ['DEL', 'k', 'l'],
      ]) {
        assert.match((await reader.raw(...command)).toString(), refused);
      }
      await reader.expectOk('MULTI');
      assert.match((await reader.raw('SET', 'k', 'new')).toString(), refused);
      assert.match((await reader.raw('EXEC')).toString(), /^-EXECABORT/);
      assert.equal(await client.text('GET', 'k'), 'old');
    });

    it('runs scripts and functions, but not their writes', async () => {
      const reader = await cache.reader();
      const put = "return redis.call('SET', KEYS[1], 'new')";
      const get = "return redis.call('GET', KEYS[1])";
      const sha = await client.text('SCRIPT', 'LOAD', put);
      assert.equal(await reader.text('EVAL', get, 1, 'k'), 'old');
      assert.match((await reader.raw('EVAL', put, 1, 'k')).toString(), /^-ERR Write commands/);
      assert.match((await reader.raw('EVALSHA', sha, 1, 'k')).toString(), /^-ERR Write commands/);
      assert.match((await reader.raw('FCALL', 'put', 1, 'k')).toString(), /^-ERR Can not execute/);
      await reader.expectOk('MULTI');
      assert.equal((await reader.raw('EVAL', put, 1, 'k')).toString(), '+QUEUED\r\n');
      assert.match((await reader.raw('EXEC')).toString(), /^\*1\r\n-ERR Write commands/);
      assert.equal(await client.text('GET', 'k'), 'old');
    });

    it('a transaction has the limits that its commands would have alone', async () => {
      await client.expectOk('MULTI');
      const key = 'x'.repeat(5000);
      assert.match((await client.raw('SET', key, 1)).toString(), /^-ERR a key exceeds the limit/);
      assert.match((await client.raw('EXEC')).toString(), /^-EXECABORT/);
      await client.expectOk('MULTI');
      const replies: string[] = [];
      for (let i = 0; i < 3; i++)
        replies.push((await client.raw('SET', 'k', 'x'.repeat(40_000))).toString());
      assert.deepEqual(replies.slice(0, 2), ['+QUEUED\r\n', '+QUEUED\r\n']);
      assert.match(replies[2]!, /^-ERR a transaction of more than 100000 bytes/);
      assert.match((await client.raw('EXEC')).toString(), /^-EXECABORT/);
      assert.equal(await client.text('GET', 'k'), 'old');
    });
  });
}

describe('reader port of a cache with replicas', () => {
  it('spreads the reads of one key over the replicas, and asks none that is lost', async (t) => {
    const cache = await ProxiedCache.start({ shards: 1, replicas: 2 });
    t.after(() => cache.close());
    const [primary, ...replicas] = cache.nodes;
    const client = await cache.client();
    await client.expectOk('SET', 'k', 'v');
    await client.call('WAIT', 2, 5000);
    const reader = await cache.reader();
    const read = async (count: number): Promise<void> => {
      for (let i = 0; i < count; i++) assert.equal(await reader.text('GET', 'k'), 'v');
    };
    const gets = async (node: TestNode): Promise<number> => {
      const stats = await node.admin.text('INFO', 'commandstats');
      return Number(/cmdstat_get:calls=(\d+)/.exec(stats)?.[1] ?? 0);
    };
    await read(1000);
    for (const replica of replicas) {
      const calls = await gets(replica);
      assert.ok(calls > 300, `${calls} of 1000 reads`);
    }
    await replicas[0]!.kill();
    const before = await gets(replicas[1]!);
    await read(1000);
    assert.ok((await gets(replicas[1]!)) - before > 900);
    // What was with the lost one is asked of the primary.
    assert.ok((await gets(primary!)) < 100);
  });
});
