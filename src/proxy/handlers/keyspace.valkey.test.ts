import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { ProxiedCache } from '../../../e2e/harness/proxied-cache.ts';
import { until } from '../../../e2e/harness/until.ts';
import type { RawClient } from '../../../e2e/harness/raw-client.ts';
import { entriesOf, itemsOf, RespError, textOf } from '../../protocol/resp-value.ts';

describe('answers put together from all shards', () => {
  let cache: ProxiedCache;
  let client: RawClient;
  before(async () => {
    cache = await ProxiedCache.start({
      shards: 3,
      directives: {
        'slowlog-log-slower-than': '0',
        'latency-monitor-threshold': '1',
        'busy-reply-threshold': '100',
        'commandlog-request-larger-than': '1000',
      },
    });
    client = await cache.client();
  });
  after(() => cache.close());

  it('RANDOMKEY finds a key wherever it is, and every one in time', async () => {
    await client.expectOk('FLUSHALL');
    assert.equal((await client.raw('RANDOMKEY')).toString(), '$-1\r\n');
    await client.expectOk('SET', 'only', '1');
    for (let i = 0; i < 20; i++) assert.equal(await client.text('RANDOMKEY'), 'only');
    await client.expectOk('MSET', 'a', '1', 'b', '2', 'c', '3');
    const seen = new Set<string>();
    await until(async () => seen.add(await client.text('RANDOMKEY')).size === 4);
  });

  it('ROLE: a master without replicas of its own, the reader a slave of it', async () => {
    await client.expectOk('SET', 'x', '1');
    const [role, offset, replicas] = itemsOf(await client.call('ROLE'));
    assert.equal(textOf(role), 'master');
    assert.equal(typeof offset, 'number');
    assert.deepEqual(replicas, []);
    const reader = await cache.reader();
    const [kind, host, port, state] = itemsOf(await reader.call('ROLE'));
    assert.deepEqual(
      [textOf(kind), textOf(host), port, textOf(state)],
      ['slave', '127.0.0.1', cache.cache.port, 'connected'],
    );
  });

  it('MEMORY STATS adds up, in the shape of the engine', async () => {
    const plain = await cache.plainClient();
    const [mine, theirs] = [
      entriesOf(await client.call('MEMORY', 'STATS')),
      entriesOf(await plain.call('MEMORY', 'STATS')),
    ];
    const names = (entries: typeof mine) =>
      entries.map(([name]) => name).filter((name) => !name.startsWith('db.'));
    assert.deepEqual(names(mine), names(theirs));
    const value = (name: string) => Number(textOf(new Map(mine).get(name)));
    assert.ok(
      value('total.allocated') > 2 * Number(textOf(new Map(theirs).get('total.allocated'))),
    );
    assert.equal(value('keys.count'), await client.call('DBSIZE'));
    assert.ok(value('peak.percentage') > 0 && value('peak.percentage') <= 101);
  });

  it('SLOWLOG GET is one list, newest first, as long as asked for', async () => {
    for (const key of ['a', 'b', 'c', 'd', 'e']) await client.expectOk('SET', key, 'logged');
    const entries = itemsOf(await client.call('SLOWLOG', 'GET', 30));
    assert.equal(entries.length, 30);
    const times = entries.map((entry) => Number(itemsOf(entry)[1]));
    assert.deepEqual(
      times,
      times.toSorted((a, b) => b - a),
    );
    const commands = itemsOf(await client.call('SLOWLOG', 'GET', -1)).map((entry) =>
      itemsOf(itemsOf(entry)[3]).map(textOf).join(' '),
    );
    for (const key of ['a', 'b', 'c', 'd', 'e'])
      assert.ok(commands.includes(`SET ${key} logged`), key);
    assert.equal(itemsOf(await client.call('SLOWLOG', 'GET')).length, 10);
    assert.match(
      (await client.raw('SLOWLOG', 'GET', 'x')).toString(),
      /^-ERR count should be greater/,
    );
    await client.expectOk('SET', 'big', 'x'.repeat(2000));
    const large = itemsOf(await client.call('COMMANDLOG', 'GET', -1, 'large-request'));
    assert.equal(large.length, 1);
  });

  it('LATENCY: histograms add up, samples are found', async () => {
    const count = async (name: string) => {
      const commands = new Map(entriesOf(await client.call('LATENCY', 'HISTOGRAM', name)));
      const fields = new Map(entriesOf(commands.get(name)));
      const buckets = entriesOf(fields.get('histogram_usec')).map(
        ([bucket, calls]) => [Number(bucket), Number(calls)] as const,
      );
      for (let i = 1; i < buckets.length; i++) {
        assert.ok(buckets[i]![0] > buckets[i - 1]![0] && buckets[i]![1] > buckets[i - 1]![1]);
      }
      assert.equal(buckets.at(-1)?.[1], fields.get('calls'));
      return Number(fields.get('calls'));
    };
    await client.call('HSET', 'h1', 'f', 'v');
    const before = await count('hset');
    for (let i = 0; i < 30; i++) await client.call('HSET', `hash:${i}`, 'f', 'v');
    assert.equal(await count('hset'), before + 30);
    await client.call('EVAL', 'local t = 0; for i = 1, 3000000 do t = t + i end return t', 1, 'a');
    const events = itemsOf(await client.call('LATENCY', 'LATEST')).map((row) =>
      textOf(itemsOf(row)[0]),
    );
    assert.ok(events.includes('command'));
    assert.ok(itemsOf(await client.call('LATENCY', 'HISTORY', 'command')).length > 0);
    assert.match(await client.text('LATENCY', 'GRAPH', 'command'), /high/);
    assert.match(
      (await client.raw('LATENCY', 'GRAPH', 'nosuch')).toString(),
      /^-ERR No samples available for event 'nosuch'/,
    );
    assert.match(await client.text('LATENCY', 'DOCTOR'), /Shard 1 of 3/);
  });

  for (const [kill, run] of [
    ['SCRIPT', ['EVAL', 'while true do end', '1', 'k']],
    ['FUNCTION', ['FCALL', 'forever', '1', 'k']],
  ] as const) {
    it(`${kill} KILL ends what runs on any shard, while it holds up the shared connection`, async () => {
      const library =
        "#!lua name=loop\nserver.register_function('forever', function() while true do end end)";
      await client.call('FUNCTION', 'LOAD', 'REPLACE', library);
      assert.match(
        (await client.raw(kill, 'KILL')).toString(),
        /^-NOTBUSY No scripts in execution right now\./,
      );
      const running = (await cache.client()).call(...run);
      await until(async () => (await client.raw(kill, 'KILL')).toString() === '+OK\r\n');
      const ended = await running;
      assert.ok(ended instanceof RespError && /killed by user/.test(ended.message));
      await client.expectOk('SET', 'k', 'again');
    });
  }

  it('FUNCTION STATS has the shape of the engine', async () => {
    const plain = await cache.plainClient();
    await client.expectOk('FUNCTION', 'FLUSH');
    assert.equal(
      (await client.raw('FUNCTION', 'STATS')).toString(),
      (await plain.raw('FUNCTION', 'STATS')).toString(),
    );
    await client.call('HELLO', 3);
    await plain.call('HELLO', 3);
    assert.equal(
      (await client.raw('FUNCTION', 'STATS')).toString(),
      (await plain.raw('FUNCTION', 'STATS')).toString(),
    );
  });
});
