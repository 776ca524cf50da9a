import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { Cluster as IoCluster, Redis as IoRedis } from 'ioredis';
import { createCluster } from 'redis';
import { GlideClusterClient } from '@valkey/valkey-glide';
import { ProxiedCache } from '../../../e2e/harness/proxied-cache.ts';
import type { RawClient } from '../../../e2e/harness/raw-client.ts';
import { entriesOf, itemsOf, textOf } from '../../protocol/resp-value.ts';

const A = 'a'.repeat(40);
const B = 'b'.repeat(40);

describe('CLUSTER shows one virtual node and its reader', () => {
  let cache: ProxiedCache;
  let client: RawClient;
  before(async () => {
    cache = await ProxiedCache.start({ shards: 3 });
    client = await cache.client();
  });
  after(() => cache.close());

  it('SLOTS: all slots, the endpoint, the reader, in RESP2 and RESP3', async () => {
    const { port, readerPort } = cache.cache;
    const node = (at: number, id: string, empty: string) =>
      `*4\r\n$9\r\n127.0.0.1\r\n:${at}\r\n$40\r\n${id}\r\n${empty}\r\n`;
    const expected = (empty: string) =>
      `*1\r\n*4\r\n:0\r\n:16383\r\n${node(port, A, empty)}${node(readerPort, B, empty)}`;
    assert.equal((await client.raw('CLUSTER', 'SLOTS')).toString(), expected('*0'));
    const modern = await cache.client();
    await modern.call('HELLO', 3);
    assert.equal((await modern.raw('CLUSTER', 'SLOTS')).toString(), expected('%0'));
  });

  it('SHARDS and NODES have the fields of a real node', async () => {
    const [shard] = itemsOf(await client.call('CLUSTER', 'SHARDS'));
    const [real] = itemsOf(await cache.nodes[0]!.admin.call('CLUSTER', 'SHARDS'));
    const names = (value: typeof shard) => entriesOf(value).map(([name]) => name);
    assert.deepEqual(names(shard), names(real));
    const nodeOf = (value: typeof shard) => itemsOf(new Map(entriesOf(value)).get('nodes'))[0];
    assert.deepEqual(names(nodeOf(shard)), names(nodeOf(real)));
    const lines = (await client.text('CLUSTER', 'NODES')).trimEnd().split('\n');
    assert.equal(lines.length, 2);
    assert.match(
      lines[0]!,
      new RegExp(
        `^${A} 127\\.0\\.0\\.1:${cache.cache.port}@\\d+ myself,master - 0 0 1 connected 0-16383$`,
      ),
    );
    assert.match(
      lines[1]!,
      new RegExp(
        `^${B} 127\\.0\\.0\\.1:${cache.cache.readerPort}@\\d+ slave ${A} 0 \\d+ 1 connected$`,
      ),
    );
    const real1 = await cache.nodes[0]!.admin.text('CLUSTER', 'INFO');
    const fields = (text: string) =>
      text
        .split('\r\n')
        .map((line) => line.split(':')[0])
        .filter((name) => !/_(ping|pong|meet|fail|update|mfstart|publish)/.test(name!));
    assert.deepEqual(
      fields(await client.text('CLUSTER', 'INFO')).filter((f) => !f!.includes('fail')),
      fields(real1).filter((f) => !f!.includes('fail')),
    );
  });

  it('the reader is the replica', async () => {
    const reader = await cache.reader();
    assert.equal(await client.text('CLUSTER', 'MYID'), A);
    assert.equal(await reader.text('CLUSTER', 'MYID'), B);
    assert.equal(
      await reader.text('CLUSTER', 'MYSHARDID'),
      await client.text('CLUSTER', 'MYSHARDID'),
    );
    assert.match(await reader.text('CLUSTER', 'NODES'), new RegExp(`${B} \\S+ myself,slave`));
    assert.match(
      (await client.raw('CLUSTER', 'REPLICAS', A)).toString(),
      new RegExp(`^\\*1\r\n\\$\\d+\r\n${B} `),
    );
    assert.equal(
      (await client.raw('CLUSTER', 'REPLICAS', B)).toString(),
      '-ERR The specified node is not a master\r\n',
    );
    assert.equal(
      (await client.raw('CLUSTER', 'SLAVES', 'x')).toString(),
      '-ERR Unknown node x\r\n',
    );
    assert.equal(await client.call('CLUSTER', 'COUNT-FAILURE-REPORTS', A), 0);
    assert.deepEqual(await client.call('CLUSTER', 'LINKS'), []);
  });

  it('asks the owner about a slot, and all shards about slots', async () => {
    const keys = ['a', 'b', 'c', 'd', 'e', 'f'];
    for (const key of keys) {
      await client.expectOk('SET', key, '1');
      const slot = Number(await client.call('CLUSTER', 'KEYSLOT', key));
      assert.equal(await client.call('CLUSTER', 'COUNTKEYSINSLOT', slot), 1);
      assert.deepEqual(
        itemsOf(await client.call('CLUSTER', 'GETKEYSINSLOT', slot, 5)).map(textOf),
        [key],
      );
    }
    for (const words of [
      ['COUNTKEYSINSLOT', '16384'],
      ['COUNTKEYSINSLOT', 'x'],
      ['GETKEYSINSLOT', '1', '-1'],
    ]) {
      const [mine, theirs] = [
        await client.raw('CLUSTER', ...words),
        await cache.nodes[0]!.admin.raw('CLUSTER', ...words),
      ];
      assert.equal(mine.toString(), theirs.toString());
    }
    const all = itemsOf(await client.call('CLUSTER', 'SLOT-STATS', 'SLOTSRANGE', 0, 16_383));
    assert.deepEqual(
      all.map((entry) => itemsOf(entry)[0]),
      Array.from({ length: 16_384 }, (_, i) => i),
    );
    const most = itemsOf(
      await client.call('CLUSTER', 'SLOT-STATS', 'ORDERBY', 'KEY-COUNT', 'LIMIT', 8),
    );
    const counts = most.map((entry) => new Map(entriesOf(itemsOf(entry)[1])).get('key-count'));
    assert.deepEqual(counts, [1, 1, 1, 1, 1, 1, 0, 0]);
    const fewest = itemsOf(
      await client.call('CLUSTER', 'SLOT-STATS', 'ORDERBY', 'key-count', 'LIMIT', 2, 'ASC'),
    );
    assert.deepEqual(
      fewest.map((entry) => itemsOf(entry)[0]),
      [0, 1],
    );
    assert.match(
      (await client.raw('CLUSTER', 'SLOT-STATS', 'ORDERBY', 'x')).toString(),
      /^-ERR Unrecognized sort metric/,
    );
  });

  it('is a cluster to ioredis, node-redis and GLIDE', async () => {
    const { port } = cache.cache;
    const io = new IoCluster([{ host: '127.0.0.1', port }], { scaleReads: 'slave' });
    for (let i = 0; i < 50; i++) assert.equal(await io.set(`io:${i}`, String(i)), 'OK');
    for (let i = 0; i < 50; i++) assert.equal(await io.get(`io:${i}`), String(i));
    io.disconnect();
    const node = createCluster({
      rootNodes: [{ url: `redis://127.0.0.1:${port}` }],
      useReplicas: true,
    });
    await node.connect();
    for (let i = 0; i < 50; i++) await node.set(`node:${i}`, String(i));
    for (let i = 0; i < 50; i++) assert.equal(await node.get(`node:${i}`), String(i));
    node.destroy();
    const glide = await GlideClusterClient.createClient({
      addresses: [{ host: '127.0.0.1', port }],
      readFrom: 'preferReplica',
    });
    for (let i = 0; i < 50; i++) await glide.set(`glide:${i}`, String(i));
    for (let i = 0; i < 50; i++) assert.equal(await glide.get(`glide:${i}`), String(i));
    glide.close();
    assert.equal(await client.call('DBSIZE'), 156);
  });
});

