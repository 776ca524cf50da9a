/**
 * The lanes: which thing of a cache is looked at under which key of the queue. One lane for a cache as a whole, one for
 * each of its shards; within a lane one thing happens at a time, lanes do not wait for one another.
 *
 *   cache:ID        creation, users, deletion     CacheLifecycle
 *   shard:ID:N      failover, healing             ShardKeeper
 *   replacement:ID  new nodes for old ones        NodeReplacement
 *
 * And one for each host that is emptied: host:ID, HostDrain.
 */
import type { Logger } from 'pino';
import { KeyedQueue, type RunResult } from './keyed-queue.ts';
import type { CacheRecord, NodeRecord, ShardRecord } from './store-records.ts';

/** Who looks. `lane` is the name under which its steps are written down. */
export interface LaneRuns {
  cache(cacheId: string, lane: string, signal: AbortSignal): Promise<RunResult>;
  shard(cacheId: string, shard: number, lane: string, signal: AbortSignal): Promise<RunResult>;
  replacement(cacheId: string, lane: string, signal: AbortSignal): Promise<RunResult>;
  host(hostId: string): Promise<RunResult>;
}

export interface LookOptions {
  /** Abort the run under way, because what it looked at is no longer so. */
  readonly interrupt?: boolean;
  /** What is to be seen may have been seen before: a look under way, or one that waits after a failure, is as good. */
  readonly patient?: boolean;
}

export class Lanes {
  readonly #queue: KeyedQueue;

  constructor(runs: LaneRuns, log: Logger) {
    this.#queue = new KeyedQueue(
      (lane, signal) => {
        const [kind, cacheId = '', shard] = lane.split(':');
        if (kind === 'cache') return runs.cache(cacheId, lane, signal);
        if (kind === 'host') return runs.host(cacheId);
        if (kind === 'replacement') return runs.replacement(cacheId, lane, signal);
        return runs.shard(cacheId, Number(shard), lane, signal);
      },
      (lane, error, retryMs) => log.warn({ lane, err: error, retryMs }, 'will look again'),
    );
  }

  lookAtCache(cacheId: string, options: LookOptions = {}): void {
    this.#queue.add(cacheLane(cacheId), options);
  }

  /** Looks, and resolves when nothing is left to be done for the cache as a whole at once. */
  async settleCache(cacheId: string): Promise<void> {
    this.lookAtCache(cacheId);
    await this.#queue.idle(cacheLane(cacheId));
  }

  lookAtShard(cacheId: string, shard: number, options: LookOptions = {}): void {
    this.#queue.add(shardLane(cacheId, shard), options);
  }

  lookAtShards(cacheId: string, shards: readonly ShardRecord[]): void {
    for (const { shard } of shards) this.lookAtShard(cacheId, shard);
  }

  /** Resolves when nothing is left to be done at once for these shards. */
  async shardsIdle(cacheId: string, shards: readonly ShardRecord[]): Promise<void> {
    await Promise.all(shards.map(({ shard }) => this.#queue.idle(shardLane(cacheId, shard))));
  }

  /** Looks at the lane that a node is in: of its shard once the cache is formed, else of the cache. */
  lookAtNode(cache: CacheRecord, node: NodeRecord, options: LookOptions = {}): void {
    if (cache.formed) this.lookAtShard(cache.id, node.shard, options);
    else this.lookAtCache(cache.id, options);
  }

  lookAtReplacement(cacheId: string): void {
    this.#queue.add(replacementLane(cacheId));
  }

  lookAtHost(hostId: string): void {
    this.#queue.add(`host:${hostId}`);
  }

  /** Ends what runs for the cache's shards and nodes; resolves when nothing of it is left. */
  async drainShards(cacheId: string): Promise<void> {
    await this.#queue.drain(replacementLane(cacheId));
    await this.#queue.drainAll(`shard:${cacheId}:`);
  }

  /** As `drainShards`, of one of them. */
  async drainShard(cacheId: string, shard: number): Promise<void> {
    await this.#queue.drain(shardLane(cacheId, shard));
  }

  /** For good; resolves when what ran has ended. */
  stop(): Promise<void> {
    return this.#queue.stop();
  }
}

function cacheLane(cacheId: string): string {
  return `cache:${cacheId}`;
}

function replacementLane(cacheId: string): string {
  return `replacement:${cacheId}`;
}

/** The name of a shard's lane. */
export function shardLane(cacheId: string, shard: number): string {
  return `shard:${cacheId}:${shard}`;
}
