/**
 * Up before out: io-threads at run time, within what the host has. Up at the first sample, at once to what is needed; down
 * one step at a time, after quiet, and only where the utilisation after it is still far from going up again.
 */
import type { PlannedCapacityStep } from './capacity-view.ts';
import { ioThreadGain } from './learn-capacity.ts';
import type { CapacityReading, ShardReading } from './read-capacity.ts';
import type { PlannerState } from './planner-state.ts';

/** After going down, at most this share of the utilisation at which it would go up. */
const DOWN_MARGIN = 0.8;

export interface IoThreadsPlan {
  readonly steps: readonly PlannedCapacityStep[];
  /** Since when each shard could do with fewer; by shard number. */
  readonly quietSinceMs: ReadonlyMap<number, number | null>;
}

export function planIoThreads(
  reading: CapacityReading,
  state: PlannerState,
  /** Demand ahead over demand now, at least 1. */
  growth: number,
): IoThreadsPlan {
  const { params, view } = reading;
  const steps: PlannedCapacityStep[] = [];
  const quietSinceMs = new Map<number, number | null>();
  const threadsLeft = new Map([...reading.rooms].map(([id, room]) => [id, room.threads]));
  const coresLeft = new Map([...reading.rooms].map(([id, room]) => [id, room.cores]));
  // The busiest first: they get what the host has left.
  const byUtilisation = [...reading.shards].sort(
    (a, b) => (b.utilisation ?? 0) - (a.utilisation ?? 0) || a.shard - b.shard,
  );
  for (const shard of byUtilisation) {
    const { primary } = shard.view;
    const { utilisation, ioThreads } = shard;
    const before = state.shards[shard.shard]?.ioQuietSinceMs ?? null;
    if (primary === null || utilisation === null) {
      quietSinceMs.set(shard.shard, null);
      continue;
    }
    if (utilisation > params.ioUpUtilisation && ioThreads < params.ioThreadsMaximum) {
      quietSinceMs.set(shard.shard, null);
      const wanted = threadsFor(shard, growth, reading);
      const left = threadsLeft.get(primary.hostId) ?? 0;
      const cores = coresLeft.get(primary.hostId) ?? 0;
      const full = reading.rooms.get(primary.hostId)?.full ?? true;
      const given = full ? 0 : Math.min(wanted - ioThreads, left, Math.max(1, Math.floor(cores)));
      if (given <= 0) continue;
      threadsLeft.set(primary.hostId, left - given);
      coresLeft.set(primary.hostId, cores - given);
      steps.push({
        step: { kind: 'set-io-threads', nodeId: primary.nodeId, ioThreads: ioThreads + given },
        reason: `${primary.nodeId} is at ${percent(utilisation)} (above ${percent(params.ioUpUtilisation)}); its host has ${left} threads left`,
        rejected: [
          'another shard: moving slots takes seconds, threads take milliseconds',
          ...(given < wanted - ioThreads
            ? [`${wanted} io-threads: the host has no more to give`]
            : []),
        ],
      });
      continue;
    }
    const down = downUtilisation(shard, reading);
    const quiet =
      ioThreads > 1 &&
      utilisation < params.ioDownUtilisation &&
      down < params.ioUpUtilisation * DOWN_MARGIN;
    const since = quiet ? (before ?? view.nowMs) : null;
    if (since === null || view.nowMs - since < params.ioQuietMs) {
      quietSinceMs.set(shard.shard, since);
      continue;
    }
    quietSinceMs.set(shard.shard, null);
    steps.push({
      step: { kind: 'set-io-threads', nodeId: primary.nodeId, ioThreads: ioThreads - 1 },
      reason: `${primary.nodeId} was below ${percent(params.ioDownUtilisation)} for ${Math.round(params.ioQuietMs / 1000)} s`,
      rejected: ["leaving them: threads that poll take processor time from the host's other nodes"],
    });
  }
  return { steps, quietSinceMs };
}

/** The fewest threads that bring it below the target, with the growth to come. */
function threadsFor(shard: ShardReading, growth: number, reading: CapacityReading): number {
  const { params } = reading;
  const utilisation = shard.utilisation!;
  if (utilisation >= params.saturatedUtilisation) return params.ioThreadsMaximum;
  const gainNow = ioThreadGain(shard.ioThreads, params);
  for (let threads = shard.ioThreads + 1; threads < params.ioThreadsMaximum; threads += 1) {
    const after = (utilisation * growth * gainNow) / ioThreadGain(threads, params);
    if (after <= params.targetUtilisation) return threads;
  }
  return params.ioThreadsMaximum;
}

function downUtilisation(shard: ShardReading, reading: CapacityReading): number {
  const { params } = reading;
  return (
    (shard.utilisation! * ioThreadGain(shard.ioThreads, params)) /
    ioThreadGain(shard.ioThreads - 1, params)
  );
}

export function percent(share: number): string {
  return `${Math.round(share * 100)} %`;
}
