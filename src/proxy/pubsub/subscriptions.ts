/** What one session is subscribed to. Names are bytes, kept as latin1 strings; the order is the order of subscribing. */
import type { Topic, TopicKind } from './topic.ts';

export class Subscriptions {
  readonly channels = new Map<string, Topic>();
  readonly patterns = new Map<string, Topic>();
  readonly shardChannels = new Map<string, Topic>();

  /** All of them: while there is one, a RESP2 client is in subscriber mode. */
  get count(): number {
    return this.channels.size + this.patterns.size + this.shardChannels.size;
  }

  of(kind: TopicKind): Map<string, Topic> {
    return kind === 'channel'
      ? this.channels
      : kind === 'pattern'
        ? this.patterns
        : this.shardChannels;
  }

  /** The number in the reply to (UN)SUBSCRIBE: channels and patterns together, shard channels apart (pubsub.c). */
  countFor(kind: TopicKind): number {
    return kind === 'shard' ? this.shardChannels.size : this.channels.size + this.patterns.size;
  }

  all(): Topic[] {
    return [...this.channels.values(), ...this.patterns.values(), ...this.shardChannels.values()];
  }
}
