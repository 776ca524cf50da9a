/**
 * Gives slots of one shard, with all that is in them, to another, while both serve.
 *
 *   look at both ends -> what is left to move? -> in one piece (9.x), or a few slots by their keys -> look again -> ...
 *
 * Nothing is remembered between two looks: after a failover, the death of a node, or of the daemon, the next look finds
 * what has been moved, what is under way and what is half done in the nodes themselves. So the step may be run again at
 * any time, and by another daemon.
 */
import { SLOT_COUNT, type SlotRange } from '../../model/slot-range.ts';
import { setTimeout as delay } from 'node:timers/promises';
import { messageOf } from '../../lib/errors.ts';
import { FOOTER_BYTES } from '../../engine/functions-rdb.ts';
import { rangesText, slotCount, withoutRanges } from '../slot-ranges.ts';
import { parseInfo, type InfoFields } from '../node-observation.ts';
import { mendSlots } from './mend-slots.ts';
import { cancelMigration, migrateSlots } from './migrate-slots.ts';
import { FIRST_BATCH, type KeysSent } from './move-keys.ts';
import { countKeys, goneShard, moveWindow, rescue } from './move-slots-by-key.ts';
import { moveEnds, primaryOf, type MoveEnds } from './move-ends.ts';
import { settleSlots } from './settle-slots.ts';
import { SlotMoveError, type MoveSlotsStep, type SlotMoveContext } from './slot-move-context.ts';

/** Tries in a row without a slot moved. */
const TRIES = 8;
const RETRY_FIRST_MS = 50;
const RETRY_MAX_MS = 2_000;
/** The first version that moves slots in one piece. */
const ATOMIC_MAJOR = 9;
/** Slots whose keys are counted with one question's wait. */
const COUNT_SLOTS = 256;
/** Proxies are told to look again at most this often while slots move one by one; MOVED tells them of the others. */
const REFRESH_MS = 1_000;

interface Way {
  readonly kind: 'atomic' | 'by-key';
  readonly source: InfoFields;
  readonly target: InfoFields;
}

/**
 * @throws SlotMoveError; the signal's reason when it is aborted: then what was begun is cancelled (9.x), or left so that
 *   the next run goes on with it (8.x)
 */
export async function moveSlots(context: SlotMoveContext, step: MoveSlotsStep): Promise<void> {
  check(step);
  const startedMs = Date.now();
  const sent: KeysSent = { keys: 0, bytes: 0, size: FIRST_BATCH };
  const total = slotCount(step.ranges);
  let ends = await moveEnds(context, step);
  let way: Way | null = null;
  let refreshedMs = 0;
  let failures = 0;
  let before = -1;
  let checkedFor = '';
  for (;;) {
    const left = leftToMove(ends, step.ranges);
    const moved = total - slotCount(left);
    if (moved !== before) failures = 0;
    before = moved;
    if (Date.now() - refreshedMs > REFRESH_MS || left.length === 0) {
      context.refresh();
      refreshedMs = Date.now();
    }
    const marked = marksIn(ends, step.ranges);
    if (left.length === 0 && marked.length === 0) break;
    context.progress?.(moved / total, `${moved} of ${total} slots, ${sent.keys} keys moved`);
    try {
      context.signal.throwIfAborted();
      way ??= await prepare(context, ends);
      if (way.kind === 'atomic' && marked.length === 0) {
        checkOwner(ends, left);
        await migrateSlots(context, ends, left);
      } else {
        if (left.length > 0 && (checkedFor !== ends.target.clusterId || failures > 0)) {
          await checkRoom(context, ends, left, way);
          checkedFor = ends.target.clusterId;
        }
        // What an earlier run has begun goes first.
        await moveWindow(context, ends, [...marked, ...slotsOf(left, marked)], sent);
      }
    } catch (error) {
      if (context.signal.aborted && way?.kind === 'atomic')
        await cancelQuietly(context, ends, left);
      context.signal.throwIfAborted();
      const givesUp = error instanceof SlotMoveError && error.code !== 'SLOT_MOVE_FAILED';
      if (givesUp || ++failures >= TRIES) await leaveInOrder(context, ends);
      if (givesUp) throw error;
      if (failures >= TRIES) {
        throw new SlotMoveError(
          'SLOT_MOVE_FAILED',
          `slots ${rangesText(left)} of shard ${step.from} cannot be moved to shard ${step.to}: ${messageOf(error)}`,
          { cause: error },
        );
      }
      context.log.warn({ step, err: error, failures }, 'a move of slots is tried again');
      await afterFailure(context, step, ends, error);
      const waitMs = Math.min(RETRY_MAX_MS, RETRY_FIRST_MS * 2 ** (failures - 1));
      await delay(waitMs, undefined, { signal: context.signal });
    }
    ends = await moveEnds(context, step);
    // Others may be at the ends now.
    if (failures > 0) way = null;
  }
  await settleSlots(context, step.ranges, ends.target.clusterId);
  await recordOwners(context, step);
  context.refresh();
  context.progress?.(1, `${total} slots moved`);
  const tookMs = Date.now() - startedMs;
  context.log.info({ step, keys: sent.keys, bytes: sent.bytes, tookMs }, 'slots moved');
  context.event(
    'slots-moved',
    `${total} slots (${rangesText(step.ranges)}) of shard ${step.from} are shard ${step.to}'s now, after ${tookMs} ms`,
  );
}

