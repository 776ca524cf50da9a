/** What a handler of the proxy's own commands is (handlers/). */
import type { Command } from '../protocol/command-table.ts';
import type { PlannedCommand } from './command-book.ts';
import type { Session } from './session.ts';

/** A command as a handler sees it. */
export interface Call {
  readonly planned: PlannedCommand;
  readonly command: Command;
  readonly args: readonly Buffer[];
  /** The whole request, encoded. */
  readonly bytes: Buffer;
}

/**
 * Answers a command. A buffer is the reply; null: the handler has replied or reserved its reply itself. While a promise is
 * pending the session takes no further command.
 */
export type CommandHandler = (
  session: Session,
  call: Call,
) => Buffer | null | Promise<Buffer | null>;

export interface HandlerEntry {
  readonly run: CommandHandler;
  /** Only when nothing of this session is under way; a function says whether that is so this time. */
  readonly drained?: boolean | ((session: Session) => boolean);
  /** Inside MULTI: run at once instead of being queued. */
  readonly unqueued?: boolean;
  /** Inside MULTI: answers when EXEC comes, in the command's place in EXEC's reply. Without it: not allowed there. */
  readonly atExec?: (session: Session, call: Call) => Buffer | Promise<Buffer>;
  /** Inside MULTI a node executes it, and this puts the node's reply right. */
  readonly amend?: (session: Session, call: Call, reply: Buffer) => Buffer;
}

/** For a command on which nothing else in a transaction depends: at EXEC it does what it does alone. */
export function queueable(
  run: (session: Session, call: Call) => Buffer | Promise<Buffer>,
): HandlerEntry {
  return { run, atExec: run };
}

/** By full command name (`client|id`). */
export type HandlerTable = Readonly<Record<string, HandlerEntry | CommandHandler>>;
