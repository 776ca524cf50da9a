/** From the planner's words to what control does. */
import { randomBytes } from 'node:crypto';
import type { CapacityStep } from './policies/capacity-view.ts';
import type { Step } from './step.ts';
import type { Store } from './store.ts';
import type { CacheRecord } from './store-records.ts';

/** Those that somebody carries out; the others are a word in the store, to the proxies or to users. */
export type ExecutedCapacityStep = Exclude<
  CapacityStep,
  { kind: 'drain-shard' | 'keep-shard' | 'watch-slots' | 'near-cache-slots' | 'raise-event' }
>;

/** @returns null when the node that it is about has gone */
export function stepOfPlan(
  store: Store,
  cache: CacheRecord,
  step: ExecutedCapacityStep,
): Step | null {
  switch (step.kind) {
    case 'set-io-threads': {
      const node = store.node(step.nodeId);
      return node === undefined
        ? null
        : { kind: 'set-shard', shard: node.shard, ioThreads: step.ioThreads };
    }
    case 'set-memory-limit':
      return { kind: 'set-shard', shard: step.shard, maxmemoryBytes: step.bytes };
    case 'add-shard':
      return {
        kind: 'add-shard',
        shard: step.shard,
        replicas: cache.spec.replicas,
        maxmemoryBytes: firstLimitBytes(store, cache),
      };
    case 'move-slots':
      return { kind: 'move-slots', from: step.from, to: step.to, ranges: step.ranges };
    case 'remove-shard':
      return { kind: 'remove-shard', shard: step.shard };
    case 'add-replica':
      return {
        kind: 'add-replica',
        shard: step.shard,
        nodeId: `${cache.name}-${randomBytes(4).toString('hex')}`,
        engineLine: cache.spec.engineVersion,
      };
    case 'remove-replica':
      return { kind: 'remove-node', nodeId: step.nodeId, why: 'it is not needed any more' };
  }
}

/** A new shard may hold an even part of what the cache may hold, until the planner has seen what it holds. */
function firstLimitBytes(store: Store, cache: CacheRecord): number {
  return Math.floor(cache.spec.limits.memoryMaximumBytes / (store.shards.of(cache.id).length + 1));
}