/** At once, not at the next look at the shards: who plans the next move must not see slots where they were. */
async function recordOwners(context: SlotMoveContext, step: MoveSlotsStep): Promise<void> {
  const { source, target } = await moveEnds(context, step);
  const { store, cache } = context;
  store.transaction(() => {
    store.shards.update(cache.id, step.from, { slots: source.myself.slotRanges });
    store.shards.update(cache.id, step.to, { slots: target.myself.slotRanges });
  });
}

function check({ from, to, ranges }: MoveSlotsStep): void {
  const outside = ranges.some(({ first, last }) => first < 0 || last >= SLOT_COUNT || first > last);
  if (from === to || ranges.length === 0 || outside) {
    throw new SlotMoveError(
      'SLOT_MOVE_REFUSED',
      `slots ${rangesText(ranges)} cannot be moved from shard ${from} to shard ${to}`,
    );
  }
}

/** By the target's own word: it is the first to know, and the last word about what it owns. */
function leftToMove({ target }: MoveEnds, ranges: readonly SlotRange[]): SlotRange[] {
  return ranges.flatMap((range) => withoutRanges(range, target.myself.slotRanges));
}

/** Slots of the ranges with a mark of a move by keys on either end. */
function marksIn({ source, target }: MoveEnds, ranges: readonly SlotRange[]): number[] {
  const marks = [...source.myself.marks, ...target.myself.marks].map(({ slot }) => slot);
  return [...new Set(marks)].filter((slot) =>
    ranges.some(({ first, last }) => first <= slot && slot <= last),
  );
}

function slotsOf(ranges: readonly SlotRange[], less: readonly number[]): number[] {
  const slots = ranges.flatMap(({ first, last }) =>
    Array.from({ length: last - first + 1 }, (_, i) => first + i),
  );
  return slots.filter((slot) => !less.includes(slot));
}

async function prepare(context: SlotMoveContext, ends: MoveEnds): Promise<Way> {
  const way = await wayOf(context, ends);
  await bringFunctions(context, ends, way);
  return way;
}

async function wayOf(context: SlotMoveContext, { source, target }: MoveEnds): Promise<Way> {
  const info = async (nodeId: string) =>
    parseInfo(String(await context.fleet.call(nodeId, ['INFO', 'server', 'memory', 'stats'])));
  const [atSource, atTarget] = await Promise.all([info(source.nodeId), info(target.nodeId)]);
  const atomic = [atSource, atTarget].every((one) => majorOf(one) >= ATOMIC_MAJOR);
  return { kind: atomic ? 'atomic' : 'by-key', source: atSource, target: atTarget };
}

function majorOf(info: InfoFields): number {
  return Number.parseInt(info.get('valkey_version') ?? info.get('redis_version') ?? '0', 10);
}

