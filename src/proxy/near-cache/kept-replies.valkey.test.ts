/**
 * Every command whose replies the near cache may keep: what it gives is what the node gives, in RESP2 and RESP3. And the list
 * of those commands, as the engine's own table makes it: a new one is looked at by a person first.
 */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { heat, isNear } from '../../../e2e/harness/near-reads.ts';
import { ProxiedCache } from '../../../e2e/harness/proxied-cache.ts';
import { RawClient } from '../../../e2e/harness/raw-client.ts';
import { CommandTable } from '../../protocol/command-table.ts';
import { mayBeKept } from './near-commands.ts';

type Read = readonly [string, ...(string | number)[]];

/** By command: a read that says much; RESP2 twins that cannot be made say `resp3`. */
const READS: Readonly<Record<string, readonly Read[]>> = {
  get: [['GET', 'string'], ['GET', 'none'], ['GET', 'list']],
  strlen: [['STRLEN', 'string']],
  getrange: [['GETRANGE', 'string', 1, 3]],
  substr: [['SUBSTR', 'string', 1, 3]],
  getbit: [['GETBIT', 'string', 3]],
  bitcount: [['BITCOUNT', 'string']],
  bitpos: [['BITPOS', 'string', 1]],
  bitfield_ro: [['BITFIELD_RO', 'string', 'GET', 'u8', 0]],
  type: [['TYPE', 'zset'], ['TYPE', 'none']],
  expiretime: [['EXPIRETIME', 'string'], ['EXPIRETIME', 'none']],
  pexpiretime: [['PEXPIRETIME', 'string']],
  hget: [['HGET', 'hash', 'f'], ['HGET', 'hash', 'none']],
  hmget: [['HMGET', 'hash', 'f', 'none', 'g']],
  hgetall: [['HGETALL', 'hash'], ['HGETALL', 'none']],
  hkeys: [['HKEYS', 'hash']],
  hvals: [['HVALS', 'hash']],
  hlen: [['HLEN', 'hash']],
  hexists: [['HEXISTS', 'hash', 'f']],
  hstrlen: [['HSTRLEN', 'hash', 'f']],
  hexpiretime: [['HEXPIRETIME', 'hash', 'FIELDS', 1, 'f']],
  hpexpiretime: [['HPEXPIRETIME', 'hash', 'FIELDS', 1, 'f']],
  llen: [['LLEN', 'list']],
  lindex: [['LINDEX', 'list', 0], ['LINDEX', 'list', 9]],
  lrange: [['LRANGE', 'list', 0, -1]],
  lpos: [['LPOS', 'list', 'b'], ['LPOS', 'list', 'none'], ['LPOS', 'list', 'none', 'COUNT', 0]],
  scard: [['SCARD', 'set']],
  sismember: [['SISMEMBER', 'set', 'a']],
  smismember: [['SMISMEMBER', 'set', 'a', 'none']],
  smembers: [['SMEMBERS', 'set']],
  zcard: [['ZCARD', 'zset']],
  zcount: [['ZCOUNT', 'zset', '-inf', '+inf']],
  zlexcount: [['ZLEXCOUNT', 'zset', '-', '+']],
  zscore: [['ZSCORE', 'zset', 'a'], ['ZSCORE', 'zset', 'inf'], ['ZSCORE', 'zset', 'none']],
  zmscore: [['ZMSCORE', 'zset', 'a', 'none']],
  zrange: [['ZRANGE', 'zset', 0, -1], ['ZRANGE', 'zset', 0, -1, 'WITHSCORES'], ['ZRANGE', 'none', 0, -1, 'WITHSCORES']],
  zrevrange: [['ZREVRANGE', 'zset', 0, -1], ['ZREVRANGE', 'zset', 0, -1, 'WITHSCORES']],
  zrangebyscore: [['ZRANGEBYSCORE', 'zset', '-inf', '+inf', 'WITHSCORES']],
  zrevrangebyscore: [['ZREVRANGEBYSCORE', 'zset', '+inf', '-inf']],
  zrangebylex: [['ZRANGEBYLEX', 'zset', '-', '+']],
  zrevrangebylex: [['ZREVRANGEBYLEX', 'zset', '+', '-']],
  zrank: [['ZRANK', 'zset', 'a'], ['ZRANK', 'zset', 'none'], ['ZRANK', 'zset', 'none', 'WITHSCORE'], ['ZRANK', 'zset', 'a', 'WITHSCORE']],
  zrevrank: [['ZREVRANK', 'zset', 'none', 'WITHSCORE']],
  geodist: [['GEODIST', 'geo', 'a', 'b'], ['GEODIST', 'geo', 'a', 'none']],
  geohash: [['GEOHASH', 'geo', 'a', 'none']],
  geopos: [['GEOPOS', 'geo', 'a', 'none'], ['GEOPOS', 'geo', 'none'], ['GEOPOS', 'none', 'none']],
  geosearch: [['GEOSEARCH', 'geo', 'FROMLONLAT', 15, 37, 'BYRADIUS', 300, 'km', 'ASC', 'WITHDIST'], ['GEOSEARCH', 'geo', 'FROMLONLAT', 15, 37, 'BYRADIUS', 300, 'km', 'ASC']],
  georadius_ro: [['GEORADIUS_RO', 'geo', 15, 37, 300, 'km', 'ASC']],
  georadiusbymember_ro: [['GEORADIUSBYMEMBER_RO', 'geo', 'a', 300, 'km', 'ASC', 'WITHCOORD']],
  xlen: [['XLEN', 'stream']],
  xrange: [['XRANGE', 'stream', '-', '+'], ['XRANGE', 'none', '-', '+']],
  xrevrange: [['XREVRANGE', 'stream', '+', '-']],
}; // prettier-ignore

