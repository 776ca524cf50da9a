/**
 * A client's MULTI and WATCH. Commands are collected (queue-command.ts) and leave at EXEC as one contiguous batch on the
 * shared connection (exec.ts). WATCH takes a connection of its own, which is its state: when that is lost or its slot has
 * moved, the transaction aborts, as it must when nobody can say that the keys were not touched.
 */
import type { PlannedCommand } from './command-book.ts';
import { NO_SLOT } from './routing/request.ts';
import type { Upstream } from './routing/upstream.ts';
import type { Session } from './session.ts';

/** One command between MULTI and EXEC. */
export interface QueuedCommand {
  readonly planned: PlannedCommand;
  /** The request, encoded. */
  readonly bytes: Buffer;
  /** The proxy answers it when EXEC comes; null: it goes to the node. */
  readonly answer: (() => Buffer | Promise<Buffer>) | null;
  /** Puts the node's reply right; null: it is right. */
  readonly amend: ((reply: Buffer) => Buffer) | null;
}

export interface Transaction {
  /** Between MULTI and EXEC; false: only watching. */
  open: boolean;
  queued: QueuedCommand[];
  /** One of them changes what the client is subscribed to. */
  subscribes: boolean;
  slot: number;
  /** A command could not be queued: EXEC will refuse. */
  failed: boolean;
  /** Database selected inside, or null. */
  database: number | null;
  /** Connection that watches. */
  watcher: Upstream | null;
  watchedSlot: number;
  /** Databases and keys: one that is watched twice counts once. */
  watched: ReadonlySet<string>;
  /** Of the commands, together. */
  sizeBytes: number;
  /** The watch is lost: EXEC will abort. */
  broken: boolean;
}

export function newTransaction(): Transaction {
  return {
    open: false,
    queued: [],
    subscribes: false,
    slot: NO_SLOT,
    failed: false,
    database: null,
    watcher: null,
    watchedSlot: NO_SLOT,
    watched: new Set(),
    sizeBytes: 0,
    broken: false,
  };
}

/** Forgets the transaction and what is watched. */
export function endTransaction(session: Session): void {
  session.client.transaction?.watcher?.destroy();
  session.client.transaction = null;
}
