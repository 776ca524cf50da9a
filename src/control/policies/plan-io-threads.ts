/**
 * Up before out: io-threads at run time, within what the host has. Up at the first sample, at once to what is needed; down
 * one step at a time, after quiet, and only where the utilisation after it is still far from going up again.
 */
import type { PlannedCapacityStep } from './capacity-view.ts';
import { ioThreadGain } from './node-capacity.ts';
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
  /** ECPU per second that moves of this plan bring to each shard, by number. */
  incoming: ReadonlyMap<number, number>,
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
    if (primary === null || (utilisation === null && shard.slots > 0)) {
      quietSinceMs.set(shard.shard, null);
      continue;
    }
    const brought = (incoming.get(shard.shard) ?? 0) / shard.capacityEcpu;
    const expected = Math.max((utilisation ?? 0) + brought, minimumUtilisation(shard, reading));
    if (expected > params.ioUpUtilisation && ioThreads < params.ioThreadsMaximum) {
      quietSinceMs.set(shard.shard, null);
      const wanted = threadsFor(shard, expected, brought > 0 ? 1 : growth, reading);
      const left = threadsLeft.get(primary.hostId) ?? 0;
      const cores = coresLeft.get(primary.hostId) ?? 0;
      const full = reading.rooms.get(primary.hostId)?.full ?? true;
      const given = full ? 0 : Math.min(wanted - ioThreads, left, Math.max(1, Math.floor(cores)));
      if (given <= 0) continue;
      threadsLeft.set(primary.hostId, left - given);
      coresLeft.set(primary.hostId, cores - given);
      steps.push({
        step: { kind: 'set-io-threads', nodeId: primary.nodeId, ioThreads: ioThreads + given },
        reason: `${primary.nodeId} is at ${utilisation === null ? 'an unknown utilisation' : percent(utilisation)}${expected > (utilisation ?? 0) ? `, ${percent(expected)} is to come` : ''} (above ${percent(params.ioUpUtilisation)}); its host has ${left} threads left`,
        rejected: [
          'another shard: moving slots takes seconds, threads take milliseconds',
          ...(given < wanted - ioThreads
            ? [`${wanted} io-threads: the host has no more to give`]
            : []),
        ],
      });
      continue;
    }
    const down = downUtilisation(shard, expected, reading);
    const quiet =
      ioThreads > 1 &&
      expected < params.ioDownUtilisation &&
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
function threadsFor(
  shard: ShardReading,
  utilisation: number,
  growth: number,
  reading: CapacityReading,
): number {
  const { params } = reading;
  if ((shard.utilisation ?? 0) >= params.saturatedUtilisation) return params.ioThreadsMaximum;
  const gainNow = ioThreadGain(shard.ioThreads, params);
  for (let threads = shard.ioThreads + 1; threads < params.ioThreadsMaximum; threads += 1) {
    const after = (utilisation * growth * gainNow) / ioThreadGain(threads, params);
    if (after <= params.targetUtilisation) return threads;
  }
  return params.ioThreadsMaximum;
}

/** Utilisation that the shard's part of the minimum in force would give it: a minimum is ready before its load comes. */
function minimumUtilisation(shard: ShardReading, reading: CapacityReading): number {
  const minimum = reading.view.limits.ecpuPerSecondMinimum;
  const staying = reading.shards.filter(({ view }) => view.state !== 'draining').length;
  if (minimum === 0 || shard.view.state === 'draining') return 0;
  return minimum / Math.max(1, staying) / shard.capacityEcpu;
}

function downUtilisation(
  shard: ShardReading,
  utilisation: number,
  reading: CapacityReading,
): number {
  const { params } = reading;
  return (
    (utilisation * ioThreadGain(shard.ioThreads, params)) /
    ioThreadGain(shard.ioThreads - 1, params)
  );
}

export function percent(share: number): string {
  return `${Math.round(share * 100)} %`;
}