describe('CLUSTER with a host name', () => {
  it('shows the name as the engine does with cluster-preferred-endpoint-type hostname', async () => {
    const cache = await ProxiedCache.start({ shards: 2, announceHost: 'localhost' });
    try {
      const client = await cache.client();
      const { port } = cache.cache;
      assert.match(
        (await client.raw('CLUSTER', 'SLOTS')).toString(),
        new RegExp(
          `\\$9\r\nlocalhost\r\n:${port}\r\n\\$40\r\n${A}\r\n\\*2\r\n\\$2\r\nip\r\n\\$9\r\n127.0.0.1\r\n`,
        ),
      );
      assert.match(
        await client.text('CLUSTER', 'NODES'),
        new RegExp(`^${A} 127.0.0.1:${port}@0,localhost myself`),
      );
      const [shard] = itemsOf(await client.call('CLUSTER', 'SHARDS'));
      const first = new Map(entriesOf(itemsOf(new Map(entriesOf(shard)).get('nodes'))[0]));
      assert.deepEqual(
        ['ip', 'endpoint', 'hostname'].map((name) => textOf(first.get(name))),
        ['127.0.0.1', 'localhost', 'localhost'],
      );
      const io = new IoCluster([{ host: 'localhost', port }]);
      assert.equal(await io.set('a', '1'), 'OK');
      io.disconnect();
    } finally {
      await cache.close();
    }
  });
});

describe('an unsharded cache', () => {
  it('has no cluster, like a plain server, and one view in INFO', async () => {
    const cache = await ProxiedCache.start({ sharding: false, replicas: 1 });
    try {
      const client = await cache.client();
      const plain = await cache.plainClient();
      for (const words of [
        ['CLUSTER', 'SLOTS'],
        ['CLUSTER', 'INFO'],
        ['CLUSTER', 'MYID'],
      ]) {
        assert.equal(
          (await client.raw(...words)).toString(),
          (await plain.raw(...words)).toString(),
        );
      }
      const io = new IoRedis(cache.cache.port);
      await io.select(3);
      await io.set('three', '3');
      assert.equal((await io.scan('0')).toString(), '0,three');
      const info = await io.info();
      assert.match(info, /redis_mode:standalone|server_mode:standalone/);
      assert.match(info, /\r\ndb3:keys=1,/);
      assert.match(info, /\r\ncluster_enabled:0\r\n/);
      assert.match(info, new RegExp(`\r\ntcp_port:${cache.cache.port}\r\n`));
      io.disconnect();
    } finally {
      await cache.close();
    }
  });
});
