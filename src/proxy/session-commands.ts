/**
 * Everything that is not a plain forwarded command: the checks that the engine makes before it executes (in its order:
 * logged in? known? arity? allowed here?), then by plan: split, fanned out, blocking, refused, or one of the handlers.
 */
import {
  FLAG_NO_AUTH,
  FLAG_READONLY,
  FLAG_WRITE,
  type Command,
  type RequestArguments,
} from '../protocol/command-table.ts';
import { messageOf } from '../lib/errors.ts';
import { blockingCommand, mayBlock } from './blocking.ts';
import type { PlannedCommand } from './command-book.ts';
import {
  PLAN_BLOCKING,
  PLAN_FANOUT,
  PLAN_FORWARD,
  PLAN_PROXY,
  PLAN_REFUSED,
  PLAN_SPLIT,
} from './command-plan.ts';
import { errorReply, NO_AUTH, noPermission, overLimit, wrongArity } from './proxy-error.ts';
import type { Session } from './session.ts';
import { KEY_TOO_LONG, slotOf } from './slot-of.ts';
import { STALL_BUSY } from './stalls.ts';
import { isRefusedWrite, readOnlyScript, writeRefusal } from './reader.ts';
import { LARGE_REQUEST_BYTES } from './routing/request.ts';
import { fanOut, splitByShard } from './split.ts';
import { queueCommand } from './queue-command.ts';
import { endTransaction, failTransaction } from './transaction.ts';

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

/** What a client may say while it has RESP2 subscriptions. */
const SUBSCRIBED_COMMANDS: ReadonlySet<string> = new Set([
  'subscribe', 'unsubscribe', 'psubscribe', 'punsubscribe', 'ssubscribe', 'sunsubscribe', 'ping', 'quit', 'reset',
]); // prettier-ignore

export class SessionCommands {
  readonly #handlers: Map<string, HandlerEntry>;

