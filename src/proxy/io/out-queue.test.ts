import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { after, before, test } from 'node:test';
import * as fc from 'fast-check';
import { BlockPool, OutQueue } from './out-queue.ts';

const server = createServer();
let writer: Socket;
let reader: Socket;

before(async () => {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const accepted = once(server, 'connection');
  writer = connect((server.address() as AddressInfo).port, '127.0.0.1');
  reader = (await accepted)[0] as Socket;
});
after(() => {
  writer.destroy();
  reader.destroy();
  server.close();
});

async function receive(sizeBytes: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let received = 0;
  while (received < sizeBytes) {
    const chunk: Buffer | null = reader.read();
    if (chunk === null) await once(reader, 'readable');
    else {
      chunks.push(chunk);
      received += chunk.length;
    }
  }
  return Buffer.concat(chunks);
}

/** A piece: size, its place in a larger buffer, whether the buffer goes on where the last piece ended, flush after it. */
const piece = fc.record({
  size: fc.oneof(
    fc.nat(64),
    fc.integer({ min: 4000, max: 4200 }),
    fc.integer({ min: 16_000, max: 40_000 }),
  ),
  before: fc.nat(10),
  adjacent: fc.boolean(),
  flush: fc.boolean(),
});

test('bytes out are the bytes in, in order, whatever the sizes', async () => {
  const pool = new BlockPool();
  let stamp = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(piece, { minLength: 1, maxLength: 60 }), async (pieces) => {
      const queue = new OutQueue(pool);
      const expected: Buffer[] = [];
      let source = Buffer.alloc(0);
      let end = 0;
      let waiting = 0;
      for (const each of pieces) {
        const start = each.adjacent ? end : end + each.before;
        if (start + each.size > source.length) {
          source = Buffer.alloc(Math.max(65_536, each.size + 20));
          for (let i = 0; i < source.length; i += 4) source.writeUInt32LE(stamp++, i);
          end = each.before + each.size;
          queue.append(source, each.before, end);
          expected.push(source.subarray(each.before, end));
        } else {
          end = start + each.size;
          queue.append(source, start, end);
          expected.push(source.subarray(start, end));
        }
        waiting += each.size;
        assert.equal(queue.sizeBytes, waiting);
        if (!each.flush) continue;
        queue.flushTo(writer);
        waiting = 0;
        assert.equal(queue.sizeBytes, 0);
      }
      queue.flushTo(writer);
      const all = Buffer.concat(expected);
      assert.ok(all.equals(await receive(all.length)));
    }),
    { numRuns: 150 },
  );
});

test('a block that the socket still holds is not filled again', async () => {
  const pool = new BlockPool();
  const queue = new OutQueue(pool);
  const expected: Buffer[] = [];
  // Nobody reads: the socket's own buffer fills, and what is written later must not change what waits in it.
  for (let round = 0; round < 400; round++) {
    for (let i = 0; i < 40; i++) {
      const bytes = Buffer.alloc(i === 20 ? 50_000 : 500, (round * 40 + i) % 251);
      append(queue, bytes);
      expected.push(bytes);
    }
    queue.flushTo(writer);
  }
  const all = Buffer.concat(expected);
  assert.ok(writer.writableLength > 0, 'the socket holds something');
  assert.ok(all.equals(await receive(all.length)));
});

test('the memory of a large piece is used again when the socket has given it on', async () => {
  const pool = new BlockPool();
  const queue = new OutQueue(pool);
  const block = pool.takeLarge();
  pool.giveLarge(block);
  append(queue, Buffer.alloc(20_000));
  queue.flushTo(writer);
  assert.equal(writer.writableLength, 0);
  assert.equal(pool.takeLarge(), block);
  await receive(20_000);
});

test('what is cleared does not leave', async () => {
  const queue = new OutQueue(new BlockPool());
  append(queue, Buffer.from('gone'));
  append(queue, Buffer.from('gone too'));
  queue.clear();
  assert.equal(queue.sizeBytes, 0);
  queue.flushTo(writer);
  append(queue, Buffer.from('kept'));
  queue.flushTo(writer);
  assert.equal((await receive(4)).toString(), 'kept');
});

function append(queue: OutQueue, bytes: Buffer): void {
  queue.append(bytes, 0, bytes.length);
}
