/** What a command inside MULTI becomes: QUEUED, or why not. The engine decides the same at the same moment. */
import { FLAG_NO_MULTI, type RequestArguments } from '../protocol/command-table.ts';
import { hashSlot } from '../protocol/hash-slot.ts';
import type { PlannedCommand } from './command-book.ts';
import { PLAN_FANOUT, PLAN_PROXY } from './command-plan.ts';
import { CROSS_SLOT, errorReply, QUEUED_REPLY } from './proxy-error.ts';
import { isRefusedWrite, readOnlyScript, writeRefusal } from './reader.ts';
import { NO_SLOT } from './routing/request.ts';
import type { Session } from './session.ts';
import { QUEUED_COMMAND_BYTES, type CommandQueue } from './command-queue.ts';
import { failTransaction } from './transaction.ts';

/** Of the proxy's own commands, the ones that the engine can answer as part of a batch. */
const BATCHED_COMMANDS: ReadonlySet<string> = new Set([
  'ping', 'echo', 'select', 'unwatch', 'msetex', 'publish', 'spublish',
]); // prettier-ignore
/** Likewise where there is one primary: inside a transaction they neither wait nor find a script to kill. */
const BATCHED_UNSHARDED: ReadonlySet<string> = new Set([
  'wait', 'waitaof', 'script|kill', 'function|kill',
]); // prettier-ignore
const RUNS_BY_NAME: ReadonlySet<string> = new Set(['evalsha', 'evalsha_ro']);
const SHA1 = /^[0-9a-f]{40}$/i;
/** Scripts of one transaction that are brought to its node; of more, the client has to see to it. */
const SCRIPTS_MAXIMUM = 100;
const PUBLISHES: ReadonlySet<string> = new Set(['publish', 'spublish']);
const SUBSCRIBES: ReadonlySet<string> = new Set([
  'subscribe', 'psubscribe', 'ssubscribe', 'unsubscribe', 'punsubscribe', 'sunsubscribe',
]); // prettier-ignore

/** Queues one command, `buf[start, end)`; the reply is QUEUED or why not, in which case EXEC will fail as well. */
export function queueCommand(
  session: Session,
  planned: PlannedCommand,
  buf: Buffer,
  start: number,
  end: number,
  args: RequestArguments,
): Buffer {
  const transaction = session.client.transaction!;
  const refusal = queueRefusal(session, planned, buf, args) ?? sizeRefusal(session, end - start);
  if (refusal !== null) {
    failTransaction(transaction);
    return refusal;
  }
  // It will not be executed: nothing of it is kept (multi.c, queueMultiCommand).
  if (transaction.failed || transaction.broken) return QUEUED_REPLY;
  const script = readOnlyScript(session, planned, buf, args);
  if (script !== null)
    transaction.queued.send(script.planned, script.bytes, 0, script.bytes.length);
  else keep(session, planned, buf, start, end);
  if (RUNS_BY_NAME.has(planned.command.name)) noteScript(transaction.queued, buf, args);
  transaction.subscribes ||= SUBSCRIBES.has(planned.command.name);
  return QUEUED_REPLY;
}

/** The node that executes it must have the script by then. */
function noteScript(queued: CommandQueue, buf: Buffer, args: RequestArguments): void {
  const name = buf.toString('latin1', args.argStart[1], args.argEnd[1]);
  if (!SHA1.test(name)) return;
  queued.scripts ??= new Set();
  if (queued.scripts.size < SCRIPTS_MAXIMUM) queued.scripts.add(name.toLowerCase());
}

function keep(
  session: Session,
  planned: PlannedCommand,
  buf: Buffer,
  start: number,
  end: number,
): void {
  const { queued } = session.client.transaction!;
  const { atExec, amend } = session.service.commands.handlerOf(planned.command.name) ?? {};
  if (atExec !== undefined && isAnsweredHere(session, planned))
    queued.answer(planned, buf, start, end);
  else if (amend !== undefined) queued.mend(planned, buf, start, end);
  else queued.send(planned, buf, start, end);
}

/** Does the proxy answer it also inside a transaction? Else it goes to the node with the rest. */
function isAnsweredHere(session: Session, { kind, command }: PlannedCommand): boolean {
  if (kind !== PLAN_PROXY) return false;
  // To a RESP2 subscriber PONG looks different, and who is one the proxy knows.
  if (command.name === 'ping') return session.client.transaction!.subscribes;
  if (BATCHED_COMMANDS.has(command.name)) return false;
  return session.service.cache.sharding || !BATCHED_UNSHARDED.has(command.name);
}

function queueRefusal(
  session: Session,
  planned: PlannedCommand,
  buf: Buffer,
  args: RequestArguments,
): Buffer | null {
  const { command, kind } = planned;
  const transaction = session.client.transaction!;
  const { cache } = session.service;
  const { keyMaximumBytes } = cache.limits;
  const answered =
    isAnsweredHere(session, planned) &&
    session.service.commands.handlerOf(command.name)?.atExec === undefined;
  // The batch is executed before the proxy subscribes: its message would be lost.
  const unheard = transaction.subscribes && PUBLISHES.has(command.name);
  if (
    command.flags & FLAG_NO_MULTI ||
    answered ||
    unheard ||
    (kind === PLAN_FANOUT && cache.sharding)
  )
    return notAllowed(session, command.name);
  if (command.name === 'select') {
    const database = Number(buf.toString('latin1', args.argStart[1], args.argEnd[1]));
    if (!Number.isInteger(database) || database < 0 || database >= cache.databases) return null; // the engine will say so
    transaction.database = database;
  }
  const refused = isRefusedWrite(session, planned);
  if (refused && !cache.sharding) return writeRefusal(cache, NO_SLOT);
  for (const key of command.keysOf(buf, args)) {
    const start = args.argStart[key]!;
    const end = args.argEnd[key]!;
    if (end - start > keyMaximumBytes) {
      return errorReply(`ERR a key exceeds the limit of ${keyMaximumBytes} bytes of this cache`);
    }
    if (!cache.sharding) continue;
    const slot = hashSlot(buf, start, end);
    if (refused) return writeRefusal(cache, slot);
    if (transaction.slot === NO_SLOT) transaction.slot = slot;
    else if (transaction.slot !== slot) return CROSS_SLOT;
  }
  if (refused) return writeRefusal(cache, NO_SLOT);
  return null;
}

/** Is this command one too many for a transaction that is still kept? */
function sizeRefusal(session: Session, sizeBytes: number): Buffer | null {
  const transaction = session.client.transaction!;
  const { requestMaximumBytes } = session.service.cache.limits;
  const { queued, failed } = transaction;
  if (failed || queued.sizeBytes + sizeBytes + QUEUED_COMMAND_BYTES <= requestMaximumBytes)
    return null;
  return errorReply(
    `ERR a transaction of more than ${requestMaximumBytes} bytes, ${QUEUED_COMMAND_BYTES} of them for each command, exceeds the limit of this cache`,
  );
}

/** server.c, processCommand: it also makes EXEC fail. */
export function notAllowed(session: Session, command: string): Buffer {
  failTransaction(session.client.transaction!);
  return errorReply(`ERR Command '${command}' not allowed inside a transaction`);
}
