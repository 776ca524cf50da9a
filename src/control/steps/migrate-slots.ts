/**
 * Moves slots in one piece (CLUSTER MIGRATESLOTS, 9.0 and newer). The engine does all of it: a snapshot of the slots, what
 * is written meanwhile, a pause of the last milliseconds, the change of owner; and undoes it when anything goes wrong.
 *
 *   nobody in another move -> MIGRATESLOTS, or the one that is under way already -> it ends -> look again
 *
 * A node is source or target, never both at once: 9.1.2 dies of it (docs/decisions/0005). Who plans keeps to that; here it
 * is looked at once more, because an earlier daemon may have left something under way.
 */
import type { SlotRange } from '../../model/slot-range.ts';
import { setTimeout as delay } from 'node:timers/promises';
import { rangesText } from '../slot-ranges.ts';
import { overlap, parseSlotMigrations, type SlotMigration } from './slot-migrations.ts';
import type { MoveEnds, ShardPrimary } from './move-ends.ts';
import { SlotMoveError, type SlotMoveContext } from './slot-move-context.ts';
import { StepTimeout, waitUntil } from './wait-until.ts';

/** What the nodes are in ends in this time, or the move is left for later. */
const BUSY_TIMEOUT_MS = 2_000;
const LOOK_FIRST_MS = 5;
const LOOK_MAX_MS = 100;
/** No change of state for this long: the engine itself gives up a silent peer after repl-timeout, 60 s. */
const STUCK_MS = 120_000;
const CANCEL_TIMEOUT_MS = 5_000;

/** How far along a migration is when it enters a state; the snapshot is nearly all of it. */
const FRACTION: Readonly<Record<string, number>> = {
  snapshotting: 0.1,
  replicating: 0.8,
  'waiting-to-pause': 0.9,
  'failover-paused': 0.95,
  'failover-granted': 0.98,
};

/**
 * One try.
 *
 * @param ranges what the source still owns of what is to be moved
 * @throws SlotMoveError SLOT_MOVE_BUSY; an Error with the engine's reason when the migration failed and may be tried again
 */
export async function migrateSlots(
  context: SlotMoveContext,
  ends: MoveEnds,
  ranges: readonly SlotRange[],
): Promise<void> {
  const { source, target } = ends;
  await untilFree(context, ends, ranges);
  if (!(await underWay(context, source)).some((job) => isOurs(job, ends, ranges))) {
    context.signal.throwIfAborted();
    const words = ranges.flatMap(({ first, last }) => [first, last]);
    const command = ['CLUSTER', 'MIGRATESLOTS', 'SLOTSRANGE', ...words, 'NODE', target.clusterId];
    await context.fleet.call(source.nodeId, command);
  }
  await untilEnded(context, ends, ranges);
}

async function migrationsOf(
  context: SlotMoveContext,
  node: ShardPrimary,
): Promise<SlotMigration[]> {
  return parseSlotMigrations(
    await context.fleet.call(node.nodeId, ['CLUSTER', 'GETSLOTMIGRATIONS']),
  );
}

async function underWay(context: SlotMoveContext, node: ShardPrimary): Promise<SlotMigration[]> {
  return (await migrationsOf(context, node)).filter((job) => job.isActive);
}

function isOurs(job: SlotMigration, { target }: MoveEnds, ranges: readonly SlotRange[]): boolean {
  return (
    job.operation === 'export' && job.targetId === target.clusterId && overlap(job.ranges, ranges)
  );
}

async function untilFree(
  context: SlotMoveContext,
  ends: MoveEnds,
  ranges: readonly SlotRange[],
): Promise<void> {
  const { source, target } = ends;
  let busy: string | undefined;
  try {
    await waitUntil(
      'both nodes being free',
      async () => {
        const [atSource, atTarget] = await Promise.all([
          underWay(context, source),
          underWay(context, target),
        ]);
        if (atSource.some(({ operation }) => operation === 'import')) {
          busy = `the source, ${source.nodeId}, is the target of another migration`;
        } else if (atTarget.some(({ operation }) => operation === 'export')) {
          busy = `the target, ${target.nodeId}, is the source of another migration`;
        } else if (
          atSource.some((job) => overlap(job.ranges, ranges) && !isOurs(job, ends, ranges))
        ) {
          busy = `some of the slots are on their way from ${source.nodeId} to another shard`;
        } else busy = undefined;
        return busy === undefined;
      },
      { timeoutMs: BUSY_TIMEOUT_MS, everyMs: 50, signal: context.signal },
    );
  } catch (error) {
    if (!(error instanceof StepTimeout)) throw error;
    throw new SlotMoveError('SLOT_MOVE_BUSY', `slots ${rangesText(ranges)} stay: ${busy}`, {
      cause: error,
    });
  }
}

async function untilEnded(
  context: SlotMoveContext,
  ends: MoveEnds,
  ranges: readonly SlotRange[],
): Promise<void> {
  const { signal } = context;
  let state = '';
  let changedMs = Date.now();
  for (let lookMs = LOOK_FIRST_MS; ; lookMs = Math.min(LOOK_MAX_MS, lookMs * 1.5)) {
    const jobs = await migrationsOf(context, ends.source);
    // The newest first: of several tries the last one counts.
    const job = jobs.find((one) => isOurs(one, ends, ranges));
    if (job === undefined) throw new Error('the source knows nothing of the migration');
    if (job.state === 'success') return;
    if (!job.isActive) throw new Error(`the migration ${job.state}: ${job.message}`);
    if (job.state !== state) {
      state = job.state;
      changedMs = Date.now();
      context.progress?.(FRACTION[state] ?? 0, `slots ${rangesText(ranges)}: ${state}`);
    }
    signal.throwIfAborted();
    if (Date.now() - changedMs > STUCK_MS) {
      await cancelExports(context, ends.source);
      throw new Error(`the migration did not get beyond ${state} in ${STUCK_MS / 1000} s`);
    }
    await delay(lookMs, undefined, { signal }).catch(() => undefined);
  }
}

/** Cancels what is under way of a move, whoever began it: an earlier daemon may have. */
export async function cancelMigration(
  context: SlotMoveContext,
  ends: MoveEnds,
  ranges: readonly SlotRange[],
): Promise<void> {
  const jobs = await underWay(context, ends.source);
  if (jobs.some((job) => isOurs(job, ends, ranges))) await cancelExports(context, ends.source);
}

/**
 * Cancels what a node gives away; resolves when none of it is under way. What was about to end ends.
 *
 * @returns whether there was anything
 */
export async function cancelExports(
  context: SlotMoveContext,
  source: ShardPrimary,
): Promise<boolean> {
  const exports = async () =>
    (await underWay(context, source)).filter(({ operation }) => operation === 'export');
  if ((await exports()).length === 0) return false;
  // Refused when the last one has ended in between.
  await context.fleet
    .call(source.nodeId, ['CLUSTER', 'CANCELSLOTMIGRATIONS'])
    .catch((error: unknown) => context.log.info({ err: error }, 'no migration to cancel'));
  await waitUntil(
    `the end of what ${source.nodeId} gives away`,
    async () => (await exports()).length === 0,
    // Not by the context's signal: that is aborted already.
    {
      timeoutMs: CANCEL_TIMEOUT_MS,
      everyMs: 10,
      signal: AbortSignal.timeout(CANCEL_TIMEOUT_MS * 2),
    },
  );
  return true;
}
