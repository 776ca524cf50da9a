/** What is more than a request and its reply: subscriptions, MONITOR, QUIT, blocked clients that go, TLS, the reader port. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { ensureDevelopmentCertificate } from '../src/control/development-certificate.ts';
import { decodeReply, itemsOf, textOf, type RespValue } from '../src/protocol/resp-value.ts';
import type { TestNode } from './harness/node-farm.ts';
import { RawClient, type Argument } from './harness/raw-client.ts';
import { ServedCache } from './harness/served-cache.ts';
import { OPEN_USER } from './harness/topology-of-nodes.ts';
import { until } from './harness/until.ts';

let sharded: ServedCache;
let unsharded: ServedCache;
let secured: ServedCache;
let plain: TestNode;
let authority: Buffer;
const tlsDir = mkdtempSync(join(tmpdir(), 'springtide-tls-'));

before(async () => {
  const certificate = await ensureDevelopmentCertificate(tlsDir, []);
  authority = readFileSync(join(tlsDir, 'ca.crt'));
  [sharded, unsharded, secured] = await Promise.all([
    ServedCache.start({ sharding: true, shards: 2, replicas: 1 }),
    ServedCache.start({ sharding: false }),
    ServedCache.start({
      sharding: false,
      tls: { mode: 'preferred', certFile: certificate.certFile, keyFile: certificate.keyFile },
      users: [
        {
          ...OPEN_USER,
          nopass: false,
          passwordHashes: ['first', 'second'].map((word) =>
            createHash('sha256').update(word).digest('hex'),
          ),
        },
      ],
    }),
  ]);
  plain = await unsharded.farm.startPlain();
});
after(async () => {
  await Promise.all([sharded?.stop(), unsharded?.stop(), secured?.stop()]);
  rmSync(tlsDir, { recursive: true });
});

type Step =
  | { readonly send: readonly Argument[] }
  | { readonly publish: readonly Argument[]; readonly heard: number };

const SUBSCRIBER: readonly Step[] = [
  { send: ['SUBSCRIBE', 'a', 'b'] },
  { send: ['SUBSCRIBE', 'a'] },
  { send: ['PSUBSCRIBE', 'a*', '?'] },
  { publish: ['PUBLISH', 'a', 'both'], heard: 3 },
  { publish: ['PUBLISH', 'ab', Buffer.from([0, 255, 13, 10])], heard: 1 },
  { publish: ['PUBLISH', 'nobody', 'x'], heard: 0 },
  { send: ['PING'] },
  { send: ['PING', 'hello'] },
  { send: ['GET', 'k'] },
  { send: ['SSUBSCRIBE', '{s}1', '{s}2'] },
  { publish: ['SPUBLISH', '{s}1', 'sharded'], heard: 1 },
  { send: ['SUNSUBSCRIBE', '{s}1'] },
  { publish: ['SPUBLISH', '{s}1', 'sharded'], heard: 0 },
  { send: ['UNSUBSCRIBE', 'a'] },
  { publish: ['PUBLISH', 'a', 'pattern'], heard: 2 },
  { send: ['PUNSUBSCRIBE', 'a*', 'none'] },
  { send: ['UNSUBSCRIBE'] },
  { send: ['PUNSUBSCRIBE'] },
  { send: ['SUNSUBSCRIBE'] },
  { send: ['UNSUBSCRIBE'] },
  { send: ['SET', 'k', 'v'] },
  { send: ['GET', 'k'] },
  { send: ['SUBSCRIBE', 'c'] },
  { send: ['RESET'] },
  { send: ['PING'] },
];

/** Everything that a subscriber and a publisher are told, step by step. */
async function listen(port: number, resp: 2 | 3): Promise<string[]> {
  const [subscriber, publisher] = await Promise.all([
    RawClient.connect(port),
    RawClient.connect(port),
  ]);
  await subscriber.raw('HELLO', resp);
  const told: string[] = [];
  let version = resp;
  /** All that came before the answer to a last word of ours. */
  const gather = async () => {
    subscriber.send('PING', 'end');
    for (;;) {
      const reply = (await subscriber.reply())!.toString('latin1');
      if (reply === '$3\r\nend\r\n' || reply === '*2\r\n$4\r\npong\r\n$3\r\nend\r\n') break;
      told.push(reply);
    }
    told.push(...subscriber.takePushes().map((push) => push.toString('latin1')));
  };
  for (const step of SUBSCRIBER) {
    if ('send' in step) {
      told.push(`> ${step.send.join(' ')}`);
      subscriber.send(...step.send);
      if (step.send[0] === 'RESET') version = 2;
      await gather();
      continue;
    }
    told.push(`> ${step.publish.join(' ')}`, (await publisher.raw(...step.publish)).toString());
    const messages: string[] = [];
    for (let i = 0; i < step.heard; i++) {
      const message = version === 3 ? await subscriber.push() : await subscriber.reply();
      messages.push(message!.toString('latin1'));
    }
    // Patterns of one message have no order.
    told.push(...messages.sort());
    await gather();
  }
  subscriber.close();
  publisher.close();
  return told;
}

