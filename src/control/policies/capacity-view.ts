/**
 * What the capacity planner reads and what it answers: a snapshot of one cache in, steps with reasons out. The control
 * plane makes the snapshot from real nodes, `sim/` from modelled ones; the planner cannot tell them apart.
 *
 * Units: ECPU per second (`Ecpu`), bytes, milliseconds. Utilisation is that of the engine's main thread, 0..1. A shard's
 * number is its identity: numbers are never renumbered and need not be contiguous.
 */
import type { SlotRange } from '../../model/slot-range.ts';
import type { PlannerState } from './planner-state.ts';

export interface CapacityView {
  /** The only clock the planner has. */
  readonly nowMs: number;
  readonly limits: CapacityLimits;
  readonly replicasWanted: number;
  readonly nearCacheAllowed: boolean;
  /** False for an unsharded cache: it has one shard and scales up only. */
  readonly sharding: boolean;
  readonly shards: readonly CapacityShard[];
  readonly slots: SlotFigures;
  /** All that is under way on this cache: moves, joins, removals. */
  readonly jobs: readonly CapacityJob[];
  readonly pool: { readonly ready: number; readonly starting: number };
  /** Every host that could take a node, also those without one of this cache. */
  readonly hosts: readonly CapacityHost[];
  /** From the proxies' sketches, of watched slots only. */
  readonly hotKeys: readonly HotKey[];
  /** Slots whose keys the proxies sketch at present. */
  readonly watchedSlots: readonly number[];
  /** Slots that the proxies may answer from a near cache at present. */
  readonly nearCachedSlots: readonly number[];
}

/** What the user set; 0 in a maximum or minimum of memory or ECPU means none. */
export interface CapacityLimits {
  readonly shardsMinimum: number;
  readonly shardsMaximum: number;
  readonly memoryMinimumBytes: number;
  readonly memoryMaximumBytes: number;
  readonly ecpuPerSecondMinimum: number;
  readonly ecpuPerSecondMaximum: number;
}

export type ShardState = 'joining' | 'serving' | 'draining';

export interface CapacityShard {
  readonly shard: number;
  /** `joining`: a step adds it, it may own nothing yet. `draining`: marked, its slots are to leave. */
  readonly state: ShardState;
  /** Null while it has none (joining, or failing over). */
  readonly primary: CapacityPrimary | null;
  readonly replicas: readonly CapacityReplica[];
}

export interface CapacityPrimary {
  readonly nodeId: string;
  readonly hostId: string;
  /** Of the main thread over the last sample, 0..1; null: not known (no answer, no second sample yet). */
  readonly utilisation: number | null;
  /** The engine's `io-threads`, the main thread counted: 1 is none besides. */
  readonly ioThreads: number;
  /** Null: not known. */
  readonly usedMemoryBytes: number | null;
  /** 0: no limit. */
  readonly maxmemoryBytes: number;
}

export interface CapacityReplica {
  readonly nodeId: string;
  readonly hostId: string;
  readonly online: boolean;
  /** Bytes behind its primary; null: not known. */
  readonly lagBytes: number | null;
  /** As the primary's; absent: nobody asks. */
  readonly utilisation?: number | null;
}

/** One entry a slot, `SLOT_COUNT` of them. */
export interface SlotFigures {
  /** Shard number that owns it, or NO_SHARD. */
  readonly owners: Int32Array;
  /** ECPU per second over the last sample, of all proxies. */
  readonly ecpu: Float64Array;
  /** Estimated. */
  readonly bytes: Float64Array;
  /** Of the newest ECPU sample; older than `sampleStaleMs` the planner takes it for missing. */
  readonly sampledAtMs: number;
}

/** Work under way. A shard in `occupied` gets no other job: one role a node (docs/decisions/0005). */
export interface CapacityJob {
  readonly kind: CapacityStep['kind'];
  readonly occupied: readonly number[];
  /** Of a `move-slots`: where its slots will be. */
  readonly move: {
    readonly from: number;
    readonly to: number;
    readonly ranges: readonly SlotRange[];
  } | null;
}

export interface CapacityHost {
  readonly id: string;
  readonly zone: string;
  readonly cores: number;
  /** Of the whole machine, 0..1; null: not known, then the utilisation of this cache's nodes on it stands in. */
  readonly cpuUtilisation: number | null;
  /** `io-threads` of all nodes on it, of every cache and of the pool. */
  readonly ioThreadsInUse: number;
  readonly nodes: number;
  /** What nodes may still be given, after what is promised to those that run. */
  readonly freeMemoryBytes: number;
}

export interface HotKey {
  readonly slot: number;
  /** Share of the slot's requests, 0..1. */
  readonly share: number;
  /** Share of reads among the key's requests, 0..1. */
  readonly readShare: number;
}

export type CapacityEventName =
  | 'hosts-full'
  | 'shards-at-maximum'
  | 'pool-empty'
  | 'limit-approaching'
  | 'memory-at-maximum'
  | 'hot-key'
  | 'metrics-missing';

/** One unit of change. The executor persists it, and executing it twice does what executing it once does. */
export type CapacityStep =
  | { readonly kind: 'set-io-threads'; readonly nodeId: string; readonly ioThreads: number }
  /** `bytes` is the engine's maxmemory; of all nodes of the shard, the primary and its replicas. */
  | { readonly kind: 'set-memory-limit'; readonly shard: number; readonly bytes: number }
  /** One new primary and the wanted replicas, from the pool. */
  | { readonly kind: 'add-shard'; readonly shard: number }
  | {
      readonly kind: 'move-slots';
      readonly from: number;
      readonly to: number;
      readonly ranges: readonly SlotRange[];
    }
  /** Marks it; moves follow as steps of their own. */
  | { readonly kind: 'drain-shard'; readonly shard: number }
  /** Takes the mark off again: the load came back. */
  | { readonly kind: 'keep-shard'; readonly shard: number }
  /** It owns nothing. */
  | { readonly kind: 'remove-shard'; readonly shard: number }
  | { readonly kind: 'add-replica'; readonly shard: number }
  | { readonly kind: 'remove-replica'; readonly shard: number; readonly nodeId: string }
  /** The proxies sketch the keys of these slots and of no others. */
  | { readonly kind: 'watch-slots'; readonly slots: readonly number[] }
  /** The proxies may answer these slots' hot keys from a near cache, and no others. */
  | { readonly kind: 'near-cache-slots'; readonly slots: readonly number[] }
  | {
      readonly kind: 'raise-event';
      readonly event: CapacityEventName;
      readonly message: string;
    };

export interface PlannedCapacityStep {
  readonly step: CapacityStep;
  readonly reason: string;
  /** Alternatives and why not, each a sentence. */
  readonly rejected: readonly string[];
}

/** A figure that decisions rest on, for `springtide explain`: also when there is nothing to do. */
export interface Explanation {
  readonly about:
    | 'demand'
    | 'capacity'
    | 'shards'
    | 'moves'
    | 'memory'
    | 'hot-key'
    | 'scale-in'
    | 'hosts'
    | 'metrics';
  readonly text: string;
}

export interface CapacityPlan {
  readonly steps: readonly PlannedCapacityStep[];
  /** To be persisted and handed in with the next view. */
  readonly state: PlannerState;
  readonly explanations: readonly Explanation[];
  /** Nodes that were needed and that the pool did not have: `planPool` makes it larger by them. */
  readonly nodesMissing: number;
}
