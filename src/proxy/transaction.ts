/**
 * MULTI and WATCH. Without WATCH the commands are collected here and leave as one contiguous batch on the shared
 * connection. WATCH takes a connection of its own, which is its state: when that is lost or its slot has moved, the
 * transaction aborts, as it must when nobody can say that the keys were not touched.
 */
import { FLAG_NO_MULTI, type RequestArguments } from '../protocol/command-table.ts';
import { hashSlot } from '../protocol/hash-slot.ts';
import { encodeRequest } from '../protocol/request-encoder.ts';
import { encodeReply, NULL_ARRAY } from '../protocol/resp-value.ts';
import type { PlannedCommand } from './command-book.ts';
import { PLAN_FANOUT, PLAN_PROXY } from './command-plan.ts';
import { CLUSTER_DOWN, CROSS_SLOT, errorReply, OK_REPLY, QUEUED_REPLY } from './proxy-error.ts';
import { isRefusedWrite, readOnlyScript, writeRefusal } from './reader.ts';
import { NO_SLOT } from './routing/request.ts';
import type { Session } from './session.ts';
import type { Call, HandlerTable } from './session-commands.ts';
import type { Upstream } from './routing/upstream.ts';

export interface Transaction {
  /** Between MULTI and EXEC; false: only watching. */
  open: boolean;
  commands: Buffer[];
  planned: PlannedCommand[];
  slot: number;
  /** A command could not be queued: EXEC will refuse. */
  failed: boolean;
  /** Database selected inside, or null. */
  database: number | null;
  /** Connection that watches. */
  watcher: Upstream | null;
  watchedSlot: number;
  watchedKeys: number;
  /** Of the commands, together. */
  sizeBytes: number;
  /** The watch is lost: EXEC will abort. */
  broken: boolean;
}

/** Keys one connection may watch (AWS's limit). */
const WATCHED_KEYS_MAXIMUM = 1000;
const WATCH_PAUSE_MS = 25;

/** Of the proxy's own commands, the ones that the engine can answer as part of a batch. */
const BATCHED_COMMANDS: ReadonlySet<string> = new Set([
  'ping',
  'echo',
  'select',
  'role',
  'info',
  'unwatch',
  'msetex',
  'publish',
  'spublish',
]);
const EXECUTE = encodeRequest(['EXEC']);
const MULTI = encodeRequest(['MULTI']);
const EXEC_ABORT = errorReply('EXECABORT Transaction discarded because of previous errors.');

export const transactionHandlers: HandlerTable = {
  multi: {
    unqueued: true,
    run: (session) => {
      const client = session.client;
      if (client.transaction?.open) return notAllowed(session, 'multi');
      client.transaction = { ...(client.transaction ?? newTransaction()), open: true };
      return OK_REPLY;
    },
  },
  discard: {
    unqueued: true,
    run: (session) => {
      if (!session.client.transaction?.open) return errorReply('ERR DISCARD without MULTI');
      endTransaction(session);
      return OK_REPLY;
    },
  },
  exec: { unqueued: true, drained: goesPrivately, run: (session) => execute(session) },
  watch: { unqueued: true, drained: true, run: (session, call) => watch(session, call) },
  unwatch: {
    drained: true,
    run: (session) => {
      endTransaction(session);
      return OK_REPLY;
    },
  },
};

/** Forgets the transaction and what is watched. */
export function endTransaction(session: Session): void {
  session.client.transaction?.watcher?.destroy();
  session.client.transaction = null;
}