for (const resp of [2, 3] as const) {
  test(`subscriptions in RESP${resp}: a cache says what a server says`, async () => {
    const expected = await listen(plain.port, resp);
    assert.deepEqual(await listen(unsharded.port, resp), expected);
    assert.deepEqual(await listen(sharded.port, resp), expected);
  });
}

test('MONITOR shows what others do', async () => {
  for (const cache of [sharded, unsharded]) {
    const [watcher, worker] = await Promise.all([cache.connect(), cache.connect()]);
    assert.equal((await watcher.raw('MONITOR')).toString(), '+OK\r\n');
    await worker.raw('SET', 'monitored', 'x y');
    const line = (await watcher.reply())!.toString();
    assert.match(line, /^\+\d+\.\d{6} \[0 .+\] "SET" "monitored" "x y"\r\n$/);
    watcher.close();
    worker.close();
  }
});

test('QUIT answers, then closes', async () => {
  for (const port of [sharded.port, unsharded.port, plain.port]) {
    const wire = await RawClient.connect(port);
    wire.send('SET', 'k', 'v');
    wire.send('QUIT');
    wire.send('SET', 'k', 'too late');
    assert.deepEqual((await wire.replies(2)).map(String), ['+OK\r\n', '+OK\r\n']);
    await wire.untilClosed();
    const again = await RawClient.connect(port);
    assert.equal((await again.raw('GET', 'k')).toString(), '$1\r\nv\r\n');
    again.close();
  }
});

test('a blocked client that goes away takes nothing with it', async () => {
  for (const cache of [sharded, unsharded]) {
    const worker = await cache.connect();
    for (const leave of [(wire: RawClient) => wire.close(), (wire: RawClient) => wire.endInput()]) {
      const blocked = await cache.connect();
      blocked.send('BLPOP', 'queue', 0);
      const node = await ownerOf(cache, 'queue');
      const blockedClients = async () =>
        /blocked_clients:(\d+)/.exec(textOf(await node.admin.call('INFO', 'clients'))!)![1];
      await until(async () => (await blockedClients()) === '1');
      leave(blocked);
      await until(async () => (await blockedClients()) === '0');
      assert.equal((await worker.raw('RPUSH', 'queue', 'element')).toString(), ':1\r\n');
      assert.equal((await worker.raw('LPOP', 'queue')).toString(), '$7\r\nelement\r\n');
    }
    worker.close();
  }
});

async function ownerOf(cache: ServedCache, key: string): Promise<TestNode> {
  if (cache.nodes.length === 1) return cache.nodes[0]!;
  const answers = await Promise.all(cache.nodes.map(({ admin }) => admin.raw('EXISTS', key)));
  const roles = await Promise.all(cache.nodes.map(({ admin }) => admin.call('ROLE')));
  return cache.nodes.find(
    (_, i) => answers[i]![0] === 58 && textOf(itemsOf(roles[i])[0]) === 'master',
  )!;
}

test('requests of a client that has closed its side are all answered', async () => {
  for (const cache of [sharded, unsharded]) {
    const wire = await cache.connect();
    for (let i = 0; i < 100; i++) wire.send('SET', `closing-${i}`, i);
    wire.send('HELLO', 3);
    wire.send('MGET', 'closing-0', 'closing-99');
    wire.endInput();
    const replies = await wire.replies(102);
    assert.equal(replies.at(-1)!.toString(), '*2\r\n$1\r\n0\r\n$2\r\n99\r\n');
    await wire.untilClosed();
  }
});

test('the cluster as one node: every view names the endpoint and its reader, and nothing else', async () => {
  const wire = await sharded.connect();
  const [port, readerPort] = [sharded.port, sharded.readerPort];
  const slots = itemsOf(await wire.call('CLUSTER', 'SLOTS'));
  assert.equal(slots.length, 1);
  const [first, last, primary, reader] = itemsOf(slots[0]);
  assert.deepEqual([first, last], [0, 16_383]);
  const address = (node: RespValue | undefined) => [textOf(itemsOf(node)[0]), itemsOf(node)[1]];
  assert.deepEqual(
    [address(primary), address(reader)],
    [
      ['127.0.0.1', port],
      ['127.0.0.1', readerPort],
    ],
  );
  const lines = textOf(await wire.call('CLUSTER', 'NODES'))!
    .trim()
    .split('\n');
  assert.deepEqual(
    lines.map((line) => line.split(' ')[1]!.split('@')[0]),
    [`127.0.0.1:${port}`, `127.0.0.1:${readerPort}`],
  );
  assert.equal(lines[0]!.split(' ')[0], textOf(await wire.call('CLUSTER', 'MYID')));
  assert.match(
    textOf(await wire.call('CLUSTER', 'INFO'))!,
    /cluster_state:ok[^]*cluster_slots_assigned:16384/,
  );
  assert.equal(await wire.call('CLUSTER', 'KEYSLOT', 'foo'), 12_182);
  await wire.raw('SET', 'foo', 'x');
  assert.equal(await wire.call('CLUSTER', 'COUNTKEYSINSLOT', 12_182), 1);
  assert.deepEqual(await wire.call('CLUSTER', 'GETKEYSINSLOT', 12_182, 5), [Buffer.from('foo')]);
  const everything = (await wire.raw('CLUSTER', 'SHARDS')).toString();
  for (const node of sharded.nodes)
    assert.ok(!everything.includes(String(node.port)) && !everything.includes(node.clusterId));
  wire.close();
});

