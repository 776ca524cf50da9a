/**
 * The reader port, which nothing is written through, whether there are replicas or not: what a replica would do with
 * writes and with scripts.
 */
import { FLAG_WRITE, type RequestArguments } from '../protocol/command-table.ts';
import { encodeRequest } from '../protocol/request-encoder.ts';
import type { TopologyCache } from '../model/topology.ts';
import type { PlannedCommand } from './command-book.ts';
import { errorReply } from './proxy-error.ts';
import { NO_SLOT } from './routing/request.ts';
import type { Session } from './session.ts';

/** Scripts that may write, and the commands that run them so that they cannot. */
const READ_ONLY_TWINS: ReadonlyMap<string, string> = new Map([
  ['eval', 'eval_ro'],
  ['evalsha', 'evalsha_ro'],
  ['fcall', 'fcall_ro'],
]);

/** What a replica says to a write. */
export function writeRefusal(cache: TopologyCache, slot: number): Buffer {
  return cache.sharding && slot !== NO_SLOT
    ? errorReply(`MOVED ${slot} ${cache.announceHost}:${cache.port}`)
    : errorReply("READONLY You can't write against a read only replica.");
}

/** Is this a write on the reader port? */
export function isRefusedWrite(session: Session, planned: PlannedCommand): boolean {
  return session.reader && (planned.command.flags & FLAG_WRITE) !== 0;
}

/**
 * A script on the reader port as the command that lets it read only. A replica would let it write nothing; a primary, which
 * serves where there is no replica, would. Null: nothing is to be changed.
 */
export function readOnlyScript(
  session: Session,
  planned: PlannedCommand,
  buf: Buffer,
  args: RequestArguments,
): { planned: PlannedCommand; bytes: Buffer } | null {
  const name = session.reader ? READ_ONLY_TWINS.get(planned.command.name) : undefined;
  if (name === undefined) return null;
  const { book } = session.service.router;
  const twin = book!.table.byName(name);
  if (twin === undefined) return null;
  const rest = Array.from({ length: args.argc - 1 }, (_, i) =>
    buf.subarray(args.argStart[i + 1], args.argEnd[i + 1]),
  );
  return { planned: book!.planOf(twin), bytes: encodeRequest([name, ...rest]) };
}
