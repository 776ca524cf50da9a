import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { pino } from 'pino';
import { ProxiedCache, until } from '../../../e2e/fixtures/proxied-cache.ts';
import { RawClient } from '../../../e2e/fixtures/raw-client.ts';
import type { TopologyCache } from '../../model/topology.ts';
import { allHandlers } from '../handlers/all.ts';
import { Proxy } from '../proxy.ts';
import { SessionCommands } from '../session-commands.ts';

describe('several proxies of one cache', { timeout: 60_000 }, () => {
  let cache: ProxiedCache;
  const proxies: { proxy: Proxy; port: number }[] = [];
  const dir = mkdtempSync(join(tmpdir(), 'springtide-fleet-'));

  async function freePort(): Promise<number> {
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    await new Promise((closed) => server.close(closed));
    return port;
  }

  /** A proxy of the fleet, on a port of its own so that a test knows whom it speaks to. */
  async function startProxy(index: number): Promise<void> {
    const own: TopologyCache = {
      ...cache.cache,
      port: await freePort(),
      readerPort: await freePort(),
    };
    const topologyFile = join(dir, `${index}`, 'topology.json');
    mkdirSync(join(dir, `${index}`));
    writeFileSync(topologyFile, JSON.stringify({ version: 1, caches: [own] }));
    const proxy = new Proxy(
      {
        index,
        proxies: 2,
        controlSocket: join(dir, 'nobody.sock'),
        topologyFile,
        peerSocket: (of) => join(dir, `proxy-${of}.sock`),
        log: pino({ level: 'silent' }),
      },
      new SessionCommands(allHandlers),
    );
    proxies.push({ proxy, port: own.port });
    (await RawClient.whenUp(own.port)).close();
  }

  before(async () => {
    cache = await ProxiedCache.start({ shards: 2 });
    await startProxy(0);
    await startProxy(1);
  });
  after(async () => {
    for (const { proxy } of proxies) await proxy.drain(0);
    await cache.close();
    rmSync(dir, { recursive: true });
  });

  it('count the subscribers of all of them, and reach them all', async () => {
    const here = await Promise.all([1, 2].map(() => RawClient.connect(proxies[0]!.port)));
    const there = await Promise.all([1, 2, 3].map(() => RawClient.connect(proxies[1]!.port)));
    for (const client of [...here, ...there]) await client.raw('SUBSCRIBE', 'common');
    await there[0]!.raw('SUBSCRIBE', 'there');
    await there[0]!.raw('PSUBSCRIBE', 'c*');
    await here[0]!.raw('PSUBSCRIBE', 'c*');
    await here[0]!.raw('PSUBSCRIBE', 'd*');
    const asker = await RawClient.connect(proxies[0]!.port);
    const reply = async (...words: string[]) => (await asker.raw(...words)).toString();
    assert.equal(
      await reply('PUBSUB', 'NUMSUB', 'common', 'there'),
      '*4\r\n$6\r\ncommon\r\n:5\r\n$5\r\nthere\r\n:1\r\n',
    );
    assert.equal(await reply('PUBSUB', 'NUMPAT'), ':2\r\n');
    assert.equal(await reply('PUBSUB', 'CHANNELS', 't*'), '*1\r\n$5\r\nthere\r\n');
    await asker.raw('PUBLISH', 'common', 'to all');
    for (const client of [...here, ...there]) {
      assert.match(
        (await client.next()).toString(),
        /^\*3\r\n\$7\r\nmessage\r\n\$6\r\ncommon\r\n\$6\r\nto all\r\n$/,
      );
    }
    for (const client of [...here, ...there]) client.close();
    await until(
      async () => (await reply('PUBSUB', 'NUMSUB', 'common')) === '*2\r\n$6\r\ncommon\r\n:0\r\n',
    );
    asker.close();
  });
});
