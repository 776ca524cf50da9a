import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { hashSlot, SLOT_COUNT } from './hash-slot.ts';

function slotOf(key: string): number {
  const bytes = Buffer.from(key, 'latin1');
  return hashSlot(bytes, 0, bytes.length);
}

test('the known vectors', () => {
  // 0x31C3 is the check value of CRC16/XMODEM in the cluster specification; the others are CLUSTER KEYSLOT's answers.
  assert.equal(slotOf('123456789'), 0x31c3);
  assert.equal(slotOf(''), 0);
  assert.equal(slotOf('foo'), 12_182);
  assert.equal(slotOf('bar'), 5061);
  assert.equal(slotOf('somekey'), 11_058);
  assert.equal(slotOf('foo{hash_tag}'), 2515);
});

test('a tag is what stands between the first { and the next }', () => {
  assert.equal(slotOf('{user1000}.following'), slotOf('user1000'));
  assert.equal(slotOf('foo{bar}{zap}'), slotOf('bar'));
  assert.equal(slotOf('foo{{bar}}zap'), slotOf('{bar'));
  assert.notEqual(slotOf('foo{}{bar}'), slotOf('bar'));
  assert.notEqual(slotOf('foo}{bar'), slotOf('bar'));
  assert.notEqual(slotOf('{bar'), slotOf('bar'));
});

test('any key has a slot, the same wherever it stands, and a tag decides alone', () => {
  const bytes = fc.uint8Array({ maxLength: 50 });
  fc.assert(
    fc.property(bytes, bytes, bytes, (before, key, after) => {
      const all = Buffer.concat([before, key, after]);
      const slot = hashSlot(all, before.length, before.length + key.length);
      assert.equal(slot, hashSlot(key, 0, key.length));
      assert.ok(slot >= 0 && slot < SLOT_COUNT);
    }),
  );
  const plain = bytes.filter((each) => !each.includes(123) && !each.includes(125));
  fc.assert(
    fc.property(
      plain.filter((each) => each.length > 0),
      plain,
      bytes,
      (tag, before, after) => {
        const key = Buffer.concat([before, Buffer.from('{'), tag, Buffer.from('}'), after]);
        assert.equal(hashSlot(key, 0, key.length), hashSlot(tag, 0, tag.length));
      },
    ),
  );
});
