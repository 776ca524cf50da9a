/** What a script says in its errors is its own: it is no word of a node about slots, addresses or another try. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { ProxiedCache } from '../../e2e/harness/proxied-cache.ts';

describe('errors of scripts', () => {
  let cache: ProxiedCache;
  let stranger: Server;
  let strangersPort: number;
  const guests: Socket[] = [];

  before(async () => {
    cache = await ProxiedCache.start({ deadlineMs: 500 });
    stranger = createServer((socket) => {
      guests.push(socket);
      socket.on('error', () => socket.destroy());
    });
    await new Promise<void>((resolve) => stranger.listen(0, '127.0.0.1', resolve));
    strangersPort = (stranger.address() as AddressInfo).port;
  });

  after(async () => {
    for (const guest of guests) guest.destroy();
    stranger.close();
    await cache.close();
  });

  for (const word of ['MOVED', 'ASK']) {
    for (const [where, keys] of [
      ['a slot of its own choice', []],
      ['the slot of its key', ['{06S}']],
    ] as const) {
      it(`${word} with ${where} makes the proxy log in nowhere`, async () => {
        const client = await cache.client();
        // {06S} is a key of slot 0.
        const script = `return redis.error_reply('${word} 0 127.0.0.1:${strangersPort}')`;
        const reply = await client.raw('EVAL', script, keys.length, ...keys);
        assert.match(reply.toString(), /^-(MOVED|ASK|CLUSTERDOWN)/);
        await sleep(50);
        assert.equal(guests.length, 0);
        await client.expectOk('SET', '{06S}', 'still served');
      });
    }
  }

  for (const word of [
    'TRYAGAIN',
    'LOADING',
    'CLUSTERDOWN',
    'MASTERDOWN',
    'UNBLOCKED',
    'READONLY',
  ]) {
    it(`${word} in a script's own words does not run it again`, async () => {
      const client = await cache.client();
      const script = `redis.call('INCR', KEYS[1]) return redis.error_reply('${word} later')`;
      assert.equal((await client.raw('EVAL', script, 1, word)).toString(), `-${word} later\r\n`);
      assert.equal(await client.text('GET', word), '1');
    });
  }
});
