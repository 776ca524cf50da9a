import assert from 'node:assert/strict';
import { it } from 'node:test';
import { PromiseSink } from './promise-sink.ts';
import { RequestPool } from './request.ts';

it('a reply in parts for which there is no room becomes an error, and ends nothing', (t) => {
  const replies: string[] = [];
  const sink = new PromiseSink((reply) => replies.push(reply.toString()), new RequestPool());
  const parts = [Buffer.from('$2\r\n'), Buffer.from('ab\r\n')];
  const answer = (): void => {
    const request = new RequestPool().take();
    request.replyParts = parts;
    sink.onReply(request, parts[0]!, 0, parts[0]!.length);
  };
  answer();
  t.mock.method(Buffer, 'concat', () => {
    throw new RangeError('Array buffer allocation failed');
  });
  answer();
  assert.deepEqual(replies, ['$2\r\nab\r\n', '-ERR Array buffer allocation failed\r\n']);
});

it('of a reply that nobody waits for any more the rest is not kept', () => {
  let abandoned = false;
  const replies: string[] = [];
  const sink = new PromiseSink((reply) => replies.push(reply.toString()), new RequestPool(), {
    abandoned: () => abandoned,
  });
  assert.equal(sink.onPiece(), false);
  abandoned = true;
  assert.equal(sink.onPiece(), true);
  sink.onLastPiece(new RequestPool().take());
  assert.match(replies.join(), /^-INDOUBT /);
});
