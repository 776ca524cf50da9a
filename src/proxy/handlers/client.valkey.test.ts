import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { ProxiedCache } from '../../../e2e/harness/proxied-cache.ts';
import { until } from '../../../e2e/harness/until.ts';
import type { RawClient } from '../../../e2e/harness/raw-client.ts';
import { encodeRequest } from '../../protocol/request-encoder.ts';
import { RespError } from '../../protocol/resp-value.ts';

/** Names of the fields of a line, and their values. */
const fieldsOf = (line: string) =>
  new Map(
    line
      .trim()
      .split(' ')
      .map((pair) => [pair.split('=', 1)[0]!, pair.slice(pair.indexOf('=') + 1)]),
  );

for (const line of ['9.1', '8.0'] as const) {
  describe(`CLIENT, ${line}`, () => {
    let cache: ProxiedCache;
    let client: RawClient;
    let plain: RawClient;
    before(async () => {
      cache = await ProxiedCache.start({ sharding: false, line });
      client = await cache.client();
      plain = await cache.plainClient();
    });
    after(() => cache.close());

    it('RESET leaves the library and what it can do, and nothing else', async () => {
      for (const each of [await cache.client(), await cache.plainClient()]) {
        await each.raw('CLIENT', 'CAPA', 'redirect');
        await each.expectOk('CLIENT', 'SETINFO', 'LIB-NAME', 'library');
        await each.expectOk('CLIENT', 'SETINFO', 'LIB-VER', '1.2');
        await each.expectOk('CLIENT', 'SETNAME', 'name');
        await each.expectOk('CLIENT', 'NO-EVICT', 'ON');
        await each.raw('RESET');
        const fields = fieldsOf(await each.text('CLIENT', 'INFO'));
        const shown = ['name', 'flags', 'capa', 'lib-name', 'lib-ver'].map((name) =>
          fields.get(name),
        );
        assert.deepEqual(shown, ['', 'N', line === '8.0' ? undefined : 'r', 'library', '1.2']);
      }
    });

    it('KILL of oneself is the last that is executed', async () => {
      for (const connect of [() => cache.client(), () => cache.plainClient()]) {
        const [killed, other] = [await connect(), await connect()];
        await other.raw('DEL', 'counter');
        const id = await killed.call('CLIENT', 'ID');
        const kill = encodeRequest(['CLIENT', 'KILL', 'ID', String(id), 'SKIPME', 'no']);
        killed.write(
          Buffer.concat([kill, ...Array<Buffer>(3).fill(encodeRequest(['INCR', 'counter']))]),
        );
        assert.equal((await killed.next()).toString(), ':1\r\n');
        await until(() => killed.closed);
        assert.equal((await other.raw('EXISTS', 'counter')).toString(), ':0\r\n');
      }
    });

    it('has lines with the fields of the engine, in its order', async () => {
      const [mine, theirs] = [
        await client.text('CLIENT', 'INFO'),
        await plain.text('CLIENT', 'INFO'),
      ];
      assert.deepEqual([...fieldsOf(mine).keys()], [...fieldsOf(theirs).keys()]);
      assert.ok(mine.endsWith('\n'));
      for (const name of [
        'name',
        'flags',
        'db',
        'sub',
        'multi',
        'user',
        'redir',
        'resp',
        'lib-name',
        'cmd',
      ]) {
        assert.equal(fieldsOf(mine).get(name), fieldsOf(theirs).get(name), name);
      }
      assert.equal(fieldsOf(mine).get('id'), String(await client.call('CLIENT', 'ID')));
    });

    it('answers as the engine to what a connection says of itself', async () => {
      const commands = [
        ['CLIENT', 'GETNAME'], ['CLIENT', 'SETNAME', 'a b'], ['CLIENT', 'SETNAME', 'one'], ['CLIENT', 'GETNAME'],
        ['CLIENT', 'SETINFO', 'LIB-NAME', 'lib'], ['CLIENT', 'SETINFO', 'lib-ver', '1'], ['CLIENT', 'SETINFO', 'X', '1'],
        ['CLIENT', 'SETINFO', 'LIB-NAME', 'a b'], ['CLIENT', 'NO-EVICT', 'on'], ['CLIENT', 'NO-EVICT', 'x'],
        ['CLIENT', 'NO-TOUCH', 'ON'], ['CLIENT', 'NO-TOUCH', 'x'], ['CLIENT', 'NO-TOUCH', 'off'], ['CLIENT', 'CAPA', 'redirect', 'x'],
        ['CLIENT', 'REPLY', 'x'], ['CLIENT', 'REPLY', 'ON'], ['CLIENT', 'UNBLOCK', '999999'], ['CLIENT', 'UNBLOCK', 'x'],
        ['CLIENT', 'UNBLOCK', '1', 'x'], ['CLIENT', 'KILL', '1.2.3.4:5'], ['CLIENT', 'KILL', 'ID', '999999'],
        ['CLIENT', 'KILL', 'ID', 'x'], ['CLIENT', 'KILL', 'USER', 'nobody'], ['CLIENT', 'KILL', 'TYPE', 'x'],
        ['CLIENT', 'KILL', 'SKIPME', 'x'], ['CLIENT', 'LIST', 'TYPE', 'x'], ['CLIENT', 'LIST', 'ID', 'x'], ['CLIENT', 'LIST', 'x'],
        ['CLIENT', 'LIST', 'TYPE', 'replica'], ['CLIENT', 'LIST', 'ID', '999999', '999998'], ['CLIENT', 'SETNAME', ''], ['CLIENT', 'GETNAME'],
      ]; // prettier-ignore
      for (const words of commands) {
        // Filters are read as 9.1 reads them, whatever the version.
        if (line === '8.0' && (words[1] === 'CAPA' || words.includes('ID'))) continue;
        assert.equal(
          (await client.raw(...words)).toString(),
          (await plain.raw(...words)).toString(),
          words.join(' '),
        );
      }
    });

    it('lists and kills the connections that the filters name', async () => {
      const one = await cache.client();
      await one.expectOk('CLIENT', 'SETNAME', 'victim');
      const id = Number(await one.call('CLIENT', 'ID'));
      const listed = await client.text('CLIENT', 'LIST');
      assert.ok(listed.includes(`id=${id} `) && listed.trim().split('\n').length >= 2);
      assert.match(await client.text('CLIENT', 'LIST', 'ID', id), /^id=\d+ .* name=victim /);
      assert.equal(await client.call('CLIENT', 'KILL', 'ID', id), 1);
      await until(() => one.closed);
      const two = await cache.client();
      const addr = fieldsOf(await two.text('CLIENT', 'INFO')).get('addr')!;
      await client.expectOk('CLIENT', 'KILL', addr);
      await until(() => two.closed);
      const self = await cache.client();
      const own = Number(await self.call('CLIENT', 'ID'));
      assert.equal(await self.call('CLIENT', 'KILL', 'ID', own), 0);
      assert.equal(await self.call('CLIENT', 'KILL', 'ID', own, 'SKIPME', 'no'), 1);
      await until(() => self.closed);
    });

    it('REPLY OFF and SKIP silence what they should', async () => {
      const [mine, theirs] = [await cache.client(), await cache.plainClient()];
      const sent = [
        'CLIENT REPLY SKIP',
        'SET a 1',
        'ECHO one',
        'CLIENT REPLY OFF',
        'SET b 1',
        'GET a',
        'ECHO no',
        'CLIENT REPLY ON',
        'ECHO two',
      ];
      for (const each of [mine, theirs])
        each.write(sent.map((command) => `${command}\r\n`).join(''));
      for (let i = 0; i < 3; i++)
        assert.equal((await mine.next()).toString(), (await theirs.next()).toString());
    });

    it('UNBLOCK ends a blocked command, with an error if asked to', async () => {
      for (const how of ['TIMEOUT', 'ERROR']) {
        const blocked = await cache.client();
        const id = Number(await blocked.call('CLIENT', 'ID'));
        const reply = blocked.call('BLPOP', 'nothing', 0);
        await until(async () => (await client.call('CLIENT', 'UNBLOCK', id, how)) === 1);
        const answer = await reply;
        assert.equal(answer instanceof RespError && answer.kind === 'UNBLOCKED', how === 'ERROR');
        assert.equal(await client.call('CLIENT', 'UNBLOCK', id), 0);
      }
    });
  });
}

