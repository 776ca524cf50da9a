/**
 * ECPU per second that one node can do, learned from nodes at work: ECPU over utilisation. A node that does little says
 * little (each turn of its event loop serves few clients), so a sample weighs with the square of its utilisation.
 */
import type { CapacityView } from './capacity-view.ts';
import type { PlannerParams } from './planner-params.ts';
import type { CapacityState } from './planner-state.ts';
import type { SlotSums } from './slot-sums.ts';

const MEANINGFUL_UTILISATION = 0.1;
/** Weight of one new sample at or above the target utilisation. */
const NEW_SAMPLE_WEIGHT = 0.2;
const FIRST_SAMPLE_STRENGTH = 0.25;

export function learnCapacity(
  view: CapacityView,
  sums: SlotSums,
  state: CapacityState,
  params: PlannerParams,
): CapacityState {
  const work = new Map<number, { ecpu: number; utilisation: number; nodes: number }>();
  const moving = new Set(view.jobs.flatMap((job) => job.occupied));
  const relieved = relievedShards(view);
  for (const [index, { shard, primary }] of view.shards.entries()) {
    const utilisation = primary?.utilisation ?? null;
    // In a migration part of the utilisation is the migration's.
    if (primary === null || utilisation === null || moving.has(shard) || relieved.has(shard))
      continue;
    const ecpu = sums.ecpu[index]!;
    if (utilisation < MEANINGFUL_UTILISATION || ecpu <= 0) continue;
    const sum = work.get(primary.ioThreads) ?? { ecpu: 0, utilisation: 0, nodes: 0 };
    work.set(primary.ioThreads, {
      ecpu: sum.ecpu + ecpu,
      utilisation: sum.utilisation + utilisation,
      nodes: sum.nodes + 1,
    });
  }
  const byIoThreads: Record<string, number> = { ...state.byIoThreads };
  for (const [ioThreads, { ecpu, utilisation, nodes }] of work) {
    const seen = ecpu / utilisation;
    const strength = Math.min(1, (utilisation / nodes / params.targetUtilisation) ** 2);
    const before = state.byIoThreads[ioThreads];
    if (before === undefined) {
      // The first figure of nodes at work beats any guess.
      if (strength >= FIRST_SAMPLE_STRENGTH) byIoThreads[ioThreads] = seen;
    } else byIoThreads[ioThreads] = before + (seen - before) * NEW_SAMPLE_WEIGHT * strength;
  }
  return { byIoThreads };
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
