/**
 * EXEC. The queued commands leave as one contiguous batch: on the shared connection (a large one on one for itself), or on
 * the one that watches. What the proxy answers itself is not in the batch: its replies are put into EXEC's afterwards
 * (exec-reply.ts).
 */
import { messageOf } from '../lib/errors.ts';
import { encodeRequest } from '../protocol/request-encoder.ts';
import { encodeReply, NULL_ARRAY } from '../protocol/resp-value.ts';
import { answerInParts } from './answer-later.ts';
import { ecpuOf } from './ecpu-metering.ts';
import { execReply } from './exec-reply.ts';
import { CROSS_SLOT, errorReply } from './proxy-error.ts';
import type { PromiseSinkOptions } from './routing/promise-sink.ts';
import { LARGE_REQUEST_BYTES, NO_SLOT } from './routing/request.ts';
import type { Session } from './session.ts';
import type { Call } from './command-handler.ts';
import type { CommandQueue } from './command-queue.ts';
import { endTransaction, type Transaction } from './transaction.ts';

const EXECUTE = encodeRequest(['EXEC']);
const MULTI = encodeRequest(['MULTI']);
const EXEC_ABORT = errorReply('EXECABORT Transaction discarded because of previous errors.');

/** Null: the reply comes later. */
export function execute(session: Session, call: Call): Buffer | null {
  const { client, service } = session;
  const transaction = client.transaction;
  if (!transaction?.open) return errorReply('ERR EXEC without MULTI');
  if (transaction.failed) {
    endTransaction(session);
    return EXEC_ABORT;
  }
  const { watcher, queued, slot } = transaction;
  if (transaction.broken) {
    client.transaction = null;
    return encodeReply(NULL_ARRAY, client.resp);
  }
  const crossed = watcher !== null && slot !== NO_SLOT && slot !== transaction.watchedSlot;
  if (crossed && service.cache.sharding) {
    endTransaction(session);
    return CROSS_SLOT;
  }
  if (queued.length === 0 && watcher === null) {
    client.transaction = null;
    return Buffer.from('*0\r\n');
  }
  const batch = batchOf(session, queued);
  // CLIENT CACHING held for this one.
  if (client.tracking !== null) client.tracking.caching = false;
  if (isApart(session)) {
    void executeApart(session, call, transaction, batch);
    return null;
  }
  client.transaction = null;
  const request = session.prepare(null, batch.bytes, 0, batch.bytes.length, slot);
  request.precedingReplies = batch.preceding;
  request.skipReplies = batch.preceding;
  request.repeatable = batch.repeatable;
  request.weight = queued.weight;
  request.staysInSlot = service.cache.sharding;
  request.scripts = queued.scripts;
  if (request.scripts === null) service.router.route(request);
  else service.router.routeWithScripts(request);
  return null;
}

/** What goes to the node: the commands that it executes, between MULTI and EXEC. */
interface Batch {
  readonly bytes: Buffer;
  /** Replies before EXEC's. */
  readonly preceding: number;
  readonly repeatable: boolean;
}

function batchOf({ client }: Session, queued: CommandQueue): Batch {
  const sent = queued.length - queued.answered;
  const caching = client.tracking?.prefix ?? null;
  return {
    bytes: Buffer.concat([
      ...(caching === null ? [] : [caching]),
      MULTI,
      ...queued.sentParts(),
      EXECUTE,
    ]),
    preceding: sent + (caching === null ? 1 : 2),
    repeatable: queued.repeatable,
  };
}

/** It must not overtake what the session has sent before over the shared connection. */
export function wantsDrained(session: Session): boolean {
  return (
    isApart(session) || (session.client.transaction?.queued.sentBytes ?? 0) > LARGE_REQUEST_BYTES
  );
}

function isApart({ client, service }: Session): boolean {
  const { transaction } = client;
  return (
    transaction !== null && (isPrivate(transaction) || isMended(transaction, service.hub.idle))
  );
}

function isPrivate({ watcher, database }: Transaction): boolean {
  return watcher !== null || database !== null;
}

/** Is EXEC's reply more than what the node says? `unheard`: nobody here is subscribed to anything. */
function isMended({ queued }: Transaction, unheard: boolean): boolean {
  return queued.answered > 0 || (queued.mended > 0 && !unheard);
}

