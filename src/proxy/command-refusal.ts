/**
 * Why the engine would not execute a command, in its words and in its order: logged in? known? arity? allowed to this user?
 * allowed here? What the proxy answers itself the engine is asked about only as far as the user's rules go.
 */
import {
  FLAG_NO_AUTH,
  FLAG_READONLY,
  FLAG_WRITE,
  type Command,
  type RequestArguments,
} from '../protocol/command-table.ts';
import type { PlannedCommand } from './command-book.ts';
import { PLAN_PROXY, PLAN_REFUSED } from './command-plan.ts';
import { errorReply, NO_AUTH, noPermission, wrongArity } from './proxy-error.ts';
import type { Session } from './session.ts';
import { STALL_BUSY } from './stalls.ts';
import { endTransaction } from './transaction.ts';

/** What a client may say while it has RESP2 subscriptions. */
const SUBSCRIBED_COMMANDS: ReadonlySet<string> = new Set([
  'subscribe', 'unsubscribe', 'psubscribe', 'punsubscribe', 'ssubscribe', 'sunsubscribe', 'ping', 'quit', 'reset',
]); // prettier-ignore

const TOUCHES_KEYS = FLAG_WRITE | FLAG_READONLY;

/** Why the engine would not execute this; null when it would. */
export function refusalOf(
  session: Session,
  planned: PlannedCommand | null,
  buf: Buffer,
  args: RequestArguments,
): Buffer | null {
  if (
    !session.authenticated &&
    (planned === null || (planned.command.flags & FLAG_NO_AUTH) === 0)
  ) {
    return planned?.command.name === 'exec'
      ? abortExec(session, 'NOAUTH Authentication required.')
      : NO_AUTH;
  }
  if (planned === null) return unknownCommand(buf, args);
  const { command } = planned;
  if (command.subcommands !== null) {
    return args.argc < 2 ? wrongArity(command.name) : unknownSubcommand(command, buf, args);
  }
  if (!command.fits(args.argc)) {
    if (command.name !== 'exec') return wrongArity(command.name);
    return abortExec(session, "wrong number of arguments for 'exec' command");
  }
  if (planned.kind === PLAN_PROXY) {
    const denied = verdictOf(session, command, buf, args);
    if (denied) return denied;
  }
  if (planned.kind === PLAN_REFUSED) return noPermission(session.client.user, command.name);
  const { subscriptions, resp } = session.client;
  if (
    resp === 2 &&
    subscriptions !== null &&
    subscriptions.count > 0 &&
    !SUBSCRIBED_COMMANDS.has(command.name)
  ) {
    return errorReply(
      `ERR Can't execute '${command.name}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context`,
    );
  }
  if (session.client.monitor !== null && (command.flags & TOUCHES_KEYS) !== 0) {
    // The engine holds a monitor for a kind of replica (server.c, processCommand).
    return errorReply("ERR Replica can't interact with the keyspace");
  }
  return null;
}

/**
 * For the proxy's own commands: the engine's refusal, null when the user may, undefined when the engine is still to be
 * asked.
 */
function verdictOf(
  session: Session,
  command: Command,
  buf: Buffer,
  args: RequestArguments,
): Buffer | null | undefined {
  const { service, client } = session;
  const user = service.user(client.user);
  if (service.permissions.isFree(user, command)) return null;
  return service.permissions.verdict(user!, client.database, command, wordsOf(buf, args));
}

/** Asks the engine whether the user may, if nobody has yet. True: come again when the stall is over. */
export function asksPermission(
  session: Session,
  command: Command,
  buf: Buffer,
  args: RequestArguments,
): boolean {
  if (!session.authenticated || command.subcommands !== null || !command.fits(args.argc))
    return false;
  if (verdictOf(session, command, buf, args) !== undefined) return false;
  const { service, client } = session;
  session.stall(STALL_BUSY);
  void service.permissions
    .ask(service.user(client.user)!, client.database, command, wordsOf(buf, args))
    .then(() => session.release());
  return true;
}

/** An EXEC that cannot even begin ends its transaction (multi.c, execCommandAbort). */
function abortExec(session: Session, reason: string): Buffer {
  endTransaction(session);
  return errorReply(`EXECABORT Transaction discarded because of: ${reason}`);
}

/** server.c, commandCheckExistence: the name and the first arguments, 128 bytes of each at most. */
function unknownCommand(buf: Buffer, args: RequestArguments): Buffer {
  let shown = '';
  for (let i = 1; i < args.argc && shown.length < 128; i++) {
    shown += `'${text(buf, args, i).slice(0, 128 - shown.length)}' `;
  }
  return errorReply(
    `ERR unknown command '${text(buf, args, 0).slice(0, 128)}', with args beginning with: ${shown}`,
    'latin1',
  );
}

function unknownSubcommand(container: Command, buf: Buffer, args: RequestArguments): Buffer {
  return errorReply(
    `ERR unknown subcommand '${text(buf, args, 1).slice(0, 128)}'. Try ${container.name.toUpperCase()} HELP.`,
    'latin1',
  );
}

/** An argument as the engine prints it: up to its first zero byte. */
function wordsOf(buf: Buffer, args: RequestArguments): string[] {
  return Array.from({ length: args.argc }, (_, i) =>
    buf.toString('latin1', args.argStart[i], args.argEnd[i]),
  );
}

function text(buf: Buffer, args: RequestArguments, index: number): string {
  return buf.toString('latin1', args.argStart[index], args.argEnd[index]).split('\0', 1)[0]!;
}
