/** What one session is subscribed to. */
export class Subscriptions {
  readonly channels = new Set<string>();
  readonly patterns = new Set<string>();
  readonly shardChannels = new Set<string>();

  /** All of them: what the engine's replies to (UN)SUBSCRIBE count is channels plus patterns, and shard channels apart. */
  get count(): number {
    return this.channels.size + this.patterns.size + this.shardChannels.size;
  }
}
