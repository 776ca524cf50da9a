import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { ProxiedCache } from '../../../e2e/harness/proxied-cache.ts';
import { until } from '../../../e2e/harness/until.ts';
import { itemsOf, RespError } from '../../protocol/resp-value.ts';

for (const sharding of [true, false]) {
  describe(`WAIT, ${sharding ? 'sharded' : 'unsharded'}`, () => {
    let cache: ProxiedCache;
    const shards = sharding ? 2 : 1;
    before(async () => {
      cache = await ProxiedCache.start({ sharding, shards, replicas: 1 });
    });
    after(() => cache.close());

    it('counts the replicas of the shard that has the fewest', async () => {
      const client = await cache.client();
      await client.expectOk('MSET', 'a', '1', 'b', '2', 'c', '3', 'd', '4');
      assert.equal(await client.call('WAIT', 1, 5000), 1);
    });

    it('does not count a replica that has not got what was written over the shared connection', async () => {
      const client = await cache.client();
      const replica = cache.nodes.at(-1)!;
      replica.signal('SIGSTOP');
      try {
        for (let i = 0; i < 50; i++) await client.expectOk('SET', `k${i}`, 'x');
        assert.equal(await client.call('WAIT', 1, 200), 0);
        // Nobody else waits for the one who waits.
        const waiting = client.call('WAIT', 1, 0);
        const other = await cache.client();
        await other.expectOk('SET', 'while', 'waiting');
        replica.signal('SIGCONT');
        assert.equal(await waiting, 1);
      } finally {
        replica.signal('SIGCONT');
      }
    });

    it('ends when the client goes, or is unblocked', async () => {
      const replica = cache.nodes.at(-1)!;
      replica.signal('SIGSTOP');
      try {
        const [gone, unblocked, other] = [
          await cache.client(),
          await cache.client(),
          await cache.client(),
        ];
        const id = Number(await unblocked.call('CLIENT', 'ID'));
        const blockedAtNodes = async () => {
          const infos = await Promise.all(
            cache.nodes.slice(0, shards).map((node) => node.admin.text('INFO', 'clients')),
          );
          return infos
            .map((info) => Number(/blocked_clients:(\d+)/.exec(info)![1]))
            .reduce((a, b) => a + b);
        };
        const lost = gone.call('WAIT', 1, 0);
        const ended = unblocked.call('WAIT', 1, 0);
        await until(async () => (await blockedAtNodes()) >= 2);
        gone.close();
        await assert.rejects(lost);
        assert.equal(await other.call('CLIENT', 'UNBLOCK', id), 1);
        assert.equal(await ended, 0);
        await until(async () => (await blockedAtNodes()) === 0);
      } finally {
        replica.signal('SIGCONT');
      }
    });

    it('leaves no key behind, and says what the engine says of wrong arguments', async () => {
      const client = await cache.client();
      await client.expectOk('FLUSHALL');
      await client.call('WAIT', 0, 1);
      assert.equal(await client.call('DBSIZE'), 0);
      const plain = await cache.plainClient();
      for (const wrong of [['x', '1'], ['1', 'x'], ['1', '-1'], ['1']]) {
        assert.equal(
          (await client.raw('WAIT', ...wrong)).toString(),
          (await plain.raw('WAIT', ...wrong)).toString(),
        );
      }
      const reader = await cache.reader();
      const refused = await reader.call('WAIT', 1, 1);
      assert.ok(refused instanceof RespError);
    });

    it('WAITAOF answers both numbers', async () => {
      const client = await cache.client();
      assert.deepEqual(itemsOf(await client.call('WAITAOF', 0, 0, 10)), [0, 0]);
      const plain = await cache.plainClient();
      for (const words of [
        ['1', '0', '10'],
        ['2', '0', '10'],
        ['x', '0', '1'],
      ]) {
        const mine = await client.raw('WAITAOF', ...words);
        assert.equal(mine.toString(), (await plain.raw('WAITAOF', ...words)).toString());
      }
    });
  });
}
