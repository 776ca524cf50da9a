import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { ProxiedCache } from '../../e2e/harness/proxied-cache.ts';
import { until } from '../../e2e/harness/until.ts';
import { RawClient } from '../../e2e/harness/raw-client.ts';
import { RespError } from '../protocol/resp-value.ts';

describe('the clients of two proxies are those of one cache', () => {
  let cache: ProxiedCache;
  let here: RawClient;
  let there: RawClient;
  let id: number;
  before(async () => {
    cache = await ProxiedCache.start({ shards: 1, proxies: 2 });
    here = await cache.client();
  });
  after(async () => {
    there.close();
    await cache.close();
  });
  const connectThere = async () => {
    there = await RawClient.connect(cache.proxyPorts[1]!);
    await there.expectOk('CLIENT', 'SETNAME', 'there');
    id = Number(await there.call('CLIENT', 'ID'));
  };

  it('CLIENT LIST has them all, by id, and filters them all', async () => {
    await connectThere();
    const ids = (text: string) =>
      [...text.matchAll(/^id=(\d+) /gm)].map(([, each]) => Number(each));
    const all = ids(await here.text('CLIENT', 'LIST'));
    assert.ok(all.includes(id) && all.includes(Number(await here.call('CLIENT', 'ID'))));
    assert.deepEqual(
      all,
      all.toSorted((a, b) => a - b),
    );
    assert.deepEqual(ids(await here.text('CLIENT', 'LIST', 'NAME', 'there')), [id]);
    const clients = await here.text('INFO', 'clients');
    assert.match(clients, new RegExp(`connected_clients:${all.length}\r\n`));
  });

  it('CLIENT UNBLOCK reaches a client of the other proxy', async () => {
    const blocked = there.call('BLPOP', 'nothing', 0);
    await until(async () => (await here.call('CLIENT', 'UNBLOCK', id, 'ERROR')) === 1);
    const reply = await blocked;
    assert.ok(reply instanceof RespError && reply.kind === 'UNBLOCKED');
    assert.equal(await here.call('CLIENT', 'UNBLOCK', id), 0);
  });

  it('CLIENT KILL closes a client of the other proxy, by filter and by address', async () => {
    assert.equal(await here.call('CLIENT', 'KILL', 'ID', id), 1);
    await until(() => there.closed);
    assert.equal(await here.call('CLIENT', 'KILL', 'ID', id), 0);
    await connectThere();
    const [, address] = / addr=(\S+) /.exec(await here.text('CLIENT', 'LIST', 'ID', id))!;
    await here.expectOk('CLIENT', 'KILL', address!);
    await until(() => there.closed);
    assert.match((await here.raw('CLIENT', 'KILL', address!)).toString(), /^-ERR No such client/);
  });
});
