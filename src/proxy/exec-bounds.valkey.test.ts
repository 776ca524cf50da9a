/** What EXEC makes a proxy hold when its reply, or its connection, is not just passed on: the batch once, the reply once. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { ProxiedCache } from '../../e2e/harness/proxied-cache.ts';
import type { RawClient } from '../../e2e/harness/raw-client.ts';
import { until } from '../../e2e/harness/until.ts';
import { encodeRequest } from '../protocol/request-encoder.ts';
import { garbageCollection } from './io/garbage-collection.ts';

const MIB = 1024 * 1024;
const OUTPUT_MAXIMUM_BYTES = 8 * MIB;
const VALUE = 'x'.repeat(MIB);
const BATCH_BYTES = 12 * MIB;

const collect = garbageCollection();

/** Bytes outside of the heap, after collecting what nobody holds. */
function heldBytes(): number {
  collect();
  return process.memoryUsage().arrayBuffers;
}

describe('EXEC of much', () => {
  let cache: ProxiedCache;
  before(async () => {
    cache = await ProxiedCache.start({
      sharding: false,
      clientMemoryBytes: 2.5 * BATCH_BYTES,
      limits: { outputMaximumBytes: OUTPUT_MAXIMUM_BYTES },
    });
    await (await cache.client()).expectOk('SET', 'big', VALUE);
  });
  after(() => cache.close());

  const ways = [
    ['with a reply of the proxy in it', [], ['CLIENT', 'ID']],
    ['on the connection that watches', ['WATCH', 'k'], ['PING']],
  ] as const;

  for (const [how, first, second] of ways) {
    it(`${how}: a reply above the limit of output is not held beyond it`, async () => {
      const client = await cache.client();
      const connections = await nodeConnections();
      if (first.length > 0) await client.expectOk(...(first as readonly [string, string]));
      await client.expectOk('MULTI');
      const before = heldBytes();
      let most = 0;
      const sampler = setInterval(() => (most = Math.max(most, heldBytes())), 5);
      client.write(encodeRequest(second));
      for (let i = 0; i < 48; i++) client.write(encodeRequest(['GET', 'big']));
      client.write(encodeRequest(['EXEC']));
      await until(() => client.closed, 5000);
      clearInterval(sampler);
      const held = most - before;
      assert.ok(held < 2 * OUTPUT_MAXIMUM_BYTES, `${held} bytes were held`);
      // A connection that is nobody else's ends with its client: nothing reads the rest.
      if (first.length > 0) await until(async () => (await nodeConnections()) <= connections, 2000);
      assert.equal(await (await cache.client()).text('PING'), 'PONG');
    });

    it(`${how}: a reply below the limit comes as it is, time after time`, async () => {
      const client = await cache.client();
      const big = `$${VALUE.length}\r\n${VALUE}\r\n`;
      const own = second[0] === 'PING' ? '+PONG\r\n' : /^:\d+\r\n$/;
      for (let round = 0; round < 4; round++) {
        if (first.length > 0) await client.expectOk(...(first as readonly [string, string]));
        await client.expectOk('MULTI');
        for (const words of [['GET', 'big'], second, ['ECHO', 'a'], ['GET', 'big'], second])
          await client.raw(...(words as readonly [string, string]));
        const reply = (await client.raw('EXEC')).toString();
        const [head, middle, tail, ...more] = reply.split(big);
        assert.equal(head, '*5\r\n');
        assert.equal(more.length, 0);
        assert.ok(middle!.endsWith('$1\r\na\r\n'));
        for (const part of [middle!.slice(0, -'$1\r\na\r\n'.length), tail!]) {
          if (typeof own === 'string') assert.equal(part, own);
          else assert.match(part, own);
        }
      }
    });
  }

  it('holds the batch once, and counts it', async () => {
    const clients = [await queueMuch('first'), await queueMuch('second')];
    const other = await cache.client();
    const executing = async (name: string): Promise<boolean> =>
      new RegExp(` name=${name} .* cmd=exec `).test(await other.text('CLIENT', 'LIST'));
    const { pid } = cache.nodes[0]!;
    process.kill(pid, 'SIGSTOP');
    try {
      const before = heldBytes();
      for (const client of clients) client.write(encodeRequest(['EXEC']));
      await until(async () => (await executing('first')) && (await executing('second')), 2000);
      // As much as was queued, not twice.
      await until(() => heldBytes() - before < BATCH_BYTES / 2, 2000);
      assert.ok(clients.every((client) => !client.closed));
      // What is held for them is looked at again, now that they are executed.
      const more = encodeRequest(['SET', 'a', 'x'.repeat(MIB)]);
      for (const client of clients) client.write(more);
      const waiting = / name=(?:first|second) .* qbuf=\d{5,} /g;
      await until(
        async () => (await other.text('CLIENT', 'LIST')).match(waiting)?.length === 2,
        2000,
      );
      assert.ok(clients.every((client) => !client.closed));
      // With another batch it is too much.
      other.write(encodeRequest(['SET', 'a', 'x'.repeat(BATCH_BYTES)]).subarray(0, -MIB));
      await until(() => clients.some((client) => client.closed), 2000);
    } finally {
      process.kill(pid, 'SIGCONT');
    }
  });

  async function queueMuch(name: string): Promise<RawClient> {
    const client = await cache.client();
    await client.expectOk('CLIENT', 'SETNAME', name);
    await client.expectOk('MULTI');
    await client.raw('CLIENT', 'ID');
    await client.raw('SET', 'a', 'x'.repeat(BATCH_BYTES));
    return client;
  }

  async function nodeConnections(): Promise<number> {
    const list = await cache.nodes[0]!.admin.text('CLIENT', 'LIST');
    return list.split('\n').filter((line) => line.includes('name=springtide-proxy')).length;
  }
});
