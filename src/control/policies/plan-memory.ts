/**
 * Memory works like load: a limit grows before anything is evicted, within what the host and the cache's maximum allow;
 * at the maximum the engine evicts keys with a time to live (volatile-lru) and then answers OOM, as AWS documents it
 * (DG Scaling.html). It shrinks after quiet, far enough from growing again.
 */
import type { CapacityEventName, PlannedCapacityStep } from './capacity-view.ts';
import { percent } from './plan-io-threads.ts';
import type { PlannerState } from './planner-state.ts';
import type { CapacityReading, ShardReading } from './read-capacity.ts';

/** A change smaller than this is not worth a step. */
const SMALLEST_CHANGE = 0.05;
/** Alarm at three quarters of a maximum (AWS's advice, DG Scaling.html). */
const APPROACHING = 0.75;

/** A limit below this part of an even share's is too small for the slots that may come. */
const EVEN_SMALL = 0.8;
/** Of what the hosts have left, for the shards of a cache without a maximum. */
const OPEN_SHARE = 0.25;

export interface MemoryPlan {
  readonly steps: readonly PlannedCapacityStep[];
  readonly events: readonly { readonly event: CapacityEventName; readonly message: string }[];
  readonly quietSinceMs: ReadonlyMap<number, number | null>;
}

export function planMemory(
  reading: CapacityReading,
  state: PlannerState,
  /** Expected used memory over used memory now, at least 1. */
  growth: number,
): MemoryPlan {
  const { params, view } = reading;
  const { memoryMaximumBytes: maximum, memoryMinimumBytes: minimum } = view.limits;
  const steps: PlannedCapacityStep[] = [];
  const quietSinceMs = new Map<number, number | null>();
  const present = reading.shards.filter((shard) => shard.view.primary !== null);
  const floor = Math.max(
    maximum > 0
      ? Math.min(params.shardMemoryMinimumBytes, Math.floor(maximum / Math.max(1, present.length)))
      : params.shardMemoryMinimumBytes,
    Math.ceil(minimum / Math.max(1, present.length)),
  );
  const spacious = maximum > 0 ? floor : Math.max(floor, openFloor(reading, present));
  // What a shard holds once slots are even: moves bring it all at once, so there is room before they do.
  const staying = reading.shards.filter((shard) => shard.view.state !== 'draining').length;
  const even = Math.ceil(reading.usedBytes / Math.max(1, staying) / params.memoryTarget);
  const roomLeft = new Map([...reading.rooms].map(([id, room]) => [id, room.memoryBytes]));
  const limits = present.reduce((sum, shard) => sum + shard.view.primary!.maxmemoryBytes, 0);
  let allowance = maximum > 0 ? maximum - limits : Number.POSITIVE_INFINITY;
  let starved = 0;

  for (const shard of present) {
    const primary = shard.view.primary!;
    const used = shard.usedMemoryBytes;
    const limit = primary.maxmemoryBytes;
    if (used === null) {
      quietSinceMs.set(shard.shard, null);
      continue;
    }
    const ahead = used * growth;
    const grows =
      limit === 0 || ahead > params.memoryUp * limit || limit < floor || limit < even * EVEN_SMALL;
    if (grows) {
      quietSinceMs.set(shard.shard, null);
      const wanted = Math.min(
        params.shardMemoryMaximumBytes,
        Math.max(spacious, even, Math.ceil(ahead / params.memoryTarget)),
      );
      // The host promised nothing yet for a node without a limit.
      const room = roomLeft.get(primary.hostId) ?? 0;
      const given = Math.floor(Math.min(wanted, limit + room, limit + Math.max(0, allowance)));
      if (given > limit * (1 + SMALLEST_CHANGE) && given > 0) {
        roomLeft.set(primary.hostId, room - (given - limit));
        allowance -= given - limit;
        steps.push({
          step: { kind: 'set-memory-limit', shard: shard.shard, bytes: given },
          reason: `shard ${shard.shard} uses ${mib(used)} MB${limit === 0 ? ' and has no limit' : ` of ${mib(limit)} MB`}, ${mib(ahead)} MB expected`,
          rejected: [
            'eviction: memory grows first',
            ...(given < wanted
              ? [
                  `${mib(wanted)} MB: ${allowance <= 0 ? "the cache's maximum" : 'the host'} allows no more`,
                ]
              : []),
          ],
        });
      } else if (limit > 0 && used > params.memoryUp * limit) starved += 1;
      continue;
    }
    const next = Math.max(spacious, even, Math.ceil(ahead / params.memoryTarget));
    const low = used < params.memoryDown * limit && next < limit * (1 - SMALLEST_CHANGE);
    const since = low ? (state.shards[shard.shard]?.memoryQuietSinceMs ?? view.nowMs) : null;
    if (since === null || view.nowMs - since < params.memoryQuietMs) {
      quietSinceMs.set(shard.shard, since);
      continue;
    }
    quietSinceMs.set(shard.shard, null);
    steps.push(
      shrink(shard, next, `for ${Math.round(params.memoryQuietMs / 1000)} s`, params.memoryDown),
    );
  }
  // The maximum is spoken for and one shard needs more: take it from those that have more than they use.
  if (starved > 0 && allowance <= 0) {
    for (const shard of present) {
      const used = shard.usedMemoryBytes;
      const limit = shard.view.primary!.maxmemoryBytes;
      if (used === null || limit === 0) continue;
      const next = Math.ceil(Math.max(used / params.memoryIn, limit / 2));
      if (used < params.memoryTarget * limit && next < limit * (1 - SMALLEST_CHANGE))
        steps.push(shrink(shard, next, 'and another shard needs it', params.memoryTarget));
    }
  }
  return { steps, events: memoryEvents(reading, starved), quietSinceMs };
}

