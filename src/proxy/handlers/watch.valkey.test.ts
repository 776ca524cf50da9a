import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { migrateSlots } from '../../../e2e/harness/move-slots.ts';
import { ProxiedCache } from '../../../e2e/harness/proxied-cache.ts';
import { until } from '../../../e2e/harness/until.ts';
import type { TestNode } from '../../../e2e/harness/node-farm.ts';

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

describe('WATCH of a slot that moves', () => {
  let cache: ProxiedCache;
  before(async () => {
    cache = await ProxiedCache.start({ shards: 2 });
  });
  after(() => cache.close());

  it('aborts the transaction, as any change of the key does; the next one is executed', async () => {
    const client = await cache.client();
    const slot = Number(await client.call('CLUSTER', 'KEYSLOT', 'k'));
    const [low, high] = cache.nodes as [TestNode, TestNode];
    const [from, to] = slot < 8192 ? [low, high] : [high, low];
    await client.expectOk('SET', 'k', 'before');
    await client.expectOk('WATCH', 'k');
    await migrateSlots(from, to, slot, slot);
    await client.expectOk('MULTI');
    assert.equal(await client.text('SET', 'k', 'after'), 'QUEUED');
    assert.equal((await client.raw('EXEC')).toString(), '*-1\r\n');
    assert.equal(await client.text('GET', 'k'), 'before');
    await client.expectOk('WATCH', 'k');
    await client.expectOk('MULTI');
    assert.equal(await client.text('SET', 'k', 'after'), 'QUEUED');
    assert.equal((await client.raw('EXEC')).toString(), '*1\r\n+OK\r\n');
  });
});

describe('WATCH at an unsharded primary that becomes a replica', () => {
  let cache: ProxiedCache;
  before(async () => {
    cache = await ProxiedCache.start({ sharding: false, replicas: 1 });
  });
  after(() => cache.close());

  it('aborts the transaction, and no word of where the primary is now; the next one is executed', async () => {
    const client = await cache.client();
    const [old, next] = cache.nodes as [TestNode, TestNode];
    await client.expectOk('SET', 'k', 'before');
    await client.expectOk('WATCH', 'k');
    await next.admin.expectOk('REPLICAOF', 'NO', 'ONE');
    await old.admin.expectOk('REPLICAOF', '127.0.0.1', next.port);
    await client.expectOk('MULTI');
    assert.equal(await client.text('SET', 'k', 'after'), 'QUEUED');
    assert.equal((await client.raw('EXEC')).toString(), '*-1\r\n');
    // Until the proxy has heard of it, WATCH goes to the old one.
    await until(async () => {
      await client.expectOk('WATCH', 'k');
      await client.expectOk('MULTI');
      assert.equal(await client.text('SET', 'k', 'after'), 'QUEUED');
      return (await client.raw('EXEC')).toString() === '*1\r\n+OK\r\n';
    });
  });
});