/**
 * EXEC over a connection of its own, or with replies of the proxy's in it. The client's pushes wait: what it publishes
 * to itself inside comes after EXEC's reply, as from the engine.
 */
async function executeApart(
  session: Session,
  call: Call,
  transaction: Transaction,
  batch: Batch,
): Promise<void> {
  const { client, service } = session;
  const alone = session.goesAlone(batch.bytes.length);
  // From here on the batch is what is held of it.
  transaction.queued.dropSent();
  const { weight } = transaction.queued;
  const answer = answerInParts(session, call, batch.bytes.length, weight);
  session.pushes.hold();
  let keptBytes = 0;
  let begun = false;
  const onKept = (sizeBytes: number): void => {
    keptBytes += sizeBytes;
    begun = true;
    session.replies.hold(sizeBytes);
  };
  let parts: Buffer[];
  try {
    let reply: Buffer;
    const here = transaction.queued.answered === transaction.queued.length;
    if (isPrivate(transaction))
      reply = await executePrivately(session, transaction, batch, {
        // A large one is not held for a client that has gone, and no reply: that has begun, so it was executed.
        abandoned: () => session.closed && (begun || batch.bytes.length > LARGE_REQUEST_BYTES),
        onKept,
      });
    else if (here) reply = Buffer.from('*0\r\n');
    else {
      reply = await service.router.askBytes(batch.bytes, {
        lane: session.lane!,
        slot: transaction.slot,
        alone,
        abandoned: () => session.closed,
        onKept,
        preceding: batch.preceding,
        repeatable: batch.repeatable,
        staysInSlot: service.cache.sharding,
        scripts: transaction.queued.scripts,
      });
    }
    parts = wasExecuted(reply) ? await execReply(session, transaction.queued, reply) : [reply];
  } catch (error) {
    service.router.log.error({ err: error, command: 'exec' }, 'a command handler failed');
    parts = [errorReply(`ERR ${messageOf(error)}`)];
  }
  client.transaction = null;
  session.replies.hold(-keptBytes);
  if (transaction.slot >= 0) countSlot(session, transaction.slot, weight, batch.bytes, parts);
  answer(parts);
  session.pushes.release();
}

/** The slot's part in a request whose place in the session stands for no slot. */
function countSlot(
  { service }: Session,
  slot: number,
  weight: number,
  request: Buffer,
  reply: readonly Buffer[],
): void {
  const replyBytes = reply.reduce((sum, part) => sum + part.length, 0);
  const ecpu = ecpuOf(weight, request.length + replyBytes);
  service.router.heat.countSlot(slot, ecpu, request.length, replyBytes);
}

/** Neither refused nor aborted. */
function wasExecuted(reply: Buffer): boolean {
  return reply[0] === STAR && reply[1] !== MINUS;
}

/** On the watching connection, or on one of its own when it selects another database. */
async function executePrivately(
  session: Session,
  transaction: Transaction,
  batch: Batch,
  hearing: PromiseSinkOptions,
): Promise<Buffer> {
  const { client, service } = session;
  const { connections, scripts } = service.router;
  const slot = transaction.slot === NO_SLOT ? transaction.watchedSlot : transaction.slot;
  const upstream =
    transaction.watcher ?? connections.privateFor(session.lane!, service.router.ownerOf(slot));
  // Whatever becomes of it now, it is not the client's to give up.
  transaction.watcher = null;
  if (transaction.queued.scripts !== null)
    await scripts.bring(upstream.node, transaction.queued.scripts);
  const reply = await service.router.askBytes(batch.bytes, {
    fixed: upstream,
    ...hearing,
    preceding: batch.preceding,
    repeatable: false,
    slot,
    staysInSlot: service.cache.sharding,
  });
  // EXEC leaves nothing on the connection; a client that tracks wants to hear of what was read over it.
  if (transaction.database === null && reply[0] !== MINUS)
    connections.givePrivate(session.lane!, upstream);
  else upstream.destroy();
  if (isTransient(reply)) return encodeReply(NULL_ARRAY, client.resp);
  // Then SELECT was executed as well.
  if (transaction.database !== null && wasExecuted(reply))
    service.login.selectDatabase(session, transaction.database);
  return reply;
}

/** An error that says "not here" or "not now": nothing was executed. */
export function isTransient(reply: Buffer): boolean {
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
    'REDIRECT',
    'NODELOST',
  ].includes(kind);
}

const MINUS = 45;
const STAR = 42;
