import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { ProxiedCache } from '../../../e2e/harness/proxied-cache.ts';
import { until } from '../../../e2e/harness/until.ts';
import type { RawClient } from '../../../e2e/harness/raw-client.ts';
import { encodeRequest } from '../../protocol/request-encoder.ts';

describe('MONITOR', { timeout: 60_000 }, () => {
  let cache: ProxiedCache;
  before(async () => {
    cache = await ProxiedCache.start({
      shards: 2,
      users: [
        {
          name: 'bob',
          enabled: true,
          nopass: true,
          passwordHashes: [],
          rules: '~* &* +@all -@admin',
          upstreamSecret: 'secret-of-bob',
        },
      ],
    });
  });
  after(() => cache.close());

  /** Reads lines until each of the commands has been seen; returns them in the order in which they came. */
  async function seen(monitor: RawClient, commands: readonly string[]): Promise<string[]> {
    const found: string[] = [];
    while (found.length < commands.length) {
      const line = (await monitor.next()).toString();
      const command = commands.find((each) => line.endsWith(`] ${each}\r\n`));
      if (command !== undefined) {
        assert.match(line, /^\+\d+\.\d{6} \[0 127\.0\.0\.1:\d+\] /);
        found.push(command);
      }
    }
    return found;
  }

  it('shows the commands of every shard, and ends with RESET', async () => {
    const [monitor, client] = [await cache.client(), await cache.client()];
    await monitor.expectOk('MONITOR');
    await client.expectOk('SET', 'a', '1');
    await client.expectOk('SET', 'b', 'with "quotes"');
    const lines = ['"SET" "a" "1"', '"SET" "b" "with \\"quotes\\""'];
    assert.deepEqual((await seen(monitor, lines)).sort(), lines);

    monitor.write(encodeRequest(['GET', 'a']));
    let reply = '';
    do reply = (await monitor.next()).toString();
    while (/^\+\d/.test(reply));
    assert.equal(reply, "-ERR Replica can't interact with the keyspace\r\n");

    monitor.write(encodeRequest(['RESET']));
    do reply = (await monitor.next()).toString();
    while (/^\+\d/.test(reply));
    assert.equal(reply, '+RESET\r\n');
    await client.expectOk('SET', 'a', 'unseen');
    assert.equal((await monitor.raw('GET', 'a')).toString(), '$6\r\nunseen\r\n');
    await until(async () => {
      const lists = await Promise.all(cache.nodes.map((node) => node.admin.text('CLIENT', 'LIST')));
      return lists.every((list) => !list.includes('cmd=monitor'));
    });
  });

  it('is the engine’s to allow', async () => {
    const client = await cache.client();
    await client.expectOk('AUTH', 'bob', 'any');
    assert.equal(
      (await client.raw('MONITOR')).toString(),
      "-NOPERM User bob has no permissions to run the 'monitor' command\r\n",
    );
    await client.expectOk('SET', 'a', 'still served');
  });
});
