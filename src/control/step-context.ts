/** What a step may use. */
import type { Logger } from 'pino';
import type { Fleet } from './fleet.ts';
import type { Ports } from './ports.ts';
import type { Store } from './store.ts';
import type { CacheRecord } from './store-records.ts';
import type { WarmPool } from './warm-pool.ts';

export interface StepContext {
  readonly cache: CacheRecord;
  readonly store: Store;
  readonly fleet: Fleet;
  readonly ports: Ports;
  readonly pool: WarmPool;
  readonly log: Logger;
  /** Aborted when the step's reason is no longer so; the step then ends as soon as it safely can. */
  readonly signal: AbortSignal;
  /** Writes an event for users to see. */
  event(kind: string, message: string): void;
  /** Has proxies ask the nodes for roles and slots at once. */
  refresh(): void;
  /** How far a long step is, 0..1, and in one phrase what it has done. */
  progress?(fraction: number, detail: string): void;
  /** Sends proxies a topology made from the store as it is now. */
  publish(): void;
  /**
   * Waits until proxies have nothing under way any more at nodes of this cache that leave, as published last, not longer
   * than that; whether it is so.
   */
  left(timeoutMs: number): Promise<boolean>;
  /** Has a shard looked after, from now on or again. */
  lookAtShard(shard: number): void;
  /** Ends what runs for a shard; resolves when nothing of it is left. */
  drainShard(shard: number): Promise<void>;
}
