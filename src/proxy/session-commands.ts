/**
 * Everything that is not a plain forwarded command: the checks that the engine makes before it executes
 * (command-refusal.ts), then by plan: split, fanned out, blocking, refused, or one of the handlers.
 */
import type { Command, RequestArguments } from '../protocol/command-table.ts';
import { messageOf } from '../lib/errors.ts';
import { blockingCommand, mayBlock } from './blocking.ts';
import type { PlannedCommand } from './command-book.ts';
import type { Call, HandlerEntry, HandlerTable } from './command-handler.ts';
import { asksPermission, refusalOf } from './command-refusal.ts';
import {
  PLAN_BLOCKING,
  PLAN_FANOUT,
  PLAN_FORWARD,
  PLAN_PROXY,
  PLAN_SPLIT,
} from './command-plan.ts';
import { errorReply, noPermission, overLimit } from './proxy-error.ts';
import type { Session } from './session.ts';
import { KEY_TOO_LONG, slotOf } from './slot-of.ts';
import { STALL_BUSY } from './stalls.ts';
import { isRefusedWrite, readOnlyScript, writeRefusal } from './reader.ts';
import { LARGE_REQUEST_BYTES } from './routing/request.ts';
import { fanOut, splitByShard } from './split.ts';
import { queueCommand } from './queue-command.ts';
import { endTransaction, failTransaction } from './transaction.ts';

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
    if (planned?.kind === PLAN_PROXY && asksPermission(session, planned.command, buf, args))
      return false;

    client.muted = client.replyOff || client.skipNext;
    client.skipNext = false;
    session.commands++;
    session.lastCommand = planned;
    session.lastCommandUs = session.service.router.turn.nowUs;

    const refusal = refusalOf(session, planned, buf, args);
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
        fanOut(session, planned, buf, start, end, afterwards(session, command, buf, args));
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
    const place = session.answers.reserve(planned);
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
        session.answers.complete(place, reply ?? NOTHING);
        this.updateSpecial(session);
        session.release();
      });
  }
}

function wantsDrained(handler: HandlerEntry | undefined, session: Session): boolean {
  const drained = handler?.drained;
  return typeof drained === 'function' ? drained(session) : drained === true;
}

/** What a command that has been done at all nodes means for the proxy, which brings scripts to others (missing-scripts.ts). */
function afterwards(
  { service }: Session,
  { name }: Command,
  buf: Buffer,
  args: RequestArguments,
): (() => void) | null {
  const { scripts } = service.router;
  if (name === 'script|load') {
    const body = Buffer.from(buf.subarray(args.argStart[2], args.argEnd[2]));
    return () => scripts.loaded(body);
  }
  if (name !== 'script|flush') return null;
  return () => {
    scripts.flushed();
    void service.peers.ask('scripts-flushed', service.cache.name, null);
  };
}

const NOTHING = Buffer.alloc(0);

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
