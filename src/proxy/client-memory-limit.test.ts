import assert from 'node:assert/strict';
import { it } from 'node:test';
import { clientMemoryBytes } from './client-memory-limit.ts';

const GIB = 1024 ** 3;

it('clients may take a quarter of the memory, over all proxies, and never less than 256 MiB', () => {
  assert.equal(clientMemoryBytes(1, 16 * GIB, 0), 4 * GIB);
  assert.equal(clientMemoryBytes(2, 16 * GIB, 2 ** 63), 2 * GIB);
  assert.equal(clientMemoryBytes(2, 16 * GIB, 8 * GIB), GIB);
  assert.equal(clientMemoryBytes(4, GIB / 2, 0), GIB / 4);
});
