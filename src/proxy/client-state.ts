/** What a client has said about itself and about its connection. */
import type { Monitor } from './monitor.ts';
import type { Tracking } from './tracking.ts';
import type { Transaction } from './transaction.ts';
import type { Subscriptions } from './pubsub/subscriptions.ts';

export interface ClientState {
  name: string;
  libName: string;
  libVersion: string;
  user: string;
  resp: 2 | 3;
  database: number;
  noTouch: boolean;
  noEvict: boolean;
  /** CLIENT CAPA REDIRECT was sent. */
  redirect: boolean;
  /** READONLY was sent. */
  readonly: boolean;
  /** CLIENT REPLY OFF. */
  replyOff: boolean;
  /** CLIENT REPLY SKIP: the next command gets no reply. */
  skipNext: boolean;
  /** The command at hand gets no reply. */
  muted: boolean;
  /** Between MULTI and EXEC, or watching. */
  transaction: Transaction | null;
  subscriptions: Subscriptions | null;
  /** Sees the commands of all clients. */
  monitor: Monitor | null;
  /** CLIENT TRACKING is on. */
  tracking: Tracking | null;
  /** In a blocking command: ends it (CLIENT UNBLOCK). */
  unblock: ((withError: boolean) => void) | null;
}

export function newClientState(): ClientState {
  return {
    name: '',
    libName: '',
    libVersion: '',
    user: 'default',
    resp: 2,
    database: 0,
    noTouch: false,
    noEvict: false,
    redirect: false,
    readonly: false,
    replyOff: false,
    skipNext: false,
    muted: false,
    transaction: null,
    subscriptions: null,
    monitor: null,
    tracking: null,
    unblock: null,
  };
}
