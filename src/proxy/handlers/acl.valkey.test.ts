import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { ProxiedCache } from '../../../e2e/harness/proxied-cache.ts';
import type { RawClient } from '../../../e2e/harness/raw-client.ts';
import type { CacheUser } from '../../model/user.ts';
import { entriesOf, itemsOf, textOf } from '../../protocol/resp-value.ts';

const hash = (password: string) => createHash('sha256').update(password).digest('hex');
const BOB: CacheUser = {
  name: 'bob',
  enabled: true,
  nopass: false,
  passwordHashes: [hash('pw'), hash('pw2')],
  rules: '~app:* &ch:* +@read +config|get +ping +client|id +multi +exec',
  upstreamSecret: 'internal-of-bob',
};
/** Everything but what looks at others. */
const EVE: CacheUser = {
  ...BOB,
  name: 'eve',
  passwordHashes: [hash('pw')],
  rules: '~* &* +@all -client|list -cluster -info',
  upstreamSecret: 'internal-of-eve',
};

describe('users and settings as clients see them', () => {
  let cache: ProxiedCache;
  let client: RawClient;
  let plain: RawClient;
  before(async () => {
    cache = await ProxiedCache.start({ shards: 2, users: [BOB, EVE] });
    client = await cache.client();
    plain = await cache.plainClient();
    for (const user of [BOB, EVE]) {
      const hashes = user.passwordHashes.map((each) => `#${each}`);
      await plain.expectOk('ACL', 'SETUSER', user.name, 'on', ...hashes, ...user.rules.split(' '));
    }
  });
  after(() => cache.close());

  it('shows the users of the cache, their passwords and no others, byte for byte as a plain server', async () => {
    for (const resp of [2, 3]) {
      await client.call('HELLO', resp);
      await plain.call('HELLO', resp);
      for (const words of [
        ['LIST'],
        ['USERS'],
        ['GETUSER', 'bob'],
        ['GETUSER', 'default'],
        ['GETUSER', 'nobody'],
        ['WHOAMI'],
      ]) {
        assert.equal(
          (await client.raw('ACL', ...words)).toString(),
          (await plain.raw('ACL', ...words)).toString(),
          words.join(' '),
        );
      }
    }
    assert.equal((await client.raw('ACL', 'GETUSER', 'springtide-system')).toString(), '_\r\n');
    await client.call('HELLO', 2);
    await plain.call('HELLO', 2);
  });

  it('CONFIG GET tells no secret and no path, and the values of the cache', async () => {
    const settings = new Map(entriesOf(await client.call('CONFIG', 'GET', '*')));
    for (const name of [
      'requirepass',
      'masterauth',
      'primaryuser',
      'aclfile',
      'dir',
      'tls-key-file-pass',
      'pidfile',
      'hash-seed',
    ]) {
      assert.ok(!settings.has(name), name);
    }
    const all = [...settings].map(([name, value]) => `${name} ${textOf(value)}`).join('\n');
    assert.ok(!all.includes('secret-of-system') && !all.includes('/tmp/'), all);
    const value = async (name: string) =>
      entriesOf(await client.call('CONFIG', 'GET', name)).map(([key, each]) => [key, textOf(each)]);
    assert.deepEqual(await value('port'), [['port', String(cache.cache.port)]]);
    assert.deepEqual(await value('maxclients'), [['maxclients', '65000']]);
    assert.deepEqual(await value('maxmemory-policy'), [['maxmemory-policy', 'volatile-lru']]);
    assert.deepEqual(await value('nosuch'), []);
    for (const node of cache.nodes)
      await node.admin.expectOk('CONFIG', 'SET', 'maxmemory', 1000 * 1024 * 1024);
    assert.deepEqual(await value('maxmemory'), [['maxmemory', String(2000 * 1024 * 1024)]]);
    for (const node of cache.nodes) await node.admin.expectOk('CONFIG', 'SET', 'maxmemory', 0);
  });

  it('refuses what the engine would refuse to the user, in its words', async () => {
    const commands = [
      ['CLIENT', 'LIST'], ['CLIENT', 'ID'], ['CLIENT', 'GETNAME'], ['CLIENT', 'KILL', 'ID', '999'], ['CLUSTER', 'SLOTS'],
      ['CLUSTER', 'INFO'], ['INFO'], ['SCAN', '0'], ['WAIT', '0', '1'], ['ROLE'], ['SLOWLOG', 'GET'], ['RANDOMKEY'], ['ACL', 'LIST'],
      ['CONFIG', 'GET', 'port'], ['PING'], ['ECHO', 'x'], ['SELECT', '0'], ['SELECT', '1'], ['CLIENT', 'LIST'], ['INFO'],
      ['CLIENT'], ['WAIT'], ['CLIENT', 'NOSUCH'], ['RESET'],
    ]; // prettier-ignore
    for (const user of ['bob', 'eve']) {
      const [mine, theirs] = [await cache.client(), await cache.plainClient()];
      await mine.expectOk('AUTH', user, 'pw');
      await theirs.expectOk('AUTH', user, 'pw');
      for (const words of commands) {
        const [a, b] = [
          (await mine.raw(...words)).toString(),
          (await theirs.raw(...words)).toString(),
        ];
        if (a.startsWith('-') || b.startsWith('-')) {
          if (words[0] === 'CLUSTER' && b.includes('cluster support disabled')) continue;
          assert.equal(a, b, `${user}: ${words.join(' ')}`);
        }
      }
    }
  });

  it('refuses it inside MULTI as well, and asks the engine once only', async () => {
    const bob = await cache.client();
    await bob.expectOk('AUTH', 'bob', 'pw');
    await bob.expectOk('MULTI');
    assert.match(
      (await bob.raw('CLIENT', 'LIST')).toString(),
      /^-NOPERM User bob has no permissions to run the 'client\|list' command/,
    );
    assert.match((await bob.raw('EXEC')).toString(), /^-EXECABORT/);
    const asked = async () =>
      Number(
        /cmdstat_acl\|dryrun:calls=(\d+)/.exec(
          await cache.nodes[0]!.admin.text('INFO', 'commandstats'),
        )?.[1] ?? 0,
      );
    const before = await asked();
    for (let i = 0; i < 20; i++) await bob.raw('CLIENT', 'LIST');
    for (let i = 0; i < 20; i++) await client.raw('CLIENT', 'LIST');
    assert.equal(await asked(), before);
  });

  it('ACL LOG is what all shards refused, newest first, alike put together, as a plain server has it', async () => {
    const log = async (on: RawClient, ...words: (string | number)[]) =>
      itemsOf(await on.call('ACL', 'LOG', ...words)).map((entry) => {
        const fields = new Map(entriesOf(entry));
        return ['count', 'reason', 'context', 'object', 'username']
          .map((name) => textOf(fields.get(name)))
          .join(' ');
      });
    for (const on of [client, plain]) await on.expectOk('ACL', 'LOG', 'RESET');
    for (const on of [client, plain]) assert.deepEqual(await log(on), []);
    const refused = [
      ['GET', 'a'], ['SET', 'app:1', 'x'], ['SET', 'app:2', 'x'], ['SET', 'app:3', 'x'], ['GET', 'b'], ['GET', 'c'],
      ['GET', 'd'], ['GET', 'a'],
    ]; // prettier-ignore
    for (const start of [() => cache.client(), () => cache.plainClient()]) {
      const bob = await start();
      await bob.expectOk('AUTH', 'bob', 'pw');
      for (const words of refused) {
        assert.match((await bob.raw(...words)).toString(), /^-NOPERM/);
        // Entries are ordered by the millisecond.
        await delay(2);
      }
    }
    for (const resp of [2, 3]) {
      for (const on of [client, plain]) await on.call('HELLO', resp);
      assert.deepEqual((await log(client)).slice(0, 2), [
        '2 key toplevel a bob',
        '1 key toplevel d bob',
      ]);
      assert.ok((await log(client)).includes('3 command toplevel set bob'));
      for (const words of [[], [2], [0], [-1], [100]])
        assert.deepEqual(await log(client, ...words), await log(plain, ...words), `${words}`);
    }
    for (const words of [['x'], ['1', '2'], ['010'], ['HELP']])
      assert.equal(
        (await client.raw('ACL', 'LOG', ...words)).toString(),
        (await plain.raw('ACL', 'LOG', ...words)).toString(),
      );
    await client.expectOk('ACL', 'LOG', 'RESET');
    for (const node of cache.nodes)
      assert.equal(itemsOf(await node.admin.call('ACL', 'LOG')).length, 0);
    for (const on of [client, plain]) await on.call('HELLO', 2);
  });

  it('keeps the order of pipelined commands while it asks', async () => {
    const eve = await cache.client();
    await eve.expectOk('AUTH', 'eve', 'pw');
    eve.write(
      'SET a 1\r\nCLIENT KILL ID 5\r\nGET a\r\nCLIENT NO-EVICT on\r\nCLIENT LIST\r\nECHO last\r\n',
    );
    const replies = [];
    for (let i = 0; i < 6; i++) replies.push((await eve.next()).toString());
    assert.deepEqual(replies, [
      '+OK\r\n', ':0\r\n', '$1\r\n1\r\n', '+OK\r\n',
      "-NOPERM User eve has no permissions to run the 'client|list' command\r\n", '$4\r\nlast\r\n',
    ]); // prettier-ignore
    assert.ok(itemsOf(await eve.call('COMMAND', 'LIST')).length > 200);
  });
});
