import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { resp2Value, resp3Value } from './resp-arbitrary.ts';
import {
  decodeReply,
  encodeReply,
  NULL_ARRAY,
  RespDouble,
  RespError,
  RespMap,
  RespPush,
  RespSet,
  RespStatus,
  RespVerbatim,
} from './resp-value.ts';

test('what is encoded is decoded to the same value', () => {
  fc.assert(
    fc.property(resp2Value, (value) => assert.deepEqual(decodeReply(encodeReply(value, 2)), value)),
  );
  fc.assert(
    fc.property(resp3Value, (value) => assert.deepEqual(decodeReply(encodeReply(value, 3)), value)),
  );
});

test('RESP3 types become for RESP2 what the engine makes of them', () => {
  const cases = [
    [null, '$-1\r\n', '_\r\n'],
    [NULL_ARRAY, '*-1\r\n', '_\r\n'],
    [true, ':1\r\n', '#t\r\n'],
    [false, ':0\r\n', '#f\r\n'],
    [new RespDouble('3.5'), '$3\r\n3.5\r\n', ',3.5\r\n'],
    [new RespVerbatim('txt', 'ab'), '$2\r\nab\r\n', '=6\r\ntxt:ab\r\n'],
    [RespMap.of({ a: 1 }), '*2\r\n$1\r\na\r\n:1\r\n', '%1\r\n$1\r\na\r\n:1\r\n'],
    [new RespSet([1]), '*1\r\n:1\r\n', '~1\r\n:1\r\n'],
    [new RespPush([1]), '*1\r\n:1\r\n', '>1\r\n:1\r\n'],
    [new RespStatus('OK'), '+OK\r\n', '+OK\r\n'],
    [new RespError('ERR x'), '-ERR x\r\n', '-ERR x\r\n'],
    ['é', '$2\r\né\r\n', '$2\r\né\r\n'],
  ] as const;
  for (const [value, resp2, resp3] of cases) {
    assert.equal(encodeReply(value, 2).toString(), resp2);
    assert.equal(encodeReply(value, 3).toString(), resp3);
  }
});

test('attributes are passed over, blob errors are errors', () => {
  assert.equal(decodeReply(Buffer.from('|1\r\n+ttl\r\n:3\r\n:7\r\n')), 7);
  assert.deepEqual(decodeReply(Buffer.from('!5\r\nERR x\r\n')), new RespError('ERR x'));
  assert.equal(new RespError('MOVED 1 a:2').kind, 'MOVED');
});

test('what is not RESP throws', () => {
  assert.throws(() => decodeReply(Buffer.from('hello\r\n')), TypeError);
  assert.throws(() => decodeReply(Buffer.from('+OK')), TypeError);
});
