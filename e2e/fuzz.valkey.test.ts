/**
 * What is not the protocol: before and after the login, cut off in the middle, with counts and lengths that lie. The proxy lives
 * on with bounded memory, answers as the engine does where the engine is the judge, and nobody else ever sees a wrong reply.
 */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { after, before, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import * as fc from 'fast-check';
import { encodeRequest } from '../src/protocol/request-encoder.ts';
import { UPSTREAM_SECRET, type TestNode } from './harness/node-farm.ts';
import { ServedCache } from './harness/served-cache.ts';
import { OPEN_USER } from './harness/topology-of-nodes.ts';
import { RawClient } from './harness/raw-client.ts';

const PASSWORD = 'secret';
const MIB = 1024 * 1024;
/** What the proxy's memory may grow by over all of this: far below what any frame announces. */
const MEMORY_MAXIMUM_BYTES = 400 * MIB;
/** Replies that may wait for one client. */
const OUTPUT_MAXIMUM_BYTES = 64 * MIB;

let open: ServedCache;
let locked: ServedCache;
let plain: TestNode;

before(async () => {
  [open, locked] = await Promise.all([
    ServedCache.start({ sharding: true, limits: { outputMaximumBytes: OUTPUT_MAXIMUM_BYTES } }),
    ServedCache.start({
      sharding: false,
      users: [
        {
          ...OPEN_USER,
          nopass: false,
          passwordHashes: [createHash('sha256').update(PASSWORD).digest('hex')],
        },
      ],
    }),
  ]);
  plain = await open.farm.start({
    clusterEnabled: false,
    acl: [`user default on >${PASSWORD} >${UPSTREAM_SECRET} ~* &* +@all`],
  });
});
after(async () => {
  await Promise.all([open?.stop(), locked?.stop()]);
});

/** Traffic of a well-behaved neighbour, every value checked: each tells its key and how often it was written. */
class Neighbour {
  checked = 0;
  #stopping = false;
  readonly #done: Promise<void>;

  constructor(cache: ServedCache, password: string | null, name: string) {
    this.#done = this.#run(cache, password, name);
    // Its failure is told by stop(); until then it is no unhandled one.
    this.#done.catch(() => {});
  }

  async stop(): Promise<void> {
    this.#stopping = true;
    await this.#done;
    assert.ok(this.checked > 0);
  }

  async #run(cache: ServedCache, password: string | null, name: string): Promise<void> {
    const wire = await cache.connect();
    if (password !== null) assert.equal((await wire.raw('AUTH', password)).toString(), '+OK\r\n');
    for (let round = 0; !this.#stopping; round++) {
      const keys = Array.from({ length: 20 }, (_, i) => `${name}-${i}`);
      const values = keys.map((key) => `${key}=${round}`);
      wire.write(Buffer.concat(keys.map((key, i) => encodeRequest(['SET', key, values[i]!]))));
      wire.write(Buffer.concat(keys.map((key) => encodeRequest(['GET', key]))));
      wire.send('EXISTS', ...keys);
      const replies = (await wire.replies(41)).map((reply) => reply.toString());
      const expected = [
        ...keys.map(() => '+OK\r\n'),
        ...values.map((value) => `$${value.length}\r\n${value}\r\n`),
        ':20\r\n',
      ];
      assert.deepEqual(replies, expected);
      this.checked += replies.length;
      await delay(1);
    }
    wire.close();
  }
}

const MALFORMED: readonly (string | Buffer)[] = [
  '*abc\r\n', '*3x\r\n', '*-5\r\n', '*2147483648\r\n', '*99999999999999999999999\r\n', '*1000000\r\n$4\r\nPING\r\n',
  '*1\r\n$-1\r\n', '*1\r\n$-100\r\n', '*1\r\n$abc\r\n', '*1\r\n$536870913\r\n', '*1\r\n$99999999999999999999\r\n',
  '*1\r\n:1\r\n', '*1\r\n+PING\r\n', '*1\r\nPING\r\n', '*2\r\n$3\r\nGET\r\nkey\r\n', '*1\r\n$4\r\nPINGxx\r\n', '*1\n$4\nPING\n',
  '"unbalanced\r\n', "'unbalanced\r\n", 'GET "a"b\r\n', `*${'1'.repeat(70_000)}`, `*1\r\n$${'1'.repeat(70_000)}`, 'x'.repeat(70_000),
  '$5\r\nvalue\r\n', '+OK\r\n', ':1\r\n', '\0\0\0\0', '*2\r\n*', '\r\n\r\n\r\n', '*0\r\n*-1\r\nPING\r\n', '*11\r\n', '*1\r\n$16385\r\n',
  'GET\r\n', 'GET a\r\n', 'CONFIG\r\n', 'CONFIG nonsense\r\n', 'NOSUCH a\r\n', 'AUTH\r\n', 'AUTH a b c\r\n', 'HELLO 9\r\n', 'HELLO 3 X\r\n',
  'EXEC\r\n', 'MULTI\r\n', 'QUIT\r\nPING\r\n', 'RESET\r\nPING\r\n', 'PING a b c\r\n', 'CLIENT\r\n', 'CLIENT SETNAME a\r\n',
  Buffer.alloc(1000, 0xff),
]; // prettier-ignore

