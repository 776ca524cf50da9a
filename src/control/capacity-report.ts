/** Why a cache has the shape that it has, for people: from the step log, the jobs that run and the planner's last words. */
import type { CapacityReport, Decision, Explanation } from '../model/admin-api.ts';
import { jobLane, type JobBoard } from './job-board.ts';
import { slotCount } from './slot-ranges.ts';
import { stepWords } from './step-words.ts';
import type { Store } from './store.ts';
import type { CacheRecord, FinishedStep } from './store-records.ts';
import type { PoolStatus } from './warm-pool.ts';
import { SLOT_COUNT } from '../model/slot-range.ts';

export interface CapacityReportParts {
  readonly store: Store;
  readonly jobs: JobBoard;
  readonly explanations: readonly Explanation[];
  readonly pool: readonly PoolStatus[];
}

const DECISIONS_SHOWN = 100;

export function capacityReport(cache: CacheRecord, parts: CapacityReportParts): CapacityReport {
  const { store, jobs, explanations, pool } = parts;
  const running = jobs.running(cache.id);
  const fractionOf = ({ step, state }: FinishedStep) =>
    state === 'running'
      ? (running.find((job) => JSON.stringify(job.step) === JSON.stringify(step))?.fraction ?? null)
      : null;
  const own = pool.find(
    ({ engineLine, databases }) =>
      engineLine === cache.spec.engineVersion && databases === cache.spec.databases,
  );
  return {
    cache: cache.name,
    atMs: Date.now(),
    shards: store.shards.of(cache.id).map(({ shard, state, slots, ioThreads, maxmemoryBytes }) => ({
      shard,
      state,
      // An unsharded cache's one shard has them all, though no engine deals them out.
      slots: cache.spec.sharding ? slotCount(slots) : SLOT_COUNT,
      ioThreads,
      memoryMaximumBytes: maxmemoryBytes,
    })),
    explanations,
    decisions: store.steps
      .latest(cache.id, jobLane(cache.id), DECISIONS_SHOWN)
      .map((record): Decision => ({
        startedAtMs: record.startedAtMs,
        finishedAtMs: record.finishedAtMs,
        step: stepWords(record.step),
        reason: record.reason,
        rejected: record.rejected,
        state: record.state,
        error: record.error,
        fraction: fractionOf(record),
      })),
    pool: { ready: own?.ready ?? 0, starting: own?.starting ?? 0 },
  };
}
