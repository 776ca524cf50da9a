/** A snapshot of one shard, as the shard policy reads it. Made by control from real nodes, or by the simulator. */
import type { NodeIdentity } from '../store-records.ts';

export interface ShardNodeView {
  readonly id: string;
  /** What control wrote down last; the engine may have decided otherwise. */
  readonly intent: 'primary' | 'replica';
  readonly identity: NodeIdentity;
  /** `gone` is certain (the process ended, nobody's opinion); `alive` says only that there is a process. */
  readonly process: 'alive' | 'gone';
  /** A start or stop of it is under way or is not due yet. */
  readonly busy: boolean;
  /** Null: it does not answer. */
  readonly observed: ObservedShardNode | null;
  /** What its process does instead of answering, as its host says; null: it answers, is busy, or nobody can tell. */
  readonly hangs: string | null;
  /** Nothing of the machine that it runs on answers. */
  readonly hostLost: boolean;
  /** How long it has not answered, asked again and again; 0 for one that answers. */
  readonly silentMs: number;
  /** A replica that had the whole of its primary's data at least once since its process started. */
  readonly hasData: boolean;
  /** Of an older engine than its primary, it could not execute some of its commands: its offset says too much. */
  readonly hasMissedWrites: boolean;
}

export interface ObservedShardNode {
  readonly role: 'primary' | 'replica';
  /** Node it follows; null when that is none of ours, or it follows nobody. */
  readonly primaryId: string | null;
  /** Replica: its connection to its primary is up, as far as it knows. */
  readonly linkUp: boolean;
  readonly offset: number;
  /** Slots it owns as a primary; always 0 in an unsharded cache. */
  readonly slots: number;
  readonly configEpoch: number;
  /** It knows every node of the cache (always true in an unsharded one). */
  readonly introduced: boolean;
}

export interface ShardView {
  readonly sharding: boolean;
  readonly shard: number;
  readonly nodes: readonly ShardNodeView[];
  /** How many slots the shard was last known to own: a new one, or one that gives its slots away, has none. */
  readonly slots: number;
  /** How long the node that was meant to be primary has been known to be gone; 0 while it is alive. */
  readonly primaryGoneMs: number;
}
