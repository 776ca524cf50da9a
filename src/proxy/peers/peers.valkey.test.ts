import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { ProxiedCache } from '../../../e2e/harness/proxied-cache.ts';
import { until } from '../../../e2e/harness/until.ts';
import { RawClient } from '../../../e2e/harness/raw-client.ts';

describe('several proxies of one cache', { timeout: 60_000 }, () => {
  let cache: ProxiedCache;

  before(async () => {
    cache = await ProxiedCache.start({ shards: 2, proxies: 2 });
  });
  after(() => cache.close());

  it('count the subscribers of all of them, and reach them all', async () => {
    const here = await Promise.all([1, 2].map(() => RawClient.connect(cache.proxyPorts[0]!)));
    const there = await Promise.all([1, 2, 3].map(() => RawClient.connect(cache.proxyPorts[1]!)));
    for (const client of [...here, ...there]) await client.raw('SUBSCRIBE', 'common');
    await there[0]!.raw('SUBSCRIBE', 'there');
    await there[0]!.raw('PSUBSCRIBE', 'c*');
    await here[0]!.raw('PSUBSCRIBE', 'c*');
    await here[0]!.raw('PSUBSCRIBE', 'd*');
    const asker = await RawClient.connect(cache.proxyPorts[0]!);
    const reply = async (...words: string[]) => (await asker.raw(...words)).toString();
    assert.equal(
      await reply('PUBSUB', 'NUMSUB', 'common', 'there'),
      '*4\r\n$6\r\ncommon\r\n:5\r\n$5\r\nthere\r\n:1\r\n',
    );
    assert.equal(await reply('PUBSUB', 'NUMPAT'), ':2\r\n');
    assert.equal(await reply('PUBSUB', 'CHANNELS', 't*'), '*1\r\n$5\r\nthere\r\n');
    await asker.raw('PUBLISH', 'common', 'to all');
    for (const client of [...here, ...there]) {
      assert.match(
        (await client.next()).toString(),
        /^\*3\r\n\$7\r\nmessage\r\n\$6\r\ncommon\r\n\$6\r\nto all\r\n$/,
      );
    }
    for (const client of [...here, ...there]) client.close();
    await until(
      async () => (await reply('PUBSUB', 'NUMSUB', 'common')) === '*2\r\n$6\r\ncommon\r\n:0\r\n',
    );
    asker.close();
  });
});
