import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DiskWatch } from './disk-watch.ts';

const MIB = 1024 ** 2;

test('a disk that fills is told once, and once when there is room again', () => {
  const kinds: string[] = [];
  let freeBytes = 100 * MIB;
  const watch = new DiskWatch({
    dataDir: '/data',
    event: (kind) => void kinds.push(kind),
    freeBytes: () => freeBytes,
  });
  for (const left of [100, 16, 15, 0, 15, 16, 17, 16, 15]) {
    freeBytes = left * MIB;
    watch.look();
  }
  assert.deepEqual(kinds, ['disk-full', 'disk-has-room', 'disk-full']);
});
