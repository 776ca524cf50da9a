import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { ProxiedCache } from '../../e2e/harness/proxied-cache.ts';
import { until } from '../../e2e/harness/until.ts';
import { RawClient } from '../../e2e/harness/raw-client.ts';
import type { CacheUser } from '../model/user.ts';

const READER: CacheUser = {
  name: 'reader',
  enabled: true,
  nopass: true,
  passwordHashes: [],
  rules: '~* &* +@all -@write',
  upstreamSecret: 'internal-of-reader',
};

describe('transactions of an unsharded cache', () => {
  let cache: ProxiedCache;
  before(async () => {
    cache = await ProxiedCache.start({ sharding: false, users: [READER] });
  });
  after(() => cache.close());

  it('keeps nothing of what follows a command that could not be queued', async () => {
    const open = [() => cache.client(), () => cache.plainClient()];
    const seen: string[][] = [];
    for (const connect of open) {
      const [client, other] = [await connect(), await connect()];
      await client.expectOk('CLIENT', 'SETNAME', 'failed');
      await client.expectOk('MULTI');
      const replies: string[] = [];
      for (const words of ['GET a', 'GET', 'GET b', 'CLIENT ID'])
        replies.push((await client.raw(...words.split(' '))).toString());
      const list = await other.text('CLIENT', 'LIST');
      replies.push(/ name=failed .* (multi=\d+) /.exec(list)![1]!);
      replies.push((await client.raw('EXEC')).toString());
      seen.push(replies);
    }
    assert.deepEqual(seen[0], seen[1]);
    assert.equal(seen[0]![4], 'multi=0');
  });

  it('EXEC tells why the node would not queue a command', async () => {
    const client = await cache.client();
    await client.expectOk('AUTH', 'reader', 'any');
    for (const watching of [false, true]) {
      if (watching) await client.expectOk('WATCH', 'k');
      await client.expectOk('MULTI');
      await client.raw('GET', 'k');
      await client.raw('SET', 'k', 1);
      assert.equal(
        (await client.raw('EXEC')).toString(),
        "-EXECABORT Transaction discarded because of: NOPERM User reader has no permissions to run the 'set' command\r\n",
      );
    }
  });

  it('a SELECT in a transaction that is aborted has not been executed', async () => {
    const [client, other] = [await cache.client(), await cache.client()];
    await client.expectOk('WATCH', 'k');
    await other.expectOk('SET', 'k', 'of database 0');
    await client.expectOk('MULTI');
    await client.raw('SELECT', 1);
    await client.raw('SET', 'k', 'of database 1');
    assert.equal((await client.raw('EXEC')).toString(), '*-1\r\n');
    assert.equal(await client.text('GET', 'k'), 'of database 0');
    await client.expectOk('MULTI');
    await client.raw('SELECT', 1);
    assert.equal((await client.raw('EXEC')).toString(), '*1\r\n+OK\r\n');
    assert.equal((await client.raw('GET', 'k')).toString(), '$-1\r\n');
  });
});

describe('a transaction of very many commands', () => {
  let cache: ProxiedCache;
  before(async () => {
    cache = await ProxiedCache.start({
      sharding: false,
      limits: { requestMaximumBytes: 64 * 1024, bulkMaximumBytes: 32 * 1024 },
    });
  });
  after(() => cache.close());

  for (const command of [['PING'], ['CLIENT', 'ID']]) {
    it(`of ${command.join(' ')} is refused before what is made of them is too much`, async () => {
      const client = await cache.client();
      await client.expectOk('MULTI');
      const replies = new Set<string>();
      let queued = 0;
      for (let i = 0; i < 500; i++) {
        const reply = (await client.raw(...command)).toString();
        replies.add(reply);
        if (replies.size === 1) queued++;
      }
      assert.deepEqual(
        [...replies],
        [
          '+QUEUED\r\n',
          '-ERR a transaction of more than 65536 bytes, 160 of them for each command, exceeds the limit of this cache\r\n',
        ],
      );
      assert.ok(queued > 300 && queued < 400, `${queued} were queued`);
      assert.match(await (await cache.client()).text('CLIENT', 'LIST'), / multi=0 .* multi-mem=0 /);
      assert.match((await client.raw('EXEC')).toString(), /^-EXECABORT /);
    });
  }

  it('has the replies of the nodes and of the proxy in their order', async () => {
    const client = await cache.client();
    await client.expectOk('MULTI');
    const words = ['PING', 'CLIENT GETNAME', 'SET k 1', 'PUBLISH c m', 'CLIENT GETNAME', 'INCR k'];
    for (let i = 0; i < 50; i++) for (const each of words) await client.raw(...each.split(' '));
    assert.equal(
      (await client.raw('EXEC')).toString(),
      `*300\r\n${'+PONG\r\n$-1\r\n+OK\r\n:0\r\n$-1\r\n:2\r\n'.repeat(50)}`,
    );
  });
});

describe('commands with a connection of their own while their node is away', () => {
  /** A key of the first shard. */
  const key = '{06S}';
  let cache: ProxiedCache;

  before(async () => {
    cache = await ProxiedCache.start();
  });
  after(() => cache.close());

  /** Does `work` after the first node has died, and starts it again. */
  async function whileAway(work: () => Promise<void>): Promise<void> {
    await cache.nodes[0]!.kill();
    await sleep(100);
    await work();
    await cache.restart(0);
  }

  it('WATCH waits for it', async () => {
    const client = await cache.client();
    let watched: Promise<Buffer> | null = null;
    await whileAway(async () => {
      watched = client.raw('WATCH', key);
      // Longer than a handful of tries.
      await sleep(1000);
    });
    assert.equal((await watched!).toString(), '+OK\r\n');
    // Aborted at most by a cluster that is not whole again.
    await until(async () => {
      await client.expectOk('MULTI');
      await client.raw('SET', key, 1);
      const reply = await client.raw('EXEC');
      if (reply.toString() === '*1\r\n+OK\r\n') return true;
      await client.expectOk('WATCH', key);
      return false;
    });
  });

  it('BLPOP and WATCH of clients that went meanwhile are not taken up again', async () => {
    await whileAway(async () => {
      const clients = [await RawClient.connect(cache.cache.port)];
      clients.push(await RawClient.connect(cache.cache.port));
      clients[0]!.raw('BLPOP', `list${key}`, 0).catch(() => {});
      clients[1]!.raw('WATCH', key).catch(() => {});
      await sleep(100);
      for (const client of clients) client.close();
      await sleep(50);
    });
    const client = await cache.client();
    await until(async () => (await client.raw('RPUSH', `list${key}`, 'x')).toString() === ':1\r\n');
    await sleep(100);
    assert.equal((await client.raw('LLEN', `list${key}`)).toString(), ':1\r\n');
    assert.doesNotMatch(await cache.nodes[0]!.admin.text('CLIENT', 'LIST'), /cmd=(watch|blpop)/);
  });
});
