import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { REPLY_INCOMPLETE, REPLY_MALFORMED, ReplyScanner } from './reply-scanner.ts';
import { resp2Value, resp3Value } from './resp-arbitrary.ts';
import { encodeReply } from './resp-value.ts';

/** Ends of the replies in `bytes`, received in chunks that end at `cuts`. */
function endsOf(bytes: Buffer, cuts: readonly number[]): number[] {
  const scanner = new ReplyScanner();
  const ends: number[] = [];
  let from = 0;
  for (const to of [...cuts, bytes.length].sort((a, b) => a - b)) {
    let pos = from;
    while (pos < to) {
      const end = scanner.scan(bytes, pos, to);
      if (end === REPLY_INCOMPLETE) break;
      assert.notEqual(end, REPLY_MALFORMED);
      ends.push(end);
      pos = end;
    }
    from = to;
  }
  assert.equal(scanner.midReply, false);
  return ends;
}

const SAMPLES = [
  '+OK\r\n', '-ERR no\r\n', ':-12\r\n', '$5\r\nhello\r\n', '$0\r\n\r\n', '$-1\r\n', '*-1\r\n', '*0\r\n',
  '*2\r\n$1\r\na\r\n*1\r\n:1\r\n', '_\r\n', '#t\r\n', ',3.25\r\n', ',inf\r\n', '(12345678901234567890\r\n',
  '!8\r\nERR a\r\nb\r\n', '=7\r\ntxt:abc\r\n', '~2\r\n:1\r\n:2\r\n', '>2\r\n$1\r\na\r\n$-1\r\n', '~0\r\n', '%0\r\n',
  '%2\r\n+a\r\n*0\r\n+b\r\n%1\r\n:1\r\n_\r\n', '|1\r\n+ttl\r\n:3\r\n$1\r\nx\r\n', '*1\r\n|1\r\n+a\r\n+b\r\n:1\r\n',
  '$12\r\n*1\r\n$3\r\n\r\n\r\n\r\n',
]; // prettier-ignore

test('every type of RESP2 and RESP3, cut at every byte', () => {
  const bytes = Buffer.from(SAMPLES.join(''));
  let at = 0;
  const expected = SAMPLES.map((sample) => (at += sample.length));
  assert.deepEqual(endsOf(bytes, []), expected);
  for (let cut = 0; cut <= bytes.length; cut++) assert.deepEqual(endsOf(bytes, [cut]), expected);
  assert.deepEqual(endsOf(bytes, Array.from(bytes.keys())), expected);
});

test('any replies, cut anywhere, end where they end', () => {
  const cuts = fc.array(fc.nat(3000));
  for (const [version, value] of [
    [2, resp2Value],
    [3, resp3Value],
  ] as const) {
    fc.assert(
      fc.property(fc.array(value, { minLength: 1, maxLength: 5 }), cuts, (values, at) => {
        const replies = values.map((each) => encodeReply(each, version));
        const bytes = Buffer.concat(replies);
        let sum = 0;
        const expected = replies.map((reply) => (sum += reply.length));
        assert.deepEqual(
          endsOf(
            bytes,
            at.filter((cut) => cut < bytes.length),
          ),
          expected,
        );
      }),
      { numRuns: 300 },
    );
  }
});

test('what is not RESP is malformed, and never read past', () => {
  const scanner = new ReplyScanner();
  for (const text of ['hello\r\n', '\r\n', '$x\r\n', '*1\r\nhello', 'HTTP/1.1 200\r\n']) {
    scanner.reset();
    const bytes = Buffer.from(text);
    assert.equal(scanner.scan(bytes, 0, bytes.length), REPLY_MALFORMED, text);
  }
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 100 }), (bytes) => {
      scanner.reset();
      const end = scanner.scan(bytes, 0, bytes.length);
      assert.ok(
        end === REPLY_INCOMPLETE || end === REPLY_MALFORMED || (end > 0 && end <= bytes.length),
      );
    }),
  );
});
