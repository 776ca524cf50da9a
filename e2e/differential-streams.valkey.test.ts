/** Long random streams of pipelined requests, cut anywhere: the replies of a cache are those of a plain server, in order. */
import assert from 'node:assert/strict';
import { randomFillSync } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { encodeRequest } from '../src/protocol/request-encoder.ts';
import { RandomStream, type Random } from './differential/random-stream.ts';
import type { TestNode } from './harness/node-farm.ts';
import { randomFrom, testSeed } from './harness/random.ts';
import { ServedCache } from './harness/served-cache.ts';
import { RawClient } from './harness/raw-client.ts';

type Kind = 'sharded' | 'unsharded';
const KINDS: readonly Kind[] = ['sharded', 'unsharded'];
const LARGE_BYTES = 200_000;
const seed = testSeed();

let caches: Record<Kind, ServedCache>;
let plain: TestNode;

before(async () => {
  const [sharded, unsharded] = await Promise.all([
    ServedCache.start({ sharding: true }),
    ServedCache.start({ sharding: false }),
  ]);
  caches = { sharded, unsharded };
  plain = await unsharded.farm.startPlain();
});
after(async () => {
  await Promise.all(Object.values(caches ?? {}).map((cache) => cache.stop()));
});

async function freshen(kind: Kind): Promise<void> {
  for (const node of [...caches[kind].nodes, plain]) await node.admin.raw('FLUSHALL');
}

/** Sends `bytes` in pieces of a size that `sizeOf` chooses; gives the other side its turn now and then. */
async function writeInPieces(wire: RawClient, bytes: Buffer, sizeOf: () => number): Promise<void> {
  let pieces = 0;
  for (let at = 0; at < bytes.length;) {
    const size = sizeOf();
    wire.write(bytes.subarray(at, at + size));
    at += size;
    if (++pieces % 8 === 0) await turn();
  }
}

const CUTS: readonly [string, (random: Random) => () => number][] = [
  ['at once', () => () => 1 << 30],
  [
    'at every byte or nearly',
    (random) => () => (random() < 0.9 ? 1 : 1 + Math.floor(random() * 5000)),
  ],
  ['at random', (random) => () => 1 + Math.floor(random() ** 4 * 20_000)],
];

for (const kind of KINDS) {
  for (const resp of [2, 3] as const) {
    describe(`${kind}, RESP${resp}`, () => {
      for (const [at, [name, cutter]] of CUTS.entries()) {
        test(`a stream that arrives ${name} (seed ${seed})`, async () => {
          await freshen(kind);
          const random = randomFrom(seed + at * 10 + resp);
          const [wire, model] = await Promise.all([
            caches[kind].connect(),
            RawClient.connect(plain.port),
          ]);
          await Promise.all([wire.raw('HELLO', resp), model.raw('HELLO', resp)]);
          const requests = name.includes('every') ? 400 : 4000;
          const stream = new RandomStream(random, requests, LARGE_BYTES);
          model.write(stream.bytes);
          const [actual, expected] = await Promise.all([
            writeInPieces(wire, stream.bytes, cutter(random)).then(() =>
              wire.replies(stream.replies),
            ),
            model.replies(stream.replies),
          ]);
          wire.close();
          model.close();
          for (const [i, reply] of expected.entries()) {
            if (reply.equals(actual[i]!)) continue;
            const show = (bytes: Buffer) => JSON.stringify(bytes.toString('latin1').slice(0, 200));
            const sent = stream.shown.slice(Math.max(0, i - 8), i + 1).join('\n');
            assert.fail(
              `request ${i}:\n${sent}\nserver: ${show(reply)}\nproxy:  ${show(actual[i]!)}`,
            );
          }
        });
      }
    });
  }

  test(`${kind}: values of 5 MB among small ones, for many clients at once`, async () => {
    const value = randomFillSync(Buffer.alloc(5 * 1024 * 1024 + 13));
    await Promise.all(
      Array.from({ length: 4 }, async (_, client) => {
        const wire = await caches[kind].connect();
        const [key, other, small] = ['large', 'other', 'small'].map((name) => `${name}-${client}`);
        wire.write(
          Buffer.concat([
            encodeRequest(['SET', small!, client]),
            encodeRequest(['SET', key!, value]),
            encodeRequest(['GET', small!]),
            encodeRequest(['SET', other!, value.subarray(0, 100_000 + client)]),
            encodeRequest(['GET', key!]),
            encodeRequest(['MGET', small!, key!, other!]),
            encodeRequest(['GETRANGE', key!, 5, 8]),
            encodeRequest(['ECHO', value]),
            encodeRequest(['STRLEN', key!]),
          ]),
        );
        const bulk = (bytes: Uint8Array) =>
          Buffer.concat([Buffer.from(`$${bytes.length}\r\n`), bytes, Buffer.from('\r\n')]);
        const ok = Buffer.from('+OK\r\n');
        const smallReply = bulk(Buffer.from(String(client)));
        const part = value.subarray(0, 100_000 + client);
        const expected = [
          ok, ok, smallReply, ok, bulk(value), Buffer.concat([Buffer.from('*3\r\n'), smallReply, bulk(value), bulk(part)]),
          bulk(value.subarray(5, 9)), bulk(value), Buffer.from(`:${value.length}\r\n`),
        ]; // prettier-ignore
        for (const [i, reply] of (await wire.replies(expected.length)).entries()) {
          assert.ok(reply.equals(expected[i]!), `reply ${i} of client ${client}`);
        }
        wire.close();
      }),
    );
  });
}
