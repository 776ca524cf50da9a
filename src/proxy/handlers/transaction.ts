/** MULTI, EXEC, DISCARD, WATCH and UNWATCH (multi.c). */
import { hashSlot } from '../../protocol/hash-slot.ts';
import { execute, isTransient, wantsDrained } from '../exec.ts';
import { CLUSTER_DOWN, CROSS_SLOT, errorReply, OK_REPLY } from '../proxy-error.ts';
import { notAllowed } from '../queue-command.ts';
import { NO_SLOT } from '../routing/request.ts';
import type { Session } from '../session.ts';
import type { Call, HandlerTable } from '../command-handler.ts';
import { endTransaction, newTransaction } from '../transaction.ts';

/** Keys one connection may watch (AWS's limit). */
const WATCHED_KEYS_MAXIMUM = 1000;
const WATCH_PAUSE_MS = 25;

export const transactionHandlers: HandlerTable = {
  multi: {
    unqueued: true,
    run: (session) => {
      const { client } = session;
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
  exec: { unqueued: true, drained: wantsDrained, run: execute },
  watch: { unqueued: true, drained: true, run: watch },
  unwatch: {
    drained: true,
    run: (session) => {
      endTransaction(session);
      return OK_REPLY;
    },
  },
};

async function watch(session: Session, call: Call): Promise<Buffer> {
  const { client, service } = session;
  if (client.transaction?.open) return notAllowed(session, 'watch');
  const transaction = (client.transaction ??= newTransaction());
  const keys = call.args.slice(1);
  const slots = new Set(keys.map((key) => hashSlot(key, 0, key.length)));
  if (transaction.watchedSlot !== NO_SLOT) slots.add(transaction.watchedSlot);
  if (service.cache.sharding && slots.size > 1) return CROSS_SLOT;
  const watched = new Set(transaction.watched);
  for (const key of keys) watched.add(`${client.database} ${key.toString('latin1')}`);
  if (watched.size > WATCHED_KEYS_MAXIMUM) {
    return errorReply(`ERR more than ${WATCHED_KEYS_MAXIMUM} watched keys`);
  }
  transaction.watched = watched;
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