describe('the filters of CLIENT LIST, 9.1', () => {
  it('are the engine’s, and so are their errors', async () => {
    const cache = await ProxiedCache.start({ sharding: false });
    try {
      const client = await cache.client();
      const plain = await cache.plainClient();
      for (const each of [client, plain]) {
        await each.expectOk('CLIENT', 'SETNAME', 'x');
        await each.expectOk('SELECT', 2);
      }
      const filters = [
        'TYPE normal', 'TYPE pubsub', 'TYPE master', 'NOT-TYPE normal', 'NAME x', 'NAME y', 'NOT-NAME x', 'NOT-NAME y', 'DB 2', 'DB 1',
        'NOT-DB 2', 'DB -1', 'DB 99', 'DB x', 'FLAGS N', 'FLAGS P', 'FLAGS NP', 'FLAGS ?', 'NOT-FLAGS N', 'CAPA r', 'CAPA ?',
        'IP 127.0.0.1', 'IP 1.1.1.1', 'NOT-IP 127.0.0.1', 'USER default', 'USER nobody', 'NOT-USER default', 'LADDR 1.1.1.1:1',
        'ADDR 1.1.1.1:1', 'NOT-ADDR 1.1.1.1:1', 'IDLE 0', 'IDLE x', 'IDLE 1000', 'MAXAGE 0', 'MAXAGE x', 'MAXAGE 100000', 'NOT-IDLE 5',
        'LIB-NAME x', 'NOT-LIB-NAME x', 'LIB-VER x', 'ID 0', 'ID -3', 'ID 999999 SKIPME no', 'NOT-ID 999999', 'SKIPME yes',
        'NAME x DB 2 TYPE normal', 'NAME x DB 1', 'NAME', 'TYPE',
      ]; // prettier-ignore
      const shown = async (each: RawClient, filter: string) => {
        const reply = (await each.raw('CLIENT', 'LIST', ...filter.split(' '))).toString();
        if (reply.startsWith('-')) return reply;
        return String(reply.includes(' name=x '));
      };
      for (const filter of filters)
        assert.equal(await shown(client, filter), await shown(plain, filter), filter);
    } finally {
      await cache.close();
    }
  });
});
