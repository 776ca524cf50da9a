/**
 * A client's MULTI and WATCH. Commands are collected (queue-command.ts) and leave at EXEC as one contiguous batch on the
 * shared connection (exec.ts). WATCH takes a connection of its own, which is its state: when that is lost or its slot has
 * moved, the transaction aborts, as it must when nobody can say that the keys were not touched.
 */
import { CommandQueue } from './command-queue.ts';
import { NO_SLOT } from './routing/request.ts';
import type { Upstream } from './routing/upstream.ts';
import type { Session } from './session.ts';

export interface Transaction {
  /** Between MULTI and EXEC; false: only watching. */
  open: boolean;
  queued: CommandQueue;
  /** One of them changes what the client is subscribed to. */
  subscribes: boolean;
  slot: number;
  /** A command could not be queued: EXEC will refuse, and no more are kept. */
  failed: boolean;
  /** Database selected inside, or null. */
  database: number | null;
  /** Connection that watches. */
  watcher: Upstream | null;
  watchedSlot: number;
  /** Databases and keys: one that is watched twice counts once. */
  watched: ReadonlySet<string>;
  /** The watch is lost: EXEC will abort. */
  broken: boolean;
}

export function newTransaction(): Transaction {
  return {
    open: false,
    queued: new CommandQueue(),
    subscribes: false,
    slot: NO_SLOT,
    failed: false,
    database: null,
    watcher: null,
    watchedSlot: NO_SLOT,
    watched: new Set(),
    broken: false,
  };
}

/** EXEC will refuse: nothing of it is kept (multi.c, flagTransaction). */
export function failTransaction(transaction: Transaction): void {
  transaction.failed = true;
  transaction.queued = new CommandQueue();
}

/** Forgets the transaction and what is watched. */
export function endTransaction(session: Session): void {
  session.client.transaction?.watcher?.destroy();
  session.client.transaction = null;
}
