/**
 * A channel, pattern or shard channel with the sessions of one user that want it: one subscription at a node for all of
 * them.
 */
import type { Claim } from './pubsub-claim.ts';
import type { PubSubFeed } from './pubsub-feed.ts';
import type { Session } from '../session.ts';

export type TopicKind = 'channel' | 'pattern' | 'shard';

/** The engine's words for a kind. */
export interface TopicWords {
  readonly subscribe: string;
  readonly unsubscribe: string;
  readonly message: string;
}

export const TOPIC_WORDS: Readonly<Record<TopicKind, TopicWords>> = {
  channel: { subscribe: 'subscribe', unsubscribe: 'unsubscribe', message: 'message' },
  pattern: { subscribe: 'psubscribe', unsubscribe: 'punsubscribe', message: 'pmessage' },
  shard: { subscribe: 'ssubscribe', unsubscribe: 'sunsubscribe', message: 'smessage' },
};

export class Topic {
  readonly kind: TopicKind;
  /** Latin1 of the bytes. */
  readonly name: string;
  readonly bytes: Buffer;
  /** Of a shard channel; NO_SLOT for the others. */
  readonly slot: number;
  readonly user: string;
  /** Who gets its messages. */
  readonly sessions = new Set<Session>();
  /** Who waits for the node's confirmation. */
  readonly claims = new Set<Claim>();
  /** The connection that carries it, or will once the node has confirmed; null: none yet. */
  feed: PubSubFeed | null = null;
  /** Confirmed by the node. */
  live = false;
  /** Times in a row that a node has sent it elsewhere. */
  redirects = 0;

  constructor(kind: TopicKind, name: string, slot: number, user: string) {
    this.kind = kind;
    this.name = name;
    this.bytes = Buffer.from(name, 'latin1');
    this.slot = slot;
    this.user = user;
  }

  get wanted(): boolean {
    return this.sessions.size > 0 || this.claims.size > 0;
  }
}
