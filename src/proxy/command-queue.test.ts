import assert from 'node:assert/strict';
import { it } from 'node:test';
import * as fc from 'fast-check';
import { encodeRequest } from '../protocol/request-encoder.ts';
import type { PlannedCommand } from './command-book.ts';
import { CommandQueue, QUEUED_COMMAND_BYTES } from './command-queue.ts';
import { garbageCollection } from './io/garbage-collection.ts';

const PLANNED = { command: { name: 'client|id' }, repeatable: true } as PlannedCommand;
const WRITE = { ...PLANNED, repeatable: false } as PlannedCommand;

it('tells what goes to the node and what the proxy has a part in, each in order and with its words', () => {
  const kind = fc.constantFrom('send' as const, 'mend' as const, 'answer' as const);
  const words = fc.array(fc.string(), { minLength: 1, maxLength: 20 });
  fc.assert(
    fc.property(fc.array(fc.tuple(kind, words)), (commands) => {
      const queue = new CommandQueue();
      for (const [how, args] of commands) {
        const bytes = encodeRequest(args);
        const buf = Buffer.concat([Buffer.from('before'), bytes, Buffer.from('behind')]);
        queue[how](PLANNED, buf, 6, 6 + bytes.length);
        buf.fill(0);
      }
      const sent = commands.filter(([how]) => how !== 'answer').map(([, args]) => args);
      assert.equal(queue.length, commands.length);
      assert.equal(queue.length - queue.answered, sent.length);
      assert.equal(
        Buffer.concat(queue.sentParts()).toString(),
        Buffer.concat(sent.map((args) => encodeRequest(args))).toString(),
      );
      assert.deepEqual(
        [...queue.own()].map(({ index, answered, call }) => [
          index,
          answered,
          call.args.map(String),
          call.bytes.toString(),
        ]),
        commands.flatMap(([how, args], index) =>
          how === 'send' ? [] : [[index, how === 'answer', args, encodeRequest(args).toString()]],
        ),
      );
    }),
  );
});

it('may be sent again when all that a node gets may', () => {
  const queue = new CommandQueue();
  const bytes = encodeRequest(['PING']);
  queue.send(PLANNED, bytes, 0, bytes.length);
  queue.answer(WRITE, bytes, 0, bytes.length);
  assert.equal(queue.repeatable, true);
  queue.send(WRITE, bytes, 0, bytes.length);
  assert.equal(queue.repeatable, false);
});

for (const how of ['send', 'answer', 'mend'] as const) {
  it(`what is held of small commands (${how}) is less than what is counted`, () => {
    const COMMANDS = 200_000;
    const bytes = encodeRequest(['CLIENT', 'ID']);
    const collect = garbageCollection();
    const heldBytes = (): number => {
      collect();
      const { heapUsed, external } = process.memoryUsage();
      return heapUsed + external;
    };
    const queue = new CommandQueue();
    const before = heldBytes();
    for (let i = 0; i < COMMANDS; i++) queue[how](PLANNED, bytes, 0, bytes.length);
    const held = heldBytes() - before;
    assert.ok(held > COMMANDS * bytes.length, `${held} bytes were measured`);
    assert.ok(held < queue.sizeBytes, `${held} bytes are held, ${queue.sizeBytes} counted`);
    assert.ok(queue.sizeBytes >= COMMANDS * (bytes.length + QUEUED_COMMAND_BYTES));
  });
}
