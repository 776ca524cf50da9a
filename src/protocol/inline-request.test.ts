import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { inlineToResp, splitInline } from './inline-request.ts';
import { encodeRequest } from './request-encoder.ts';

function split(line: string): string[] | null {
  return splitInline(Buffer.from(line, 'latin1'))?.map((word) => word.toString('latin1')) ?? null;
}

/** As sdscatrepr of the engine writes a string. */
function doubleQuoted(bytes: Uint8Array): string {
  const escapes: Record<number, string> = {
    10: '\\n',
    13: '\\r',
    9: '\\t',
    7: '\\a',
    8: '\\b',
    34: '\\"',
    92: '\\\\',
  };
  const text = Array.from(bytes, (byte) => {
    if (escapes[byte] !== undefined) return escapes[byte];
    return byte >= 32 && byte < 127
      ? String.fromCharCode(byte)
      : `\\x${byte.toString(16).padStart(2, '0')}`;
  });
  return `"${text.join('')}"`;
}

test('words, quotes and escapes are split as sdssplitargs does', () => {
  assert.deepEqual(split('SET k v'), ['SET', 'k', 'v']);
  assert.deepEqual(split('  SET\tk \v v  '), ['SET', 'k', 'v']);
  assert.deepEqual(split(''), []);
  assert.deepEqual(split('   '), []);
  assert.deepEqual(split(String.raw`set k "a\x00\xfF\n\r\t\b\a\"\\\q"`), [
    'set',
    'k',
    'a\0\xff\n\r\t\b\x07"\\q',
  ]);
  assert.deepEqual(split(String.raw`set k 'a\'b\n"c'`), ['set', 'k', 'a\'b\\n"c']);
  assert.deepEqual(split('set "" \'\''), ['set', '', '']);
  assert.deepEqual(split('a"b"'), ['ab']);
  assert.deepEqual(split(String.raw`"\xg1"`), ['xg1']);
  assert.deepEqual(split('a\0b c'), ['a']);
});

test('a word goes on after its closing quote; the last byte of a line closes', () => {
  assert.deepEqual(split(`a"b c"d'e f'`), ['ab cde f']);
  assert.deepEqual(split(`""x ''`), ['x', '']);
  assert.deepEqual(split(String.raw`"a\"`), ['a\\']);
  assert.deepEqual(split(String.raw`'a\'`), ['a\\']);
  assert.deepEqual(split(String.raw`'a\'b'`), ["a'b"]);
});

test('quotes that do not close are refused', () => {
  for (const line of ['"a', "'a", '"a\\"b', "'a\\'b", '"', 'a "b"c" d', '"a\0"', '"a\\" ']) {
    assert.equal(split(line), null, line);
  }
});

test('any arguments, quoted, come back', () => {
  const word = fc.uint8Array({ maxLength: 30 });
  fc.assert(
    fc.property(
      fc.array(word, { minLength: 1, maxLength: 6 }),
      fc.constantFrom(' ', '\t ', '  '),
      (words, space) => {
        const line = Buffer.from(words.map(doubleQuoted).join(space), 'latin1');
        const buffers = words.map((each) => Buffer.from(each));
        assert.deepEqual(splitInline(line), buffers);
        assert.deepEqual(inlineToResp(line), encodeRequest(words));
      },
    ),
    { numRuns: 500 },
  );
});

test('single quotes keep everything but the quote', () => {
  const text = fc
    .uint8Array({ min: 1, maxLength: 30 })
    .map((bytes) => Buffer.from(bytes).toString('latin1').replaceAll('\\', '/'));
  fc.assert(
    fc.property(text, (word) => {
      assert.deepEqual(split(`'${word.replaceAll("'", "\\'")}'`), [word]);
    }),
  );
});

test('any line is split or refused, and never into more words than it has gaps', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 60 }), (line) => {
      const words = splitInline(line);
      assert.ok(words === null || words.length <= line.length);
    }),
  );
});