/** A third shard's slots are not ours to give; but the source may just not have heard what it lost. */
function checkOwner({ source, target }: MoveEnds, left: readonly SlotRange[]): void {
  const foreign = left.flatMap((range) => withoutRanges(range, source.myself.slotRanges));
  if (foreign.length === 0) return;
  const others = [source, target].map(({ peers }) =>
    peers.filter(({ id }) => id !== source.clusterId && id !== target.clusterId),
  );
  const third = foreign.every((range) =>
    others.every(
      (peers) =>
        withoutRanges(
          range,
          peers.flatMap(({ slotRanges }) => slotRanges),
        ).length === 0,
    ),
  );
  const message = `shard ${source.shard} does not own slots ${rangesText(foreign)}`;
  if (third) throw new SlotMoveError('SLOT_MOVE_REFUSED', message);
  throw new Error(message);
}

/** Neither way brings function libraries along, and their owner expects them wherever a key may be. */
async function bringFunctions(
  context: SlotMoveContext,
  { source, target }: MoveEnds,
  way: Way,
): Promise<void> {
  if (majorOf(way.source) > majorOf(way.target)) return;
  const stats = await Promise.all(
    [source, target].map(
      async ({ nodeId }) => (await context.fleet.call(nodeId, ['FUNCTION', 'LIST'])) as unknown[],
    ),
  );
  if (stats[1]!.length >= stats[0]!.length) return;
  const dump = await context.fleet.dumpFunctions(source.nodeId);
  if (dump.length > FOOTER_BYTES) await context.fleet.restoreFunctions(target.nodeId, dump);
}

/** Key by key the target could run out of memory half way. In one piece the engine undoes it. */
async function checkRoom(
  context: SlotMoveContext,
  { source, target }: MoveEnds,
  left: readonly SlotRange[],
  way: Way,
): Promise<void> {
  const maxmemory = Number(way.target.get('maxmemory') ?? 0);
  const isOlder = majorOf(way.source) > majorOf(way.target);
  if (maxmemory === 0 && !isOlder) return;
  const slots = slotsOf(left, []);
  let moving = 0;
  for (let at = 0; at < slots.length; at += COUNT_SLOTS) {
    const some = slots.slice(at, at + COUNT_SLOTS);
    const counts = await Promise.all(some.map((slot) => countKeys(context, source.nodeId, slot)));
    moving += counts.reduce((sum, count) => sum + count, 0);
  }
  if (moving === 0) return;
  if (isOlder) {
    throw new SlotMoveError(
      'SLOT_MOVE_REFUSED',
      `keys of shard ${source.shard} cannot be read by the older engine of shard ${target.shard}`,
    );
  }
  if (maxmemory === 0) return;
  const keys = Number(await context.fleet.call(source.nodeId, ['DBSIZE']));
  const bytes = (moving / Math.max(moving, keys)) * Number(way.source.get('used_memory_dataset'));
  const free = maxmemory - Number(way.target.get('used_memory'));
  if (bytes > free) {
    throw new SlotMoveError(
      'SLOT_MOVE_TARGET_FULL',
      `${moving} keys, about ${Math.round(bytes)} bytes, do not fit into shard ${target.shard}, which has ${Math.max(0, free)} bytes left`,
    );
  }
}

async function cancelQuietly(
  context: SlotMoveContext,
  ends: MoveEnds,
  left: readonly SlotRange[],
): Promise<void> {
  try {
    await cancelMigration(context, ends, left);
  } catch (error) {
    context.log.warn({ err: error }, 'a migration may go on');
  }
}

/** The move is given up: what is half moved is brought to an end, or back, as far as that can be. */
async function leaveInOrder(context: SlotMoveContext, { source, target }: MoveEnds): Promise<void> {
  try {
    await mendSlots(context, [source.clusterId, target.clusterId]);
  } catch (error) {
    context.log.warn({ err: error }, 'slots may be left on their way');
  }
}

/** Makes the next try possible, where something stands in its way that does not go by itself. */
async function afterFailure(
  context: SlotMoveContext,
  step: MoveSlotsStep,
  ends: MoveEnds,
  cause: unknown,
): Promise<void> {
  try {
    const gone = goneShard(context, step.from, step.to);
    if (gone !== null) {
      const live = await primaryOf(context, gone === 'source' ? step.to : step.from);
      if (live !== null) await rescue(context, live, ends[gone].clusterId);
    } else if (/manually (imported|migrated)/.test(messageOf(cause))) {
      await mendSlots(context, [ends.source.clusterId, ends.target.clusterId]);
    }
  } catch (error) {
    context.log.warn({ step, err: error }, 'the next try may fail too');
  }
}
