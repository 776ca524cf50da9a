import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { encodeRequest } from './request-encoder.ts';
import {
  RequestScanner,
  SCAN_EMPTY,
  SCAN_ERROR,
  SCAN_INCOMPLETE,
  SCAN_INLINE,
  SCAN_REQUEST,
} from './request-scanner.ts';

/** Scans everything, the bytes arriving in chunks that end at `cuts`: the words of each request, or what went wrong. */
function scanAll(
  bytes: Buffer,
  cuts: readonly number[],
  authenticated = true,
): (string[] | string)[] {
  const scanner = new RequestScanner();
  scanner.authenticated = authenticated;
  const found: (string[] | string)[] = [];
  let start = 0;
  let mayHave = 0;
  scanner.begin(0);
  for (const end of [...cuts, bytes.length].sort((a, b) => a - b)) {
    // What is not received yet must not matter: scribble over it.
    const received = Buffer.alloc(bytes.length, '*');
    bytes.copy(received, 0, 0, end);
    while (start < end) {
      if (end - start < mayHave) break;
      const code = scanner.scan(received, end);
      if (code === SCAN_INCOMPLETE) {
        assert.ok(scanner.need > end - start, 'it asks for more than it has');
        mayHave = scanner.need;
        break;
      }
      mayHave = 0;
      if (code === SCAN_ERROR) return [...found, scanner.error];
      if (code === SCAN_REQUEST) {
        found.push(
          Array.from({ length: scanner.argc }, (_, i) =>
            received.toString('latin1', scanner.argStart[i], scanner.argEnd[i]),
          ),
        );
      } else if (code === SCAN_INLINE) {
        found.push(`inline ${received.toString('latin1', start, scanner.lineEnd)}`);
      } else {
        assert.equal(code, SCAN_EMPTY);
        found.push('empty');
      }
      start = scanner.end;
      scanner.begin(start);
    }
  }
  return found;
}

const argument = fc.oneof(
  fc.uint8Array({ maxLength: 40 }),
  fc.uint8Array({ minLength: 300, maxLength: 600 }),
);
const request = fc.array(argument, { minLength: 1, maxLength: 40 });

test('a request split at every byte has the same arguments', () => {
  const bytes = Buffer.concat([
    encodeRequest(['SET', 'k', '\r\n$3\r\n']),
    encodeRequest(['', '']),
    Buffer.from('*0\r\n*-1\r\nPING  x\r\n\n'),
    encodeRequest(['GET', 'k']),
  ]);
  const expected = [
    ['SET', 'k', '\r\n$3\r\n'],
    ['', ''],
    'empty',
    'empty',
    'inline PING  x',
    'inline ',
    ['GET', 'k'],
  ];
  assert.deepEqual(scanAll(bytes, []), expected);
  for (let cut = 0; cut <= bytes.length; cut++) assert.deepEqual(scanAll(bytes, [cut]), expected);
  assert.deepEqual(scanAll(bytes, Array.from(bytes.keys())), expected);
});

test('any requests, cut anywhere, are found again', () => {
  fc.assert(
    fc.property(
      fc.array(request, { minLength: 1, maxLength: 5 }),
      fc.array(fc.nat(5000)),
      (requests, cuts) => {
        const bytes = Buffer.concat(requests.map((words) => encodeRequest(words)));
        const expected = requests.map((words) =>
          words.map((word) => Buffer.from(word).toString('latin1')),
        );
        assert.deepEqual(
          scanAll(
            bytes,
            cuts.filter((cut) => cut < bytes.length),
          ),
          expected,
        );
      },
    ),
    { numRuns: 300 },
  );
});

