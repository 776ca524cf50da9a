/** The request limit with real engines, without control: each proxy has its equal part. */
import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import { ProxiedCache } from '../../e2e/harness/proxied-cache.ts';
import { RawClient } from '../../e2e/harness/raw-client.ts';
import { RespError, textOf } from '../protocol/resp-value.ts';

const MAXIMUM = 1000;

suite('request limit', () => {
  let cache: ProxiedCache;
  before(async () => {
    cache = await ProxiedCache.start({
      proxies: 2,
      limits: { ecpuPerSecondMaximum: MAXIMUM },
      deadlineMs: 2000,
    });
  });
  after(() => cache.close());

  const burst = async (t: { after(done: () => void): void }, port: number, requests: number) => {
    const client = await RawClient.connect(port);
    t.after(() => client.close());
    return Promise.all(
      Array.from({ length: requests }, (_, i) => client.call('SET', `key-${i}`, 'value')),
    );
  };

  test('more than the limit is served at the limit, by two proxies together, without an error', async (t) => {
    const began = performance.now();
    const replies = await Promise.all(
      cache.proxyPorts.flatMap((port) => [burst(t, port, 500), burst(t, port, 500)]),
    );
    const seconds = (performance.now() - began) / 1000;
    assert.equal(replies.flat().length, 2000);
    assert.ok(replies.flat().every((reply) => !(reply instanceof RespError)));
    // A burst of a quarter of a second was free.
    assert.ok(2000 <= MAXIMUM * (seconds + 0.3), `2000 in ${seconds} s`);
  });

  test('what is not metered is not limited, and a client that waits holds up no other connection', async (t) => {
    let done = false;
    const busy = burst(t, cache.cache.port, 700).then(() => (done = true));
    const other = await cache.client();
    const info = await other.call('INFO', 'server');
    assert.ok(!(info instanceof RespError));
    assert.equal(done, false);
    await busy;
  });

  test('a transaction asks once, and is ended when it is refused', async () => {
    const client = await cache.client();
    await client.call('SET', 'large', 'x'.repeat(3 * 1024 * 1024));
    // That is 3072 ECPU: six seconds of this proxy's 500 a second, and the next ones are refused.
    let reply: unknown;
    for (let tries = 0; tries < 20 && !(reply instanceof RespError); tries++) {
      await client.call('GET', 'large');
      reply = await client.call('GET', 'key-1');
    }
    assert.ok(reply instanceof RespError);
    assert.equal(reply.kind, 'TRYAGAIN');
    assert.match(reply.message, /request limit of this cache, 1000 ECPU per second/);
    assert.equal(textOf(await client.call('MULTI')), 'OK');
    assert.equal(textOf(await client.call('SET', 'in-vain', '1')), 'QUEUED');
    const exec = await client.call('EXEC');
    assert.ok(exec instanceof RespError);
    assert.equal(exec.kind, 'TRYAGAIN');
    const without = await client.call('EXEC');
    assert.ok(without instanceof RespError);
    assert.match(without.message, /EXEC without MULTI/);
    // Served again once the debt is small enough, and nothing of the transaction was executed.
    for (;;) {
      const later = await client.call('EXISTS', 'in-vain');
      if (later instanceof RespError) continue;
      assert.equal(Number(later), 0);
      break;
    }
  });
});
