/** What people build on a cache: BullMQ's queues, sessions of express, a socket.io adapter's subscriptions. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { FlowProducer, Queue, QueueEvents, Worker, type Job } from 'bullmq';
import { RedisStore } from 'connect-redis';
import { Redis } from 'ioredis';
import { createClient } from 'redis';
import { ServedCache } from '../harness/served-cache.ts';
import { until } from '../harness/until.ts';

let sharded: ServedCache;
let unsharded: ServedCache;

before(async () => {
  [sharded, unsharded] = await Promise.all([
    ServedCache.start({ sharding: true }),
    ServedCache.start({ sharding: false }),
  ]);
});
after(() => Promise.all([sharded?.stop(), unsharded?.stop()]));

for (const kind of ['sharded', 'unsharded'] as const) {
  /** On a cluster BullMQ wants its keys in one slot: a prefix with a tag, as its documentation says. */
  const prefix = '{bull}';
  /** It prints a warning about every eviction policy but one. */
  const skipVersionCheck = true;

  test(`BullMQ, ${kind} cache: bulk, delays, retries, events`, async (t) => {
    const { port } = kind === 'sharded' ? sharded : unsharded;
    const connection = { port, maxRetriesPerRequest: null };
    const queue = new Queue('work', { connection, skipVersionCheck, prefix });
    const events = new QueueEvents('work', { connection, skipVersionCheck, prefix });
    t.after(() => Promise.all([queue.close(), events.close()]));
    await events.waitUntilReady();
    const seen: number[] = [];
    const tried = new Map<number, number>();
    const worker = new Worker<{ n: number }, number>(
      'work',
      async ({ data: { n } }) => {
        tried.set(n, (tried.get(n) ?? 0) + 1);
        if (n === 3 && tried.get(n) === 1) throw new Error('once more');
        seen.push(n);
        return n * 2;
      },
      { connection, skipVersionCheck, prefix, concurrency: 5 },
    );
    t.after(() => worker.close());
    const jobs = await queue.addBulk(
      Array.from({ length: 40 }, (_, n) => ({
        name: 'double',
        data: { n },
        opts: { attempts: 3, delay: n === 7 ? 50 : 0 },
      })),
    );
    const results = await Promise.all(jobs.map((job) => job.waitUntilFinished(events, 20_000)));
    assert.deepEqual(
      results,
      Array.from({ length: 40 }, (_, n) => n * 2),
    );
    assert.deepEqual(
      seen.toSorted((a, b) => a - b),
      Array.from({ length: 40 }, (_, n) => n),
    );
    assert.equal(tried.get(3), 2);
    assert.equal((await queue.getJobCounts('completed')).completed, 40);
    await worker.close();
    await queue.obliterate({ force: true });
  });

  test(`BullMQ, ${kind} cache: flows and rate limits`, async (t) => {
    const { port } = kind === 'sharded' ? sharded : unsharded;
    const connection = { port, maxRetriesPerRequest: null };
    const flows = new FlowProducer({ connection, skipVersionCheck, prefix });
    const done = Promise.withResolvers<number>();
    const children = new Worker<{ n: number }, number>('children', async ({ data }) => data.n, {
      connection,
      skipVersionCheck,
      prefix,
      limiter: { max: 50, duration: 100 },
    });
    const parents = new Worker('parents', async (job: Job) => {
      const values = Object.values(await job.getChildrenValues<number>());
      done.resolve(values.reduce((sum, value) => sum + value, 0));
    }, { connection, skipVersionCheck, prefix }); // prettier-ignore
    t.after(() => Promise.all([parents, children, flows].map((each) => each.close())));
    await flows.add({
      name: 'sum',
      queueName: 'parents',
      children: Array.from({ length: 10 }, (_, n) => ({
        name: 'n',
        queueName: 'children',
        data: { n },
      })),
    });
    assert.equal(await done.promise, 45);
  });

  test(`connect-redis, ${kind} cache`, async (t) => {
    const { port } = kind === 'sharded' ? sharded : unsharded;
    const client = await createClient({ url: `redis://127.0.0.1:${port}` }).connect();
    t.after(() => client.destroy());
    const store = new RedisStore({ client, prefix: 'app:' });
    await client.flushAll();
    const session = { cookie: { originalMaxAge: null }, user: 'one' } as never;
    for (let i = 0; i < 30; i++) await store.set(`id-${i}`, session);
    assert.deepEqual(await store.get('id-7'), { cookie: { originalMaxAge: null }, user: 'one' });
    await store.touch('id-7', session);
    await store.destroy('id-8');
    assert.equal((await store.get('id-8')) ?? null, null);
    assert.equal(await store.length(), 29);
    assert.equal((await store.ids()).length, 29);
    assert.equal((await store.all()).length, 29);
    await store.clear();
    assert.equal(await store.length(), 0);
  });

  test(`a socket.io adapter's pattern subscriptions, ${kind} cache`, async (t) => {
    const { port } = kind === 'sharded' ? sharded : unsharded;
    // As @socket.io/redis-adapter does: one pattern per namespace, request and response channels, binary messages.
    const servers = await Promise.all(
      Array.from({ length: 3 }, async (_, id) => {
        const publisher = new Redis({ port });
        const subscriber = publisher.duplicate();
        t.after(() => [subscriber, publisher].forEach((each) => each.disconnect()));
        const heard: string[] = [];
        subscriber.on('pmessageBuffer', (_pattern, channel: Buffer, message: Buffer) =>
          heard.push(`${channel} ${message[0]}`),
        );
        subscriber.on('messageBuffer', (channel: Buffer, message: Buffer) =>
          heard.push(`${channel} ${message[0]}`),
        );
        await subscriber.psubscribe('socket.io#/#*');
        await subscriber.subscribe(
          'socket.io-request#/#',
          'socket.io-response#/#',
          `socket.io-response#/#${id}#`,
        );
        return { publisher, heard };
      }),
    );
    const [first] = servers;
    const numsub = await first!.publisher.pubsub('NUMSUB', 'socket.io-request#/#');
    assert.deepEqual(numsub, ['socket.io-request#/#', 3]);
    assert.equal(await first!.publisher.publish('socket.io#/#room#', Buffer.from([0xff, 0x00])), 3);
    await first!.publisher.publish('socket.io-request#/#', Buffer.from([1]));
    await first!.publisher.publish('socket.io-response#/#2#', Buffer.from([2]));
    const everyone = ['socket.io#/#room# 255', 'socket.io-request#/# 1'];
    for (const [id, { heard }] of servers.entries()) {
      const expected = id === 2 ? [...everyone, 'socket.io-response#/#2# 2'] : everyone;
      await until(() => heard.length >= expected.length);
      assert.deepEqual(heard, expected);
    }
  });
}
