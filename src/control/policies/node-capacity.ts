/** What a node can do with so many io-threads, from what was learned of others; and whose load says nothing of it. */
import type { CapacityView } from './capacity-view.ts';
import type { PlannerParams } from './planner-params.ts';
import type { CapacityState } from './planner-state.ts';

/** ECPU per second of a node with so many io-threads at full utilisation. */
export function nodeCapacity(
  state: CapacityState,
  ioThreads: number,
  params: PlannerParams,
): number {
  const learned = state.byIoThreads[ioThreads];
  if (learned !== undefined) return learned;
  let nearest: number | null = null;
  for (const key of Object.keys(state.byIoThreads)) {
    const threads = Number(key);
    if (nearest === null || Math.abs(threads - ioThreads) < Math.abs(nearest - ioThreads))
      nearest = threads;
  }
  const gain = ioThreadGain(ioThreads, params);
  if (nearest === null) return params.nodeEcpu * gain;
  return (state.byIoThreads[nearest]! * gain) / ioThreadGain(nearest, params);
}

export function ioThreadGain(ioThreads: number, params: PlannerParams): number {
  const gains = params.ioThreadGain;
  return gains[Math.min(Math.max(1, ioThreads), gains.length) - 1] ?? 1;
}

/** Shards that others help: replicas that were added for a hot key, near caches. Their ECPU is not all theirs. */
export function relievedShards(view: CapacityView): ReadonlySet<number> {
  return new Set([
    ...view.nearCachedSlots.map((slot) => view.slots.owners[slot]!),
    ...view.shards
      .filter((shard) => shard.replicas.length > view.replicasWanted)
      .map(({ shard }) => shard),
  ]);
}