test('a sharded cache refuses what needs several slots at once, as the engine in a cluster does', async () => {
  const wire = await sharded.connect();
  for (const words of [
    ['RENAME', 'a', 'b'],
    ['SUNION', 'a', 'b', 'c'],
    ['MSETNX', 'a', '1', 'b', '2'],
    ['EVAL', 'return 1', '2', 'a', 'b'],
    ['LMOVE', 'a', 'b', 'LEFT', 'LEFT'],
  ]) {
    assert.equal(
      (await wire.raw(...words)).toString(),
      "-CROSSSLOT Keys in request don't hash to the same slot\r\n",
      words.join(' '),
    );
  }
  wire.close();
});

test('MSETEX, which the engine takes in any slot, goes where its keys are', async () => {
  const wire = await sharded.connect();
  const ask = async (...words: Argument[]) => (await wire.raw(...words)).toString();
  for (let i = 0; i < 20; i++) {
    assert.equal(await ask('MSETEX', 2, `{${i}}a`, 'x', `{${i}}b`, 'y', 'EX', 100), ':1\r\n');
    assert.equal(await ask('MGET', `{${i}}a`, `{${i}}b`), '*2\r\n$1\r\nx\r\n$1\r\ny\r\n');
  }
  assert.equal(await ask('MSETEX', 1, '{1}a', 'z', 'NX'), ':0\r\n');
  assert.match(await ask('MSETEX', 2, 'one', '1', 'two', '2'), /^-CROSSSLOT/);
  for (const wrong of [
    ['x', 'a', 'b'],
    ['0', 'a', 'b'],
    ['3', 'a', 'b'],
    ['1', 'a', 'b', 'NONSENSE'],
  ]) {
    assert.match(await ask('MSETEX', ...wrong), /^-ERR/, wrong.join(' '));
  }
  wire.close();
});

test('the reader port reads from replicas and refuses writes', async () => {
  const [wire, reader] = await Promise.all([
    sharded.connect(),
    RawClient.connect(sharded.readerPort),
  ]);
  await reader.raw('READONLY');
  await wire.raw('SET', 'read-me', 'v');
  await until(async () => (await reader.raw('GET', 'read-me')).toString() === '$1\r\nv\r\n');
  const refused = (await reader.raw('SET', 'read-me', 'w')).toString();
  assert.match(
    refused,
    new RegExp(`^-(MOVED \\d+ 127\\.0\\.0\\.1:${sharded.port}|READONLY .*)\r\n$`),
  );
  const served = async () => {
    const stats = await Promise.all(
      sharded.nodes.map(async ({ admin }) => textOf(await admin.call('INFO', 'commandstats'))!),
    );
    const roles = await Promise.all(
      sharded.nodes.map(async ({ admin }) => textOf(itemsOf(await admin.call('ROLE'))[0])),
    );
    return stats.some((text, i) => roles[i] === 'slave' && /cmdstat_get:calls=[1-9]/.test(text));
  };
  assert.ok(await served(), 'a replica has served a GET');
  wire.close();
  reader.close();
});

test('one port takes TLS and plain, either of two passwords, and refuses a wrong one', async () => {
  for (const [ca, password] of [
    [authority, 'first'],
    [undefined, 'second'],
  ] as const) {
    const wire = await secured.connect(ca === undefined ? {} : { ca });
    assert.equal((await wire.raw('GET', 'k')).toString(), '-NOAUTH Authentication required.\r\n');
    assert.match((await wire.raw('AUTH', 'wrong')).toString(), /^-WRONGPASS/);
    assert.equal((await wire.raw('AUTH', password)).toString(), '+OK\r\n');
    const large = Buffer.alloc(300_000, 'x');
    assert.equal((await wire.raw('SET', 'k', large)).toString(), '+OK\r\n');
    assert.ok((decodeReply(await wire.raw('GET', 'k')) as Buffer).equals(large));
    const many = Array.from({ length: 2000 }, (_, i) => `tls-${i}`);
    for (const key of many) wire.send('SET', key, key);
    for (const key of many) wire.send('GET', key);
    const replies = await wire.replies(4000);
    assert.deepEqual(
      replies.slice(2000).map(String),
      many.map((key) => `$${key.length}\r\n${key}\r\n`),
    );
    wire.close();
  }
});
