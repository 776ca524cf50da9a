import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FIRST_BATCH, firstBatch, nextBatchSize } from './move-keys.ts';

test('a batch is bounded in keys and in bytes; a key too large for any goes alone', () => {
  const size = { keys: 3, bytes: 100 };
  assert.equal(firstBatch([10, 10, 10, 10], size), 3);
  assert.equal(firstBatch([60, 50, 10], size), 1);
  assert.equal(firstBatch([60, 40, 10], size), 2);
  assert.equal(firstBatch([1_000_000, 1], size), 1);
  assert.equal(firstBatch([10, 1_000_000], size), 1);
  assert.equal(firstBatch([], size), 0);
});

test('quick batches grow up to a bound, slow ones shrink at once', () => {
  let size = FIRST_BATCH;
  for (let i = 0; i < 20; i++) size = nextBatchSize(size, 0.5, true);
  assert.deepEqual(size, { keys: 512, bytes: 1024 ** 2 });
  assert.deepEqual(nextBatchSize(size, 10, true), { keys: 256, bytes: 512 * 1024 });
  // However long the last one took, one look does not end in single keys.
  assert.deepEqual(nextBatchSize(size, 10_000, true), { keys: 128, bytes: 256 * 1024 });
  assert.deepEqual(nextBatchSize(size, 0.5, false), size);
  for (let i = 0; i < 20; i++) size = nextBatchSize(size, 1000, true);
  assert.deepEqual(size, { keys: 1, bytes: 16 * 1024 });
});
