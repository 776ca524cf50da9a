/** The near cache before real nodes: what it answers, for whom, and what makes it forget. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { ProxiedCache } from '../../../e2e/harness/proxied-cache.ts';
import type { RawClient } from '../../../e2e/harness/raw-client.ts';
import { until } from '../../../e2e/harness/until.ts';

/** Reads until the near cache answers: many reads make a key hot, and it stays hot for a while. */
async function heat(
  cache: ProxiedCache,
  client: RawClient,
  ...read: (string | number)[]
): Promise<void> {
  await until(async () => {
    const { nearHits } = cache.usage();
    for (let i = 0; i < 300; i++) client.send(...read);
    await client.replies(300);
    await client.call(...read);
    await client.call(...read);
    return cache.usage().nearHits > nearHits;
  });
}

/** Was the next reply given by the near cache? */
async function isNear(
  cache: ProxiedCache,
  client: RawClient,
  ...read: (string | number)[]
): Promise<boolean> {
  const { nearHits } = cache.usage();
  await client.raw(...read);
  return cache.usage().nearHits > nearHits;
}

describe('near cache', () => {
  let cache: ProxiedCache;
  let client: RawClient;

  before(async () => {
    cache = await ProxiedCache.start({ nearCache: true, shards: 2 });
    client = await cache.client();
  });
  after(() => cache.close());

  it('answers reads of a hot key', async () => {
    await client.expectOk('SET', 'hot', 'v1');
    await heat(cache, client, 'GET', 'hot');
    assert.equal(await client.text('GET', 'hot'), 'v1');
  });

  it('forgets on an own write before its reply is out', async () => {
    for (let i = 0; i < 200; i++) {
      await heat(cache, client, 'GET', 'hot');
      await client.expectOk('SET', 'hot', `v${i}`);
      assert.equal(await client.text('GET', 'hot'), `v${i}`);
    }
  });
});
