import assert from 'node:assert/strict';
import { it } from 'node:test';
import { NearKey, type NearEntry } from './near-key.ts';

function entryOf(request: string, untilUs = 1e6, hits = 0): NearEntry {
  return {
    request: Buffer.from(request),
    user: 'default',
    database: 0,
    link: null as never,
    reply: Buffer.from('+OK\r\n'),
    resp2: undefined,
    untilUs,
    renewUs: untilUs,
    hits,
  };
}

it('finds a reply by the whole request, the user and the database', () => {
  const key = new NearKey(Buffer.from('k'), 7);
  const entry = entryOf('GET k');
  key.put(entry);
  const buf = Buffer.from('..GET k..');
  assert.equal(key.find(buf, 2, 7, 'default', 0), entry);
  assert.equal(key.find(buf, 2, 7, 'other', 0), undefined);
  assert.equal(key.find(buf, 2, 7, 'default', 1), undefined);
  assert.equal(key.find(buf, 2, 8, 'default', 0), undefined);
  assert.equal(key.find(Buffer.from('..GET l..'), 2, 7, 'default', 0), undefined);
});

it('keeps a bounded number of forms: the one that would go first makes room', () => {
  const key = new NearKey(Buffer.from('k'), 7);
  for (let i = 0; i < 16; i++) assert.deepEqual(key.put(entryOf(`HGET k ${i}`, 1000 - i)), []);
  const again = key.put(entryOf('HGET k 3', 2000));
  assert.deepEqual(
    again.map(({ request }) => request.toString()),
    ['HGET k 3'],
  );
  const oldest = key.put(entryOf('HGET k more', 2000));
  assert.deepEqual(
    oldest.map(({ request }) => request.toString()),
    ['HGET k 15'],
  );
  assert.equal(key.entries.length, 16);
});

it('a key that changes faster than it is read is left alone for longer and longer, until it is read again', () => {
  const key = new NearKey(Buffer.from('k'), 7);
  let pauseUs = 0;
  for (let i = 0; i < 12; i++) {
    key.put(entryOf('GET k', 1e9, 1));
    assert.equal(key.drop(0).length, 1);
    assert.ok(key.quietUntilUs >= pauseUs && key.quietUntilUs <= 1_100_000);
    pauseUs = key.quietUntilUs;
  }
  assert.ok(pauseUs > 500_000 && !key.mayFill(pauseUs - 1) && key.mayFill(pauseUs));
  key.put(entryOf('GET k', 1e9, 100));
  key.drop(2_000_000);
  assert.ok(key.mayFill(2_000_000));
});
