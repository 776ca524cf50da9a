/**
 * EXEC's reply where not all of it comes from a node. The node has executed its commands as one; then the proxy's own are
 * answered, one after the other, and each reply is put where its command stood.
 *
 *   queued   SET  CLIENT ID  GET          node   *2 +OK $1 1          EXEC   *3 +OK :17 $1 1
 */
import { messageOf } from '../lib/errors.ts';
import { REPLY_INCOMPLETE, ReplyScanner } from '../protocol/reply-scanner.ts';
import type { PlannedCommand } from './command-book.ts';
import { errorReply } from './proxy-error.ts';
import type { Session } from './session.ts';
import type { QueuedCommand } from './transaction.ts';

/** `executed`: the node's reply to EXEC, an array with one element for each command that it was sent. */
export async function execReply(
  session: Session,
  queued: readonly QueuedCommand[],
  executed: Buffer,
): Promise<Buffer> {
  const elements: Buffer[] = [];
  const scanner = new ReplyScanner();
  let pos = executed.indexOf(LF) + 1;
  for (const { planned, answer, amend } of queued) {
    // Nobody hears it any more, and nobody would take its subscriptions back.
    if (session.closed) return executed;
    if (answer !== null) {
      elements.push(await answered(session, planned, answer));
      continue;
    }
    const end = scanner.scan(executed, pos, executed.length);
    if (end <= REPLY_INCOMPLETE)
      return errorReply('ERR the node answered EXEC with fewer replies than commands');
    const reply = executed.subarray(pos, end);
    elements.push(amend === null ? reply : amend(reply));
    pos = end;
  }
  return Buffer.concat([Buffer.from(`*${queued.length}\r\n`), ...elements]);
}

async function answered(
  session: Session,
  planned: PlannedCommand,
  answer: NonNullable<QueuedCommand['answer']>,
): Promise<Buffer> {
  try {
    return await answer();
  } catch (error) {
    session.service.router.log.error(
      { err: error, command: planned.command.name },
      'a command handler failed',
    );
    return errorReply(`ERR ${messageOf(error)}`);
  }
}

const LF = 10;