describe('kept replies', () => {
  let cache: ProxiedCache;
  let clients: RawClient[];
  let kept: string[];

  before(async () => {
    cache = await ProxiedCache.start({ sharding: false, nearCache: true });
    const [one, other] = [await cache.client(), await cache.client()];
    await other.call('HELLO', 3);
    clients = [one, other];
    const book = new CommandTable(await one.call('COMMAND'));
    kept = book.commands.filter(mayBeKept).map(({ name }) => name);
    const data: Read[] = [
      ['SET', 'string', 'value\r\n\0', 'EXAT', 33_177_117_420],
      ['HSET', 'hash', 'f', '1', 'g', ''],
      ['RPUSH', 'list', 'a', 'b', 'a'],
      ['SADD', 'set', 'a', 'b'],
      ['ZADD', 'zset', '1.5', 'a', '-3', 'b', 'inf', 'inf', '1e300', 'big'],
      ['GEOADD', 'geo', '13.361389', '38.115556', 'a', '15.087269', '37.502669', 'b'],
      ['XADD', 'stream', '1-1', 'f', 'v', 'g', 'w'],
    ];
    for (const write of data) await one.call(...write);
  });
  after(() => cache.close());

  it('are those of the commands below', () => {
    assert.deepEqual(
      kept.filter((name) => READS[name] === undefined),
      [],
    );
    assert.ok(kept.length > 40, kept.join());
  });

  it('are the same as the node gives', async () => {
    const { admin } = cache.nodes[0]!;
    let near = 0;
    for (const name of kept)
      for (const read of READS[name]!)
        for (const [i, client] of clients.entries()) {
          await admin.call('HELLO', i + 2);
          const expected = await admin.raw(...read);
          // What cannot be kept is asked of the node again and again: nothing to wait for.
          for (let n = 0; n < 150; n++) client.send(...read);
          for (const reply of await client.replies(150))
            assert.equal(reply.toString(), expected.toString(), `${read.join(' ')}, RESP${i + 2}`);
        }
    // Once more, key by key, when all of them are hot.
    for (const read of Object.values(READS).flat())
      for (const [i, client] of clients.entries()) {
        await admin.call('HELLO', i + 2);
        const expected = await admin.raw(...read);
        for (let n = 0; n < 4; n++) {
          if (await isNear(cache, client, ...read)) near++;
          const reply = await client.raw(...read);
          assert.equal(reply.toString(), expected.toString(), `${read.join(' ')}, RESP${i + 2}`);
        }
      }
    assert.ok(near > 200, `${near} replies were kept ones`);
    await heat(cache, clients[0]!, 'ZSCORE', 'zset', 'a');
  });
});