/** Everything that the server says to these bytes, until it closes or says no more. */
async function conversation(port: number, login: string | null, bytes: Buffer): Promise<string[]> {
  const wire = await RawClient.connect(port);
  const replies: string[] = [];
  if (login !== null) wire.send('AUTH', login);
  wire.write(bytes);
  // A request that ends the conversation where the server does not: its answer is the last.
  wire.endInput();
  for (;;) {
    const reply = await wire.reply();
    if (reply === null) break;
    replies.push(reply.toString('latin1'));
  }
  wire.close();
  return replies;
}

for (const login of [null, PASSWORD]) {
  test(`malformed frames ${login === null ? 'before' : 'after'} the login are answered as by the engine`, async () => {
    const neighbour = new Neighbour(locked, PASSWORD, 'beside');
    for (const frame of MALFORMED) {
      const bytes = Buffer.from(frame as string, 'latin1');
      const [actual, expected] = await Promise.all([
        conversation(locked.port, login, bytes),
        conversation(plain.port, login, bytes),
      ]);
      assert.deepEqual(actual, expected, JSON.stringify(bytes.toString('latin1').slice(0, 60)));
    }
    await neighbour.stop();
    assert.ok(locked.proxyAlive);
  });
}

// No zero bytes: the engine never sees the end of an inline line behind one, and waits for more until it is too long.
const frameToken = fc.constantFrom(
  '*', '$', '*1', '*2', '*0', '*-1', '$4', '$0', '$1', '1', '4', '-', '+', 'PING', 'ECHO', 'a', 'PIN', '\r\n', '\r\n', '\r\n', '\n', '\r',
  '*1\r\n$4\r\nPING\r\n', '*2\r\n$4\r\nECHO\r\n$1\r\n', ' ', 'PING\r\n', ':', '\xc3\xa9',
); // prettier-ignore
const inlineToken = fc.constantFrom(
  '"',
  "'",
  '\\',
  'a',
  'x',
  '4',
  '1',
  ' ',
  'n',
  '\t',
  '\v',
  '\xc3\xa9',
);

test('any mixture of frames is answered as by the engine', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(frameToken, { maxLength: 25 }), async (tokens) => {
      const bytes = Buffer.from(tokens.join(''), 'latin1');
      const [actual, expected] = await Promise.all([
        conversation(locked.port, PASSWORD, bytes),
        conversation(plain.port, PASSWORD, bytes),
      ]);
      assert.deepEqual(actual, expected);
    }),
    { numRuns: 500 },
  );
});

test('any inline line is split as by the engine', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(inlineToken, { maxLength: 12 }), async (tokens) => {
      const bytes = Buffer.from(`EVAL "return ARGV" 0 ${tokens.join('')}\r\n`, 'latin1');
      const [actual, expected] = await Promise.all([
        conversation(locked.port, PASSWORD, bytes),
        conversation(plain.port, PASSWORD, bytes),
      ]);
      assert.deepEqual(actual, expected);
    }),
    { numRuns: 500 },
  );
});

const token = fc.oneof(
  fc.constantFrom(
    '*', '$', '*1\r\n', '*2\r\n', '*3\r\n', '$3\r\n', '$1\r\n', 'GET', 'SET', 'DEL', 'EVAL', 'MULTI\r\n', 'EXEC\r\n', 'k', '\r\n',
    '-1', '0', '9999999', '"', "'", ' ', '\\x', 'SUBSCRIBE c\r\n', 'HELLO 3\r\n', 'RESET\r\n', 'CLIENT REPLY OFF\r\n', 'WATCH k\r\n',
    'MGET a b c\r\n', 'BLPOP q 1\r\n', 'QUIT\r\n', 'MONITOR\r\n', 'PING\r\n', 'DEL a b c d\r\n',
  ),
  fc.uint8Array({ maxLength: 30 }).map((bytes) => Buffer.from(bytes).toString('latin1')),
); // prettier-ignore