test('arbitrary bytes give the same answer however they are cut', () => {
  const piece = fc.constantFrom(
    '*',
    '$',
    '1',
    '3',
    '-1',
    '\r\n',
    '\n',
    'a',
    ' ',
    '\0',
    '*1\r\n',
    '$1\r\n',
    'x\r\n',
  );
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 30 }), fc.array(fc.nat(80)), (pieces, cuts) => {
      const bytes = Buffer.from(pieces.join(''), 'latin1');
      assert.deepEqual(
        scanAll(
          bytes,
          cuts.filter((cut) => cut < bytes.length),
        ),
        scanAll(bytes, []),
      );
    }),
    { numRuns: 3000 },
  );
});

test('errors are in the words of the engine', () => {
  const cases: readonly [string, string][] = [
    ['*abc\r\n', 'invalid multibulk length'],
    ['*3x\r\n', 'invalid multibulk length'],
    ['*\r\n', 'invalid multibulk length'],
    ['*01\r\n', 'invalid multibulk length'],
    ['*+1\r\n', 'invalid multibulk length'],
    ['*99999999999999999999\r\n', 'invalid multibulk length'],
    ['*2147483648\r\n', 'invalid multibulk length'],
    ['*1\r\n:1\r\n', "expected '$', got ':'"],
    // The byte as it came (asked of 9.1.2); only CR and LF become spaces, in the reply.
    ['*1\r\n\x07\r\n', "expected '$', got '\x07'"],
    ['*1\rx', 'invalid CRLF in request'],
    ['*1\r\n$4\rx', 'invalid CRLF in request'],
    ['*1\r\n$4\r\nPINGxx', 'invalid CRLF in request'],
    ['*1\r\n$4\r\nPING\r\r', 'invalid CRLF in request'],
    ['*1\r\n$4\r\nPING\n\n', 'invalid CRLF in request'],
    ['*1\r\n$x\r\n', 'invalid bulk length'],
    ['*1\r\n$-1\r\n', 'invalid bulk length'],
    ['*1\r\n$536870913\r\n', 'invalid bulk length'],
    [`*${'1'.repeat(65_540)}`, 'too big mbulk count string'],
    [`*1\r\n$${'1'.repeat(65_540)}`, 'too big bulk count string'],
    ['x'.repeat(65_540), 'too big inline request'],
  ];
  for (const [text, words] of cases) {
    assert.deepEqual(
      scanAll(Buffer.from(text), []),
      [`ERR Protocol error: ${words}`],
      JSON.stringify(text.slice(0, 20)),
    );
  }
});

test('before the login ten arguments of 16 KiB are all that is taken', () => {
  const error = (what: string) => [`ERR Protocol error: unauthenticated ${what}`];
  assert.deepEqual(scanAll(Buffer.from('*11\r\n'), [], false), error('multibulk length'));
  assert.deepEqual(scanAll(Buffer.from('*1\r\n$16385\r\n'), [], false), error('bulk length'));
  const allowed = Array.from({ length: 10 }, () => 'x'.repeat(16_384));
  assert.deepEqual(scanAll(encodeRequest(allowed), [], false), [allowed]);
  assert.deepEqual(scanAll(encodeRequest([...allowed, 'x']), [], true), [[...allowed, 'x']]);
});

test('a scanner adopted in the middle goes on where the other stopped', () => {
  fc.assert(
    fc.property(fc.nat(50), request, fc.nat(5000), (before, words, at) => {
      const bytes = encodeRequest(words);
      const cut = at % bytes.length;
      const first = Buffer.concat([Buffer.alloc(before), bytes.subarray(0, cut)]);
      const scanner = new RequestScanner();
      scanner.begin(before);
      assert.equal(scanner.scan(first, first.length), SCAN_INCOMPLETE);
      const heir = new RequestScanner();
      heir.adopt(scanner);
      scanner.begin(0);
      assert.equal(heir.scan(bytes, bytes.length), SCAN_REQUEST);
      assert.equal(heir.end, bytes.length);
      assert.deepEqual(
        words.map((_, i) => bytes.subarray(heir.argStart[i], heir.argEnd[i])),
        words.map((word) => Buffer.from(word)),
      );
    }),
    { numRuns: 300 },
  );
});
