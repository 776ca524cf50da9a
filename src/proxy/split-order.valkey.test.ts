/** The parts of a split command keep their order with the other commands of their session, also when one has to wait. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { moveSlotByHand } from '../../e2e/harness/move-slots.ts';
import { ProxiedCache } from '../../e2e/harness/proxied-cache.ts';
import { until } from '../../e2e/harness/until.ts';
import { encodeRequest } from '../protocol/request-encoder.ts';

/** In slot 0. */
const MOVED = '{06S}moved';
const STAYS = '{06S}stays';

describe('a part that waits while a later command for one of its keys runs', () => {
  let cache: ProxiedCache;
  before(async () => (cache = await ProxiedCache.start({ shards: 2 })));
  after(() => cache.close());

  it('is given up: MSET does not undo the SET that came after it', async () => {
    const client = await cache.client();
    const [from, to] = cache.nodes;
    await client.expectOk('SET', STAYS, 0);
    let sent = false;
    await moveSlotByHand(cache.nodes, from!, to!, 0, async () => {
      if (sent) return;
      sent = true;
      // One of the part's keys is not at the source: TRYAGAIN, until the slot has moved. The SET is asked for at the target.
      client.write(
        Buffer.concat([
          encodeRequest(['MSET', MOVED, 'older', STAYS, 'older', 'elsewhere', 'older']),
          encodeRequest(['SET', MOVED, 'newer']),
          encodeRequest(['SET', STAYS, 'newer']),
        ]),
      );
      await until(async () => Number(await to!.admin.text('CLUSTER', 'COUNTKEYSINSLOT', 0)) === 1);
    });
    assert.match((await client.next()).toString(), /^-TRYAGAIN /);
    assert.equal((await client.next()).toString(), '+OK\r\n');
    assert.equal((await client.next()).toString(), '+OK\r\n');
    assert.equal(await client.text('GET', MOVED), 'newer');
    assert.equal(await client.text('GET', STAYS), 'newer');
    assert.equal(await client.text('GET', 'elsewhere'), 'older');
  });

  it('is not, when the later command only reads: that is asked again, after it', async () => {
    const client = await cache.client();
    const [from, to] = cache.nodes;
    await client.call('DEL', MOVED);
    await client.expectOk('SET', STAYS, 0);
    let sent = false;
    await moveSlotByHand(cache.nodes, to!, from!, 0, async () => {
      if (sent) return;
      sent = true;
      client.write(
        Buffer.concat([
          encodeRequest(['MSET', MOVED, 'both', STAYS, 'both', 'elsewhere', 'both']),
          encodeRequest(['GET', MOVED]),
          encodeRequest(['MGET', 'other', MOVED]),
        ]),
      );
      await until(async () =>
        /cmdstat_get:calls/.test(await from!.admin.text('INFO', 'commandstats')),
      );
    });
    assert.equal((await client.next()).toString(), '+OK\r\n');
    assert.equal((await client.next()).toString(), '$4\r\nboth\r\n');
    assert.equal((await client.next()).toString(), '*2\r\n$-1\r\n$4\r\nboth\r\n');
    await moveSlotByHand(cache.nodes, from!, to!, 0, () => Promise.resolve());
  });

  it('is not, when the later command has other keys', async () => {
    const client = await cache.client();
    const [from, to] = cache.nodes;
    await client.call('DEL', MOVED);
    await client.expectOk('SET', STAYS, 0);
    let sent = false;
    await moveSlotByHand(cache.nodes, to!, from!, 0, async () => {
      if (sent) return;
      sent = true;
      client.write(
        Buffer.concat([
          encodeRequest(['MSET', MOVED, 'both', STAYS, 'both', 'elsewhere', 'both']),
          encodeRequest(['SET', '{06S}other', 'too']),
        ]),
      );
      await until(
        async () => Number(await from!.admin.text('CLUSTER', 'COUNTKEYSINSLOT', 0)) === 1,
      );
    });
    assert.equal((await client.next()).toString(), '+OK\r\n');
    assert.equal((await client.next()).toString(), '+OK\r\n');
    for (const key of [MOVED, STAYS, 'elsewhere'])
      assert.equal(await client.text('GET', key), 'both');
    assert.equal(await client.text('GET', '{06S}other'), 'too');
  });

  for (const elsewhere of [[], ['elsewhere', 'older']]) {
    const what = elsewhere.length === 0 ? 'a command of one slot' : 'a part';
    it(`is tried again only when what is behind it has been answered: ${what}`, async () => {
      const client = await cache.client();
      const [from, to] = cache.nodes;
      const ids = await Promise.all([from!, to!].map(({ admin }) => admin.text('CLUSTER', 'MYID')));
      await client.call('DEL', MOVED);
      await client.expectOk('SET', STAYS, 0);
      await to!.admin.expectOk('CLUSTER', 'SETSLOT', 0, 'IMPORTING', ids[0]!);
      await from!.admin.expectOk('CLUSTER', 'SETSLOT', 0, 'MIGRATING', ids[1]!);
      for (const key of [MOVED, STAYS]) {
        await to!.admin.expectOk('ASKING');
        await to!.admin.expectOk('SET', key, 'at the target');
      }
      // The SET goes to the target, which does not answer; the MSET has to wait at the source, until a key has left it.
      await client.call('GET', MOVED);
      await from!.admin.expectOk('CONFIG', 'RESETSTAT');
      to!.signal('SIGSTOP');
      client.write(
        Buffer.concat([
          encodeRequest(['MSET', MOVED, 'older', STAYS, 'older', ...elsewhere]),
          encodeRequest(['SET', MOVED, 'newer']),
        ]),
      );
      await until(async () => (await from!.admin.text('INFO', 'errorstats')).includes('TRYAGAIN'));
      await from!.admin.call('DEL', STAYS);
      // Time for tries that there must not be: they would reach the target behind the SET.
      await sleep(60);
      to!.signal('SIGCONT');
      assert.match((await client.next()).toString(), /^-TRYAGAIN /);
      assert.equal((await client.next()).toString(), '+OK\r\n');
      assert.equal(await client.text('GET', MOVED), 'newer');
      for (const key of [MOVED, STAYS]) {
        await to!.admin.expectOk('ASKING');
        await to!.admin.call('DEL', key);
      }
      for (const { admin } of [from!, to!]) await admin.expectOk('CLUSTER', 'SETSLOT', 0, 'STABLE');
    });
  }
});
