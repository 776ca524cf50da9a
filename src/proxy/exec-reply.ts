/**
 * EXEC's reply where not all of it comes from a node. The node has executed its commands as one; then the proxy's own are
 * answered, one after the other, and each reply is put where its command stood.
 *
 *   queued   SET  CLIENT ID  GET          node   *2 +OK $1 1          EXEC   *3 +OK :17 $1 1
 */
import { messageOf } from '../lib/errors.ts';
import { REPLY_INCOMPLETE, ReplyScanner } from '../protocol/reply-scanner.ts';
import type { CommandQueue } from './command-queue.ts';
import { ByteList } from './io/byte-list.ts';
import { errorReply } from './proxy-error.ts';
import type { Session } from './session.ts';
import type { Call, HandlerEntry } from './command-handler.ts';

/** A longer run of the node's replies is not copied. */
const COPIED_MAXIMUM_BYTES = 16 * 1024;
/** So many of the proxy's own, then the other clients have their turn. */
const IN_ROW_MAXIMUM = 1000;

/**
 * In parts that nobody changes any more.
 *
 * @param executed the node's reply to EXEC, an array with one element for each command that it was sent; does not change
 * any more, and is counted as held
 */
export async function execReply(
  session: Session,
  queued: CommandQueue,
  executed: Buffer,
): Promise<Buffer[]> {
  const { commands } = session.service;
  const reply = new ByteList();
  let copiedBytes = 0;
  const add = (bytes: Buffer, start: number, end: number): void => {
    if (bytes === executed && end - start > COPIED_MAXIMUM_BYTES)
      return reply.appendStable(bytes.subarray(start, end));
    reply.append(bytes, start, end);
    copiedBytes += end - start;
    session.replies.hold(end - start);
  };
  const scanner = new ReplyScanner();
  let index = 0;
  let pos = executed.indexOf(LF) + 1;
  /** Goes on over the node's replies up to this place; false when there are not so many. */
  const skipTo = (next: number): boolean => {
    for (; index < next; index++) {
      pos = scanner.scan(executed, pos, executed.length);
      if (pos <= REPLY_INCOMPLETE) return false;
    }
    return true;
  };
  try {
    let inRow = 0;
    for (const { index: next, answered, call } of queued.own()) {
      if (++inRow % IN_ROW_MAXIMUM === 0) await new Promise((resolve) => setImmediate(resolve));
      // Nobody hears it any more, and nobody would take its subscriptions back.
      if (session.closed || session.socket.destroyed) return [executed];
      const start = pos;
      if (!skipTo(next)) return [TOO_FEW];
      add(executed, start, pos);
      const { atExec, amend } = commands.handlerOf(call.command.name)!;
      let own: Buffer;
      if (answered) {
        own = await answer(session, call, atExec!);
        index++;
      } else {
        const from = pos;
        if (!skipTo(next + 1)) return [TOO_FEW];
        own = amend!(session, call, executed.subarray(from, pos));
      }
      add(own, 0, own.length);
    }
    const start = pos;
    if (!skipTo(queued.length)) return [TOO_FEW];
    add(executed, start, pos);
  } finally {
    session.replies.hold(-copiedBytes);
  }
  return [Buffer.from(`*${queued.length}\r\n`), ...reply.parts()];
}

async function answer(
  session: Session,
  call: Call,
  atExec: NonNullable<HandlerEntry['atExec']>,
): Promise<Buffer> {
  try {
    return await atExec(session, call);
  } catch (error) {
    session.service.router.log.error(
      { err: error, command: call.command.name },
      'a command handler failed',
    );
    return errorReply(`ERR ${messageOf(error)}`);
  }
}

const LF = 10;
const TOO_FEW = errorReply('ERR the node answered EXEC with fewer replies than commands');
