import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { ProxiedCache } from '../../../e2e/harness/proxied-cache.ts';
import { encodeRequest } from '../../protocol/request-encoder.ts';

/** Keys of the first, the second and the third of three shards. */
const KEYS = ['b', 'c', 'a'] as const;
const NOSCRIPT = /^-NOSCRIPT No matching script/;

describe('a script that one node does not know', () => {
  let cache: ProxiedCache;
  before(async () => {
    cache = await ProxiedCache.start({ shards: 3 });
  });
  after(() => cache.close());

  const forget = (shard: number) => cache.nodes[shard]!.admin.expectOk('SCRIPT', 'FLUSH');

  it('is brought from another one, for a whole pipeline', async () => {
    const client = await cache.client();
    const sha = await client.text('SCRIPT', 'LOAD', "return redis.call('INCR', KEYS[1])");
    for (const [shard, key] of KEYS.entries()) {
      await forget(shard);
      const request = encodeRequest(['EVALSHA', sha, 1, key]);
      client.write(Buffer.concat(Array.from({ length: 10 }, () => request)));
      for (let i = 1; i <= 10; i++) assert.equal((await client.reply())!.toString(), `:${i}\r\n`);
    }
  });

  it('is the client’s to load when nobody knows it', async () => {
    const client = await cache.client();
    const sha = await client.text('SCRIPT', 'LOAD', "return 'known by nobody'");
    for (const shard of KEYS.keys()) await forget(shard);
    assert.match((await client.raw('EVALSHA', sha, 1, KEYS[0])).toString(), NOSCRIPT);
    await client.raw('SCRIPT', 'LOAD', "return 'known by nobody'");
    assert.equal(await client.text('EVALSHA', sha, 1, KEYS[0]), 'known by nobody');
  });

  it('is not meant by a script that says so itself, which runs once', async () => {
    const client = await cache.client();
    const script =
      "redis.call('INCR', KEYS[1]); return redis.error_reply('NOSCRIPT No matching script.')";
    const sha = await client.text('SCRIPT', 'LOAD', script);
    await client.raw('DEL', ...KEYS);
    for (const key of KEYS) {
      assert.match((await client.raw('EVALSHA', sha, 1, key)).toString(), NOSCRIPT);
      assert.equal(await client.text('GET', key), '1');
    }
  });
});
