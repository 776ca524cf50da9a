import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { ProxiedCache } from '../../../e2e/harness/proxied-cache.ts';

/** Keys one connection may watch. */
const MAXIMUM = 1000;

describe('WATCH', () => {
  let cache: ProxiedCache;
  before(async () => {
    cache = await ProxiedCache.start({ sharding: false });
  });
  after(() => cache.close());

  it('counts a key that is watched again once, and not what it refuses', async () => {
    const client = await cache.client();
    const keys = (from: number, to: number) =>
      Array.from({ length: to - from }, (_, i) => `key${from + i}`);
    const watching = async () =>
      Number(/ watch=(\d+) /.exec(await client.text('CLIENT', 'INFO'))![1]);
    await client.expectOk('WATCH', ...keys(0, 600));
    await client.expectOk('WATCH', ...keys(0, 600));
    assert.equal(await watching(), 600);
    assert.equal(
      (await client.raw('WATCH', ...keys(600, MAXIMUM + 1))).toString(),
      `-ERR more than ${MAXIMUM} watched keys\r\n`,
    );
    assert.equal(await watching(), 600);
    await client.expectOk('WATCH', ...keys(600, MAXIMUM));
    assert.equal(await watching(), MAXIMUM);
    await client.expectOk('SELECT', 1);
    assert.match((await client.raw('WATCH', 'key0')).toString(), /^-ERR more than/);
    await client.expectOk('UNWATCH');
    assert.equal(await watching(), 0);
  });
});
