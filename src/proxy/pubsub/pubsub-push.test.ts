import assert from 'node:assert/strict';
import { test } from 'node:test';
import { assert as check, constantFrom, property, uint8Array } from 'fast-check';
import { encodeReply, RespPush } from '../../protocol/resp-value.ts';
import { asResp2, isPush, readPush } from './pubsub-push.ts';

const bytes = uint8Array({ maxLength: 300 });

test('the first two elements of any push are read, whatever bytes they hold', () => {
  check(
    property(
      constantFrom('message', 'pmessage', 'sunsubscribe'),
      bytes,
      bytes,
      (event, name, payload) => {
        const push = encodeReply(new RespPush([event, name, payload]), 3);
        assert.ok(isPush(push));
        assert.deepEqual(readPush(push), { event, name: Buffer.from(name).toString('latin1') });
      },
    ),
  );
});

test('a push that names nothing is read, too', () => {
  assert.deepEqual(readPush(Buffer.from('>3\r\n$11\r\nunsubscribe\r\n_\r\n:0\r\n')), {
    event: 'unsubscribe',
    name: null,
  });
  assert.deepEqual(readPush(Buffer.from('>2\r\n$10\r\ninvalidate\r\n$-1\r\n')), {
    event: 'invalidate',
    name: null,
  });
});

test('a RESP2 client gets the same elements as an array, and the push stays as it was', () => {
  check(
    property(bytes, bytes, (name, payload) => {
      const push = new RespPush(['message', name, payload]);
      const encoded = encodeReply(push, 3);
      assert.deepEqual(asResp2(encoded), encodeReply(push, 2));
      assert.ok(isPush(encoded));
    }),
  );
});

test('an error that stands in a push’s place is none', () => {
  assert.ok(!isPush(Buffer.from('-NOPERM\r\n')));
});
