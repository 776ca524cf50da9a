/** INFO on the reader port: the cache's data, and the work of those who serve that port. */
import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import { ProxiedCache } from '../../../e2e/harness/proxied-cache.ts';
import { until } from '../../../e2e/harness/until.ts';
import type { RawClient } from '../../../e2e/harness/raw-client.ts';

async function field(client: RawClient, section: string, name: string): Promise<string> {
  const line = (await client.text('INFO', section))
    .split('\r\n')
    .find((each) => each.startsWith(`${name}:`));
  return line?.slice(name.length + 1) ?? '';
}

async function start(t: TestContext, options: Parameters<typeof ProxiedCache.start>[0]) {
  const cache = await ProxiedCache.start(options);
  t.after(() => cache.close());
  return { cache, client: await cache.client(), reader: await cache.reader() };
}

describe('INFO on the reader port', () => {
  it('counts what the replicas did, and the keys once', async (t) => {
    const { client, reader } = await start(t, { shards: 2, replicas: 2 });
    for (const key of ['a', 'b', 'c', 'd']) await client.expectOk('SET', key, 'x');
    // Where the replica has it already.
    await until(async () => {
      for (const key of ['a', 'b', 'c', 'd'])
        if ((await reader.raw('GET', key)).toString() !== '$1\r\nx\r\n') return false;
      return true;
    });
    await client.text('GET', 'a');
    const [before, atPrimaries] = [
      Number(await field(reader, 'stats', 'keyspace_hits')),
      Number(await field(client, 'stats', 'keyspace_hits')),
    ];
    for (let i = 0; i < 5; i++)
      for (const key of ['a', 'b', 'c', 'd']) await reader.text('GET', key);
    assert.equal(Number(await field(reader, 'stats', 'keyspace_hits')), before + 20);
    assert.equal(Number(await field(client, 'stats', 'keyspace_hits')), atPrimaries);
    assert.match(await field(reader, 'commandstats', 'cmdstat_get'), /^calls=\d+,/);
    assert.match(await field(reader, 'keyspace', 'db0'), /^keys=4,/);
    assert.equal(await field(reader, 'replication', 'role'), 'slave');
    assert.equal(await field(client, 'replication', 'repl_backlog_active'), '1');
  });

  it('without replicas, what the primaries did', async (t) => {
    const { client, reader } = await start(t, { shards: 2 });
    await client.expectOk('SET', 'a', 'x');
    await reader.text('GET', 'a');
    for (const on of [client, reader]) assert.equal(await field(on, 'stats', 'keyspace_hits'), '1');
  });
});
