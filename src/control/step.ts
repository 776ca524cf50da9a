/**
 * A step: one unit of change to a cache, as it is persisted before it is executed. Every step is idempotent and checks
 * for itself what is already done. When a daemon was killed in the middle, the next one looks at the nodes first: a step
 * that follows from what is there is planned again and goes on where it stopped; one that a user asked for
 * (`planned-failover`) is taken up from its record.
 */
import type { SlotRange } from '../model/slot-range.ts';
import type { EngineLine } from '../model/cache-spec.ts';

export type Step =
  /** Make the process of this node run; `identity: 'fresh'` throws its nodes.conf away first. */
  | {
      readonly kind: 'start-node';
      readonly nodeId: string;
      readonly identity: 'kept' | 'fresh';
      /** Unsharded replica: follow this node from its first moment on. */
      readonly replicaOf: string | null;
    }
  /** The primary died and nobody has its data: start it again, empty, with its slots, writable at once. */
  | { readonly kind: 'restart-primary'; readonly nodeId: string }
  /** Hand out the slots, introduce the nodes, attach the replicas; wait until all nodes agree. */
  | { readonly kind: 'form-cluster' }
  /** Unsharded counterpart of `form-cluster`. */
  | { readonly kind: 'form-replication' }
  /** The primary is certainly dead: make this replica the primary, without asking anyone. */
  | {
      readonly kind: 'take-over';
      readonly nodeId: string;
      readonly deadNodeId: string | null;
    }
  /** End the process of a node that hangs, so that its death is certain. */
  | { readonly kind: 'fence-node'; readonly nodeId: string }
  /** The shard's slots belong to nobody (its primary lost its nodes.conf): give them to this empty node. */
  | { readonly kind: 'reclaim-slots'; readonly nodeId: string }
  /** Both are alive: change places, losing nothing. */
  | { readonly kind: 'planned-failover'; readonly nodeId: string; readonly primaryId: string }
  /** Introduce an empty cluster node to the others, make them forget its old identity, attach it to its primary. */
  | { readonly kind: 'join-replica'; readonly nodeId: string; readonly primaryId: string }
  /** Write down that the engine made another node the primary by itself. */
  | { readonly kind: 'record-roles'; readonly primaryId: string }
  /** A new shard that owns nothing: primary and replicas join the cluster. */
  | {
      readonly kind: 'add-shard';
      readonly shard: number;
      readonly replicas: number;
      readonly maxmemoryBytes: number;
    }
  /** One more node in a shard. `nodeId` is the name it is asked for by: asked again, it is the same one. */
  | {
      readonly kind: 'add-replica';
      readonly shard: number;
      readonly nodeId: string;
      readonly engineLine: EngineLine;
    }
  /** A node that owns nothing leaves its cache for good. */
  | { readonly kind: 'remove-node'; readonly nodeId: string; readonly why: string }
  /** A shard that owns nothing leaves with all its nodes. */
  | { readonly kind: 'remove-shard'; readonly shard: number }
  /** Other settings for all nodes of a shard, while they run. */
  | {
      readonly kind: 'set-shard';
      readonly shard: number;
      readonly ioThreads?: number;
      readonly maxmemoryBytes?: number;
    }
  /** Give slots of one shard, and all that is in them, to another. */
  | {
      readonly kind: 'move-slots';
      readonly from: number;
      readonly to: number;
      readonly ranges: readonly SlotRange[];
    }
  /** End what moves of slots have left behind that nobody goes on with. */
  | { readonly kind: 'mend-slots' }
  /** Bring the access rules of a live node up to date. */
  | { readonly kind: 'sync-users'; readonly nodeId: string };

/** What a policy proposes: a step and, in one sentence, why. The sentence is logged, stored and shown. */
export interface PlannedStep {
  readonly step: Step;
  readonly reason: string;
  /** What was considered instead, and why not: a sentence each. */
  readonly rejected?: readonly string[];
}
