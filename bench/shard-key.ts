/** A key of shard `shard` of `shards`, whose equal ranges of slots are in order; not near the ends of its range. */
import { hashSlot, SLOT_COUNT } from '../src/protocol/hash-slot.ts';

export function shardKey(shard: number, shards: number): string {
  const width = SLOT_COUNT / shards;
  for (let i = 0; ; i++) {
    const key = Buffer.from(`k${i}`);
    const slot = hashSlot(key, 0, key.length);
    if (slot > shard * width + 2 && slot < (shard + 1) * width - 2) return key.toString();
  }
}
