/** What a shard may be given by a move of slots: load, bytes of one job, memory. Pure. */
import type { CapacityReading, ShardReading } from './read-capacity.ts';
import type { Weighed } from './weigh-shards.ts';

/** Load that a shard may take over from a draining one. */
export function roomFor(one: Weighed, reading: CapacityReading): number {
  return reading.params.targetUtilisation * one.shard.potentialEcpu - one.weight;
}

export function bytesOfJob({ params }: CapacityReading): number {
  return ((params.moveMaximumMs - params.moveFixedMs) / 1000) * params.moveBytesPerSecond;
}

/** Within the limit that it has now: one that grows later comes too late for slots that arrive at once. */
export function memoryRoom(shard: ShardReading, reading: CapacityReading): number {
  const { primary } = shard.view;
  if (primary === null || shard.usedMemoryBytes === null) return 0;
  const limit = primary.maxmemoryBytes || reading.params.shardMemoryMaximumBytes;
  return Math.max(0, limit * reading.params.memoryUp - shard.usedMemoryBytes);
}

export function fullness(shard: ShardReading): number {
  const limit = shard.view.primary?.maxmemoryBytes ?? 0;
  return limit === 0 || shard.usedMemoryBytes === null ? 0 : shard.usedMemoryBytes / limit;
}

export function canGrow(shard: ShardReading, reading: CapacityReading): boolean {
  const { primary } = shard.view;
  if (primary === null) return false;
  const room = reading.rooms.get(primary.hostId)?.memoryBytes ?? 0;
  return primary.maxmemoryBytes < reading.params.shardMemoryMaximumBytes && room > 0;
}
