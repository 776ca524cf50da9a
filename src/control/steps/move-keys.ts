/**
 * Sends the keys of slots to another node, with MIGRATE (8.x). MIGRATE stops the source for as long as it takes, so
 * keys go in batches whose size follows the time that the last ones took; a key that is larger than a batch goes alone.
 */
import { SYSTEM_USER_NAME } from '../../model/user.ts';
import { NodeReplyError } from '../../engine/admin-client.ts';
import type { MoveEnds } from './move-ends.ts';
import { SlotMoveError, type SlotMoveContext } from './slot-move-context.ts';

/** What a batch may cost everybody else on the source. */
const BATCH_MS = 5;
const FIRST = { keys: 16, bytes: 64 * 1024 } as const;
const LEAST = { keys: 1, bytes: 16 * 1024 } as const;
const MOST = { keys: 512, bytes: 1024 ** 2 } as const;
/** Keys of a slot that are asked for at once. */
const LIST_KEYS = 256;
const MIGRATE_TIMEOUT_MS = 5_000;
/** A value is written, sent and read again at this rate at the least; its restoring is waited for in silence. */
const SLOWEST_BYTES_PER_MS = 5_000;

/** How much one MIGRATE is given; grows and shrinks with what the last ones took. */
export interface BatchSize {
  /** Over all slots of the batch. */
  readonly keys: number;
  readonly bytes: number;
}

export const FIRST_BATCH: BatchSize = FIRST;

/** @param full whether the batch was as large as it might be: of a smaller one nothing follows about a larger */
export function nextBatchSize(size: BatchSize, tookMs: number, full: boolean): BatchSize {
  const scaled = (factor: number) => ({
    keys: clamp(Math.floor(size.keys * factor), LEAST.keys, MOST.keys),
    bytes: clamp(Math.floor(size.bytes * factor), LEAST.bytes, MOST.bytes),
  });
  if (tookMs > BATCH_MS) return scaled(Math.max(0.25, BATCH_MS / tookMs));
  return full && tookMs < BATCH_MS / 2 ? scaled(2) : size;
}

/** The first keys that fit into one batch; one at the least. */
export function firstBatch(sizesBytes: readonly number[], size: BatchSize): number {
  let count = 0;
  let bytes = 0;
  while (count < sizesBytes.length && count < size.keys) {
    bytes += sizesBytes[count]!;
    if (count > 0 && bytes > size.bytes) break;
    count++;
  }
  return count;
}

/** What has been sent, for whoever watches, and the pace that was found. */
export interface KeysSent {
  keys: number;
  bytes: number;
  size: BatchSize;
}

interface MovingKey {
  readonly slot: number;
  readonly key: Buffer;
  readonly bytes: number;
}

/**
 * Until the source has none of these slots' keys any more, or the signal is aborted (then it throws, between batches).
 *
 * REPLACE: a key that both ends have (a MIGRATE whose answer was lost, a mark that was lost) is being served by the
 * source, whose version is the newer one.
 *
 * @throws SlotMoveError SLOT_MOVE_TARGET_FULL; NodeError
 */
export async function moveKeys(
  context: SlotMoveContext,
  ends: MoveEnds,
  slots: readonly number[],
  sent: KeysSent,
): Promise<void> {
  for (;;) {
    const listed = await Promise.all(slots.map((slot) => keysOf(context, ends, slot)));
    const keys = listed.flat();
    if (keys.length === 0) return;
    for (let at = 0; at < keys.length;) {
      context.signal.throwIfAborted();
      const sizes = keys.slice(at).map(({ bytes }) => bytes);
      const count = firstBatch(sizes, sent.size);
      const bytes = sizes.slice(0, count).reduce((sum, size) => sum + size, 0);
      const startedMs = performance.now();
      await migrateAll(context, ends, keys.slice(at, at + count));
      const full = count === sent.size.keys || at + count < keys.length;
      // A key that is too large for any batch says nothing about batches.
      if (bytes <= MOST.bytes)
        sent.size = nextBatchSize(sent.size, performance.now() - startedMs, full);
      sent.keys += count;
      sent.bytes += bytes;
      at += count;
    }
  }
}

/** Some of a slot's keys, with what they take in memory. */
async function keysOf(
  { fleet }: SlotMoveContext,
  { source }: MoveEnds,
  slot: number,
): Promise<MovingKey[]> {
  const command = ['CLUSTER', 'GETKEYSINSLOT', slot, LIST_KEYS] as const;
  const keys = (await fleet.callForBytes(source.nodeId, command)) as Buffer[];
  return Promise.all(
    keys.map(async (key) => {
      const usage = await fleet.callForBytes(source.nodeId, ['MEMORY', 'USAGE', key]);
      return { slot, key, bytes: Number(usage ?? 0) };
    }),
  );
}

/** One MIGRATE takes keys of one slot. They are sent together: what is to be waited for is the whole batch. */
async function migrateAll(
  context: SlotMoveContext,
  ends: MoveEnds,
  batch: readonly MovingKey[],
): Promise<void> {
  const results = await Promise.allSettled(
    [...Map.groupBy(batch, ({ slot }) => slot).values()].map((keys) =>
      migrate(
        context,
        ends,
        keys.map(({ key }) => key),
        batch.reduce((sum, { bytes }) => sum + bytes, 0),
      ),
    ),
  );
  const failed = results.find((result) => result.status === 'rejected');
  if (failed !== undefined) throw failed.reason;
}

async function migrate(
  context: SlotMoveContext,
  { source, target }: MoveEnds,
  keys: readonly Buffer[],
  bytes: number,
): Promise<void> {
  const { cache, fleet } = context;
  const timeoutMs = MIGRATE_TIMEOUT_MS + Math.ceil(bytes / SLOWEST_BYTES_PER_MS);
  try {
    await fleet.callForBytes(
      source.nodeId,
      [
        'MIGRATE',
        target.host,
        target.port,
        '',
        0,
        timeoutMs,
        'REPLACE',
        'AUTH2',
        SYSTEM_USER_NAME,
        cache.systemSecret,
        'KEYS',
        ...keys,
      ],
      // It may wait for the other end three times: to connect, to send, to be answered.
      3 * timeoutMs,
    );
  } catch (error) {
    if (error instanceof NodeReplyError && /\bOOM\b/.test(error.message)) {
      throw new SlotMoveError(
        'SLOT_MOVE_TARGET_FULL',
        `node ${target.nodeId} has no memory left for the keys of its new slots`,
        { cause: error },
      );
    }
    throw error;
  }
}

function clamp(value: number, least: number, most: number): number {
  return Math.min(most, Math.max(least, value));
}