/**
 * Where the user set no maximum, a limit guards the host alone. It is far above what is used, so that no burst of writes
 * between two looks meets it: a part of what the hosts have left, between the bounds of a shard.
 */
function openFloor(reading: CapacityReading, present: readonly ShardReading[]): number {
  const { params } = reading;
  const room = [...reading.rooms.values()].reduce((sum, { memoryBytes }) => sum + memoryBytes, 0);
  const part = (room * OPEN_SHARE) / Math.max(1, present.length);
  // In steps of a power of two: it is not to follow every megabyte that comes and goes on the host.
  const rounded = 2 ** Math.floor(Math.log2(Math.max(1, part)));
  return Math.min(
    params.shardMemoryMaximumBytes / 2,
    Math.max(params.shardMemoryMinimumBytes, rounded),
  );
}

function shrink(
  shard: ShardReading,
  bytes: number,
  why: string,
  below: number,
): PlannedCapacityStep {
  return {
    step: { kind: 'set-memory-limit', shard: shard.shard, bytes },
    reason: `shard ${shard.shard} uses ${mib(shard.usedMemoryBytes!)} MB, below ${percent(below)} of its ${mib(shard.view.primary!.maxmemoryBytes)} MB, ${why}`,
    rejected: ['leaving it: what is promised to one shard cannot be given to another'],
  };
}

function memoryEvents(reading: CapacityReading, starved: number): MemoryPlan['events'] {
  const { memoryMaximumBytes: maximum } = reading.view.limits;
  const events: { event: CapacityEventName; message: string }[] = [];
  const used = reading.usedBytes;
  if (maximum > 0 && used > APPROACHING * maximum) {
    events.push({
      event: 'limit-approaching',
      message: `${mib(used)} MB of at most ${mib(maximum)} MB are used (${percent(used / maximum)})`,
    });
  }
  if (starved > 0) {
    events.push({
      event: 'memory-at-maximum',
      message: `${starved} shards use most of their memory and get no more: ${
        maximum > 0 && used > APPROACHING * maximum
          ? "the cache's maximum is reached, keys with a time to live are evicted, then writes answer OOM"
          : 'the hosts have none to give'
      }`,
    });
  }
  return events;
}

function mib(bytes: number): string {
  return (bytes / 1024 ** 2).toFixed(0);
}
