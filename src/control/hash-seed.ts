/**
 * The hash seed of all nodes of a data directory: SCAN cursors keep their meaning on another node, after a failover, a
 * restart, or when a slot moves. It is common to all caches, because a warm node does not know yet whose it will be, and
 * the engine takes it at its start alone. It is no secret of a cache: it may show in cursors.
 */
import { randomBytes } from 'node:crypto';
import type { Store } from './store.ts';

export function hashSeedOf(store: Store): string {
  return store.secret('hash-seed', () => randomBytes(16).toString('hex'));
}