  constructor(handlers: HandlerTable) {
    this.#handlers = new Map(
      Object.entries(handlers).map(([name, entry]) => [
        name,
        typeof entry === 'function' ? { run: entry } : entry,
      ]),
    );
  }

  /** Names of the commands that have a handler. */
  get handled(): ReadonlySet<string> {
    return new Set(this.#handlers.keys());
  }

  handlerOf(command: string): HandlerEntry | undefined {
    return this.#handlers.get(command);
  }

  /** See InputOwner.takeRequest. False: come again when the stall is over. */
  dispatch(
    session: Session,
    planned: PlannedCommand | null,
    buf: Buffer,
    start: number,
    end: number,
    args: RequestArguments,
  ): boolean {
    const client = session.client;
    const limits = session.service.cache.limits;
    if (args.argc > limits.argumentsMaximum) return this.refuseSize(session, args);
    const handler = planned === null ? undefined : this.#handlers.get(planned.command.name);
    const queued = client.transaction?.open === true && handler?.unqueued !== true;
    const blocks =
      !queued && planned?.kind === PLAN_BLOCKING && mayBlock(planned.command.name, args, buf);
    const large = end - start > LARGE_REQUEST_BYTES;
    const drained = blocks || (!queued && (large || wantsDrained(handler, session)));
    if (drained && !session.drained()) return false;
    if (!session.inStep()) return false;
    if (planned?.kind === PLAN_PROXY && this.#asksPermission(session, planned.command, buf, args))
      return false;

    client.muted = client.replyOff || client.skipNext;
    client.skipNext = false;
    session.commands++;
    session.lastCommand = planned;
    session.lastCommandUs = session.service.router.turn.nowUs;

    const refusal = this.#refusal(session, planned, buf, args);
    if (refusal !== null) {
      if (client.transaction?.open === true) failTransaction(client.transaction);
      session.reply(refusal);
    } else if (queued) {
      session.reply(queueCommand(session, planned!, buf, start, end, args));
    } else {
      this.#execute(session, planned!, handler, blocks, buf, start, end, args);
    }
    if (client.muted && !client.replyOff) client.muted = false;
    if (
      client.tracking !== null &&
      client.transaction?.open !== true &&
      planned?.command.name !== 'client|caching'
    ) {
      client.tracking.caching = false;
    }
    this.updateSpecial(session);
    return true;
  }

  /** A session that is nothing special takes the short way for plain commands. */
  updateSpecial(session: Session): void {
    const client = session.client;
    session.special =
      !session.authenticated ||
      client.replyOff ||
      client.skipNext ||
      client.transaction?.open === true ||
      client.monitor !== null ||
      client.tracking?.caching === true ||
      (client.resp === 2 && client.subscriptions !== null && client.subscriptions.count > 0);
  }

  refuseSize(session: Session, args: RequestArguments): true {
    const limits = session.service.cache.limits;
    session.reply(
      args.argc > limits.argumentsMaximum
        ? errorReply(
            `ERR ${args.argc} arguments in one request exceed the limit of ${limits.argumentsMaximum} of this cache`,
          )
        : errorReply(
            `ERR a key or channel name exceeds the limit of ${limits.keyMaximumBytes} bytes of this cache`,
          ),
    );
    return true;
  }

  /** The cache is at its request limit: the command is not executed, and neither is a transaction that it was to end. */
  refuseOverLimit(session: Session, planned: PlannedCommand): true {
    const { client } = session;
    client.muted = client.replyOff || client.skipNext;
    client.skipNext = false;
    session.lastCommand = planned;
    if (client.transaction?.open === true) endTransaction(session);
    session.refuse(overLimit(session.service.cache.limits.ecpuPerSecondMaximum));
    if (client.muted && !client.replyOff) client.muted = false;
    this.updateSpecial(session);
    return true;
  }

  /** A write on the reader port: what a replica of such a cache says. */
  refuseWrite(session: Session, slot: number): true {
    session.reply(writeRefusal(session.service.cache, slot));
    return true;
  }

  onClosed(session: Session): void {
    const client = session.client;
    client.monitor?.close();
    client.tracking?.close();
    session.service.hub.leave(session);
    endTransaction(session);
    client.unblock = null;
  }

  /** Why the engine would not execute this; null when it would. */
  #refusal(
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
      const denied = this.#verdict(session, command, buf, args);
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
  #verdict(
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
  #asksPermission(
    session: Session,
    command: Command,
    buf: Buffer,
    args: RequestArguments,
  ): boolean {
    if (!session.authenticated || command.subcommands !== null || !command.fits(args.argc))
      return false;
    if (this.#verdict(session, command, buf, args) !== undefined) return false;
    const { service, client } = session;
    session.stall(STALL_BUSY);
    void service.permissions
      .ask(service.user(client.user)!, client.database, command, wordsOf(buf, args))
      .then(() => session.release());
    return true;
  }

  #execute(
    session: Session,
    planned: PlannedCommand,
    handler: HandlerEntry | undefined,
    blocks: boolean,
    buf: Buffer,
    start: number,
    end: number,
    args: RequestArguments,
  ): void {
    const { command } = planned;
    if (handler !== undefined && planned.kind === PLAN_PROXY && !isRefusedWrite(session, planned)) {
      this.#handle(session, planned, handler, buf, start, end, args);
      return;
    }
    const slot = slotOf(command, buf, args, session.service.cache.limits.keyMaximumBytes);
    if (slot === KEY_TOO_LONG) {
      session.reply(
        errorReply(
          `ERR a key exceeds the limit of ${session.service.cache.limits.keyMaximumBytes} bytes of this cache`,
        ),
      );
      return;
    }
    if (isRefusedWrite(session, planned)) {
      this.refuseWrite(session, slot);
      return;
    }
    const script = readOnlyScript(session, planned, buf, args);
    if (script !== null) {
      session.forward(script.planned, script.bytes, 0, script.bytes.length, slot);
      return;
    }
    switch (planned.kind) {
      case PLAN_SPLIT:
        splitByShard(session, planned, buf, start, end, args);
        return;
      case PLAN_FANOUT:
        noteScripts(session, command, buf, args);
        fanOut(session, planned, buf, start, end);
        return;
      case PLAN_BLOCKING:
        if (blocks) blockingCommand(session, planned, Buffer.from(buf.subarray(start, end)), slot);
        else session.forward(planned, buf, start, end, slot);
        return;
      case PLAN_FORWARD:
        if (session.client.tracking?.caching === true)
          forwardAfterCaching(session, planned, buf, start, end, slot);
        else session.forward(planned, buf, start, end, slot);
        return;
      default:
        session.reply(noPermission(session.client.user, command.name));
    }
  }

  #handle(
    session: Session,
    planned: PlannedCommand,
    handler: HandlerEntry,
    buf: Buffer,
    start: number,
    end: number,
    args: RequestArguments,
  ): void {
    // A copy: the handler may take its time, the read buffer does not wait.
    const bytes = Buffer.from(buf.subarray(start, end));
    const list: Buffer[] = [];
    for (let i = 0; i < args.argc; i++)
      list.push(bytes.subarray(args.argStart[i]! - start, args.argEnd[i]! - start));
    const call: Call = { planned, command: planned.command, args: list, bytes };
    const result = handler.run(session, call);
    if (result === null) return;
    if (!(result instanceof Promise)) {
      session.reply(result);
      return;
    }
    const place = session.reserve(planned);
    session.stall(STALL_BUSY);
    void result
      .catch((error: unknown) => {
        session.service.router.log.error(
          { err: error, command: planned.command.name },
          'a command handler failed',
        );
        return errorReply(`ERR ${messageOf(error)}`);
      })
      .then((reply) => {
        if (session.closed) return;
        session.service.router.turn.tick();
        session.complete(place, reply ?? NOTHING);
        this.updateSpecial(session);
        session.release();
      });
  }
}

function wantsDrained(handler: HandlerEntry | undefined, session: Session): boolean {
  const drained = handler?.drained;
  return typeof drained === 'function' ? drained(session) : drained === true;
}

/** What clients do to the scripts of all nodes: the proxy brings them to others (missing-scripts.ts). */
function noteScripts(
  { service }: Session,
  { name }: Command,
  buf: Buffer,
  args: RequestArguments,
): void {
  const { scripts } = service.router;
  if (name === 'script|load') scripts.loaded(buf.subarray(args.argStart[2], args.argEnd[2]));
  else if (name === 'script|flush') {
    scripts.flushed();
    void service.peers.ask('scripts-flushed', service.cache.name, null);
  }
}

const NOTHING = Buffer.alloc(0);
const TOUCHES_KEYS = FLAG_WRITE | FLAG_READONLY;

/** CLIENT CACHING holds for one command of one connection: they go to the node together. */
function forwardAfterCaching(
  session: Session,
  planned: PlannedCommand,
  buf: Buffer,
  start: number,
  end: number,
  slot: number,
): void {
  const bytes = Buffer.concat([session.client.tracking!.prefix!, buf.subarray(start, end)]);
  const request = session.prepare(planned, bytes, 0, bytes.length, slot);
  request.stable = true;
  request.precedingReplies = 1;
  request.skipReplies = 1;
  session.service.router.route(request);
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