/** Queues one command; the reply is QUEUED or why not, in which case EXEC will fail as well. */
export function queueCommand(
  session: Session,
  planned: PlannedCommand,
  bytes: Buffer,
  buf: Buffer,
  args: RequestArguments,
): Buffer {
  const transaction = session.client.transaction!;
  const refusal = queueRefusal(session, planned, buf, args);
  if (refusal !== null) {
    transaction.failed = true;
    return refusal;
  }
  const script = readOnlyScript(session, planned, buf, args);
  transaction.commands.push(script?.bytes ?? Buffer.from(bytes));
  transaction.planned.push(script?.planned ?? planned);
  return QUEUED_REPLY;
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
  const { keyMaximumBytes, requestMaximumBytes } = cache.limits;
  transaction.sizeBytes += args.argEnd[args.argc - 1]! - args.argStart[0]!;
  if (transaction.sizeBytes > requestMaximumBytes) {
    // It could only be refused: nothing of it is kept.
    transaction.commands = [];
    return errorReply(
      `ERR a transaction of more than ${requestMaximumBytes} bytes exceeds the limit of this cache`,
    );
  }
  const merged = kind === PLAN_FANOUT || (cache.sharding && command.name === 'info');
  const answered = kind === PLAN_PROXY && !BATCHED_COMMANDS.has(command.name);
  if (command.flags & FLAG_NO_MULTI || answered || merged) return notAllowed(session, command.name);
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

/** server.c, processCommand: it also makes EXEC fail. */
function notAllowed(session: Session, command: string): Buffer {
  session.client.transaction!.failed = true;
  return errorReply(`ERR Command '${command}' not allowed inside a transaction`);
}

function execute(session: Session): Buffer | null | Promise<Buffer | null> {
  const { client, service } = session;
  const transaction = client.transaction;
  if (!transaction?.open) return errorReply('ERR EXEC without MULTI');
  client.transaction = null;
  if (transaction.failed) {
    transaction.watcher?.destroy();
    return EXEC_ABORT;
  }
  if (transaction.broken) return encodeReply(NULL_ARRAY, client.resp);
  const crossed =
    transaction.watcher !== null &&
    transaction.slot !== NO_SLOT &&
    transaction.slot !== transaction.watchedSlot;
  if (crossed && service.cache.sharding) {
    transaction.watcher!.destroy();
    return CROSS_SLOT;
  }
  if (transaction.commands.length === 0 && transaction.watcher === null)
    return Buffer.from('*0\r\n');
  const caching = client.tracking?.prefix ?? null;
  const batch = Buffer.concat([
    ...(caching === null ? [] : [caching]),
    MULTI,
    ...transaction.commands,
    EXECUTE,
  ]);
  const preceding = transaction.commands.length + (caching === null ? 1 : 2);
  if (!isPrivate(transaction)) {
    const request = session.prepare(null, batch, 0, batch.length, transaction.slot);
    request.precedingReplies = preceding;
    request.skipReplies = preceding;
    request.repeatable = transaction.planned.every((planned) => planned.repeatable);
    service.router.route(request);
    return null;
  }
  return executePrivately(session, transaction, batch, preceding);
}

/** Does EXEC go over a connection of its own? Then it must not overtake what the session has sent over the shared one. */
function goesPrivately({ client }: Session): boolean {
  return client.transaction !== null && isPrivate(client.transaction);
}

function isPrivate({ watcher, database }: Transaction): boolean {
  return watcher !== null || database !== null;
}

/** On the watching connection, or on one of its own when it selects another database. */
async function executePrivately(
  session: Session,
  transaction: Transaction,
  batch: Buffer,
  preceding: number,
): Promise<Buffer> {
  const { client, service } = session;
  const slot = transaction.slot === NO_SLOT ? transaction.watchedSlot : transaction.slot;
  const upstream =
    transaction.watcher ??
    service.router.connections.openLike(session.lane!, service.router.ownerOf(slot));
  const reply = await service.router.askBytes(batch, {
    fixed: upstream,
    preceding,
    repeatable: false,
  });
  // EXEC leaves nothing on the connection; a client that tracks wants to hear of what was read over it.
  if (transaction.database === null && reply[0] !== MINUS)
    service.router.connections.givePrivate(session.lane!, upstream);
  else upstream.destroy();
  if (isTransient(reply)) return encodeReply(NULL_ARRAY, client.resp);
  // Neither refused nor aborted: SELECT was executed.
  const executed = reply[0] === STAR && reply[1] !== MINUS;
  if (transaction.database !== null && executed)
    session.service.login.selectDatabase(session, transaction.database);
  return reply;
}

async function watch(session: Session, call: Call): Promise<Buffer> {
  const { client, service } = session;
  if (client.transaction?.open) return notAllowed(session, 'watch');
  const transaction = (client.transaction ??= newTransaction());
  const keys = call.args.slice(1);
  const slots = new Set(keys.map((key) => hashSlot(key, 0, key.length)));
  if (transaction.watchedSlot !== NO_SLOT) slots.add(transaction.watchedSlot);
  if (service.cache.sharding && slots.size > 1) return CROSS_SLOT;
  transaction.watchedKeys += keys.length;
  if (transaction.watchedKeys > WATCHED_KEYS_MAXIMUM) {
    return errorReply(`ERR more than ${WATCHED_KEYS_MAXIMUM} watched keys`);
  }
  const slot = hashSlot(keys[0]!, 0, keys[0]!.length);
  transaction.watchedSlot = slot;
  const { broken } = transaction;
  const giveUpMs = performance.now() + service.cache.deadlineMs;
  for (;;) {
    const first = transaction.watcher === null;
    const upstream = (transaction.watcher ??= service.router.connections.openLike(
      session.lane!,
      service.router.ownerOf(slot),
      { onClosed: () => (transaction.broken ||= transaction.watcher === upstream) },
    ));
    const reply = await service.router.askBytes(Buffer.from(call.bytes), { fixed: upstream });
    if (!isTransient(reply)) return reply;
    transaction.watcher = null;
    upstream.destroy();
    const late = performance.now() > giveUpMs;
    if (!first || late || session.closed) {
      // What was watched before is lost: EXEC must abort, and WATCH itself is done.
      transaction.broken = true;
      return first ? CLUSTER_DOWN : OK_REPLY;
    }
    // Nothing was watched over the connection that is gone.
    transaction.broken = broken;
    service.router.refresh();
    await new Promise((resolve) => setTimeout(resolve, WATCH_PAUSE_MS));
  }
}

/** An error that says "not here" or "not now": nothing was executed. */
function isTransient(reply: Buffer): boolean {
  if (reply[0] !== MINUS) return false;
  const kind = reply.toString('latin1', 1, Math.max(1, reply.indexOf(32)));
  return [
    'MOVED',
    'ASK',
    'TRYAGAIN',
    'CLUSTERDOWN',
    'LOADING',
    'MASTERDOWN',
    'READONLY',
    'NODELOST',
  ].includes(kind);
}

function newTransaction(): Transaction {
  return {
    open: false,
    commands: [],
    planned: [],
    slot: NO_SLOT,
    failed: false,
    database: null,
    watcher: null,
    watchedSlot: NO_SLOT,
    watchedKeys: 0,
    sizeBytes: 0,
    broken: false,
  };
}

const MINUS = 45;
const STAR = 42;