test('random tokens and bytes on many connections: the proxy lives, its neighbours see nothing of it', async () => {
  const neighbours = [new Neighbour(open, null, 'one'), new Neighbour(open, null, 'two')];
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.array(token, { maxLength: 40 }), { minLength: 8, maxLength: 8 }),
      async (streams) => {
        const wires = await Promise.all(
          streams.map(async (tokens, i) => {
            const wire = await open.connect();
            const bytes = Buffer.from(tokens.join(''), 'latin1');
            const cut = i % 2 === 0 ? bytes.length : Math.floor(bytes.length / 2);
            wire.write(bytes.subarray(0, cut));
            wire.write(bytes.subarray(cut));
            return wire;
          }),
        );
        await delay(2);
        for (const wire of wires) wire.close();
        assert.ok(open.proxyAlive);
      },
    ),
    { numRuns: 150 },
  );
  for (const neighbour of neighbours) await neighbour.stop();
  assert.ok(
    open.proxyMemoryBytes < MEMORY_MAXIMUM_BYTES,
    `${open.proxyMemoryBytes} bytes resident`,
  );
});

test('half a request, then the end: nothing is executed, nothing is kept', async () => {
  const neighbour = new Neighbour(open, null, 'half');
  const request = encodeRequest(['SET', 'half-written', 'x'.repeat(3000)]);
  for (let round = 0; round < 60; round++) {
    const wires = await Promise.all(Array.from({ length: 10 }, () => open.connect()));
    for (const [i, wire] of wires.entries()) {
      wire.write(request.subarray(0, Math.floor(((round * 10 + i) / 600) * (request.length - 1))));
      if (i % 2 === 0) wire.close();
      else wire.endInput();
    }
    await Promise.all(wires.map((wire) => wire.untilClosed()));
  }
  const wire = await open.connect();
  assert.equal((await wire.raw('EXISTS', 'half-written')).toString(), ':0\r\n');
  wire.close();
  await neighbour.stop();
});

test('frames that announce much and send little reserve little', async () => {
  const before = open.proxyMemoryBytes;
  const wires = await Promise.all(Array.from({ length: 200 }, () => open.connect()));
  for (const wire of wires) wire.write(Buffer.from('*1000000\r\n$3\r\nSET\r\n$536870912\r\nx'));
  const neighbour = new Neighbour(open, null, 'announced');
  await delay(300);
  await neighbour.stop();
  assert.ok(
    open.proxyMemoryBytes - before < 100 * MIB,
    `grew by ${open.proxyMemoryBytes - before} bytes`,
  );
  for (const wire of wires) wire.close();
});

test('a client that does not read is cut before its replies fill the memory', async () => {
  const wire = await open.connect();
  await wire.raw('SET', 'large', 'x'.repeat(MIB));
  const before = open.proxyMemoryBytes;
  wire.pause();
  for (let i = 0; i < 600; i++) wire.send('GET', 'large');
  const neighbour = new Neighbour(open, null, 'reading');
  await delay(800);
  const grown = open.proxyMemoryBytes - before;
  await neighbour.stop();
  wire.resume();
  await wire.untilClosed();
  assert.ok(open.proxyAlive);
  assert.ok(
    grown < 5 * OUTPUT_MAXIMUM_BYTES,
    `grew by ${grown} bytes for 600 MiB of replies that nobody read`,
  );
});

test('clients that go away with replies under way disturb nobody', async () => {
  const neighbours = [new Neighbour(open, null, 'stay-1'), new Neighbour(open, null, 'stay-2')];
  const burst = Buffer.concat(
    Array.from({ length: 500 }, (_, i) => encodeRequest(['MGET', `a${i}`, `b${i}`, `c${i}`])),
  );
  for (let round = 0; round < 40; round++) {
    const wires = await Promise.all(Array.from({ length: 5 }, () => open.connect()));
    for (const wire of wires) wire.write(burst);
    await delay(round % 5);
    for (const wire of wires) wire.close();
  }
  for (const neighbour of neighbours) await neighbour.stop();
  assert.ok(open.proxyAlive && locked.proxyAlive);
});
