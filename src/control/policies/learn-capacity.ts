/**
 * ECPU per second that one node can do, learned from nodes at work: ECPU over utilisation. A node that does little says
 * little (each turn of its event loop serves few clients), so a sample weighs with the square of its utilisation. Which of
 * the last seconds a utilisation is of is not known: where their ECPU differs, the sample says only between what the capacity
 * is, and nothing to an estimate that lies there. Else each wave of load would move the estimate, and the shards with it.
 */
import type { CapacityView } from './capacity-view.ts';
import { nodeCapacity, relievedShards } from './node-capacity.ts';
import type { PlannerParams } from './planner-params.ts';
import {
  RECENT_SAMPLES,
  type CapacityState,
  type PlannerState,
  type ShardMemory,
} from './planner-state.ts';
import type { ShardReading } from './read-capacity.ts';
import type { SlotSums } from './slot-sums.ts';

const MEANINGFUL_UTILISATION = 0.1;
/** Weight of one new sample at or above the target utilisation. */
const NEW_SAMPLE_WEIGHT = 0.2;
const FIRST_SAMPLE_STRENGTH = 0.25;
/** Nodes are asked once a second, and shown once a second: the second that a utilisation is of began so long ago at the most. */
const UTILISATION_AGE_MS = 4_000;
const COST_WEIGHT = 0.1;
/** A shard of dear commands may be taken for so many times dearer than its ECPU, no more. */
const COST_FACTOR_MAXIMUM = 3;

/** What the nodes with so many io-threads do, summed up; least and most are of the seconds that the utilisation may be of. */
interface Work {
  readonly ecpu: number;
  readonly leastEcpu: number;
  readonly mostEcpu: number;
  readonly utilisation: number;
  readonly nodes: number;
}

const NO_WORK: Work = { ecpu: 0, leastEcpu: 0, mostEcpu: 0, utilisation: 0, nodes: 0 };

export function learnCapacity(
  view: CapacityView,
  sums: SlotSums,
  before: PlannerState,
  params: PlannerParams,
): CapacityState {
  const state = before.capacity;
  const atLeast = new Map<number, number>();
  const work = new Map<number, Work>();
  const moving = new Set(view.jobs.flatMap((job) => job.occupied));
  const relieved = relievedShards(view);
  for (const [index, { shard, primary }] of view.shards.entries()) {
    const utilisation = primary?.utilisation ?? null;
    // In a migration part of the utilisation is the migration's.
    if (primary === null || utilisation === null || moving.has(shard) || relieved.has(shard))
      continue;
    const ecpu = sums.ecpu[index]!;
    if (ecpu <= 0) continue;
    if (utilisation < MEANINGFUL_UTILISATION) {
      const least = leastRecentEcpu(before.shards[shard]);
      if (least === null) continue;
      const { ioThreads } = primary;
      const bound = least / MEANINGFUL_UTILISATION;
      atLeast.set(ioThreads, Math.max(bound, atLeast.get(ioThreads) ?? 0));
      continue;
    }
    const recent = [...(before.shards[shard]?.recentEcpu ?? []), ecpu];
    const sum = work.get(primary.ioThreads) ?? NO_WORK;
    work.set(primary.ioThreads, {
      ecpu: sum.ecpu + ecpu,
      leastEcpu: sum.leastEcpu + Math.min(...recent),
      mostEcpu: sum.mostEcpu + Math.max(...recent),
      utilisation: sum.utilisation + utilisation,
      nodes: sum.nodes + 1,
    });
  }
  const byIoThreads: Record<string, number> = { ...state.byIoThreads };
  for (const [ioThreads, { ecpu, leastEcpu, mostEcpu, utilisation, nodes }] of work) {
    const strength = Math.min(1, (utilisation / nodes / params.targetUtilisation) ** 2);
    const known = state.byIoThreads[ioThreads];
    if (known === undefined) {
      // The first figure of nodes at work beats any guess.
      if (strength >= FIRST_SAMPLE_STRENGTH) byIoThreads[ioThreads] = ecpu / utilisation;
      continue;
    }
    const seen = Math.min(mostEcpu / utilisation, Math.max(leastEcpu / utilisation, known));
    byIoThreads[ioThreads] = known + (seen - known) * NEW_SAMPLE_WEIGHT * strength;
  }
  // A node that is hardly busy with so much can do ten times that. Nodes at work know better, where there are any.
  for (const [ioThreads, bound] of atLeast) {
    if (work.has(ioThreads)) continue;
    const capacity = byIoThreads[ioThreads] ?? nodeCapacity({ byIoThreads }, ioThreads, params);
    if (bound > capacity) byIoThreads[ioThreads] = bound;
  }
  return { byIoThreads };
}

/** The least ECPU of all seconds that a utilisation shown now may be of; null: not enough of them are known. */
function leastRecentEcpu(memory: ShardMemory | undefined): number | null {
  const recent = memory?.recentEcpu ?? [];
  return recent.length < RECENT_SAMPLES ? null : Math.min(...recent);
}

/**
 * What a shard's requests cost over what their ECPU says: utilisation over the one that its ECPU would make. Smoothed over
 * many samples, for each is one second's chance; none is taken in whose utilisation may be of before its last job.
 */
export function learnCostFactor(
  shard: ShardReading,
  before: ShardMemory | undefined,
  { nowMs }: CapacityView,
  params: PlannerParams,
): number | undefined {
  const known = before?.costFactor;
  const { utilisation, ecpu, capacityEcpu, relieved, idle } = shard;
  const settledMs = nowMs - (before?.occupiedAtMs ?? -Infinity);
  if (utilisation === null || ecpu <= 0 || relieved || !idle || settledMs < UTILISATION_AGE_MS)
    return known;
  if (utilisation < MEANINGFUL_UTILISATION) return known;
  const strength = Math.min(1, (utilisation / params.targetUtilisation) ** 2);
  const seen = (utilisation * capacityEcpu) / ecpu;
  const bounded = Math.min(COST_FACTOR_MAXIMUM, Math.max(1 / COST_FACTOR_MAXIMUM, seen));
  return (known ?? 1) + (bounded - (known ?? 1)) * COST_WEIGHT * strength;
}
