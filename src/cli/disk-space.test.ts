import assert from 'node:assert/strict';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { CliError } from './cli-error.ts';
import { freeBytes, nearestExisting, requireDiskSpace } from './disk-space.ts';

test('a disk that is nearly full is told as that', () => {
  assert.throws(
    () => requireDiskSpace('/d', 300_000),
    (error) =>
      error instanceof CliError &&
      error.code === 'DISK' &&
      error.message === 'The disk of /d is full: 293 KB are left, and Springtide needs 64 MB.',
  );
  requireDiskSpace('/d', 64 * 1024 ** 2);
});

test('a directory that is not there yet is measured where it would be made', () => {
  const absent = join(tmpdir(), 'springtide-absent', 'deeper');
  assert.equal(nearestExisting(absent), tmpdir());
  assert.ok(freeBytes(absent) >= 0);
});
