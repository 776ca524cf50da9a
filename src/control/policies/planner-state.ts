/**
 * What the planner remembers from one second to the next: plain JSON data, bounded, kept by whoever runs the planner
 * (control in its store, the simulator in memory). Unreadable or missing state is replaced by a fresh one: the planner then
 * acts on what it sees, and scales nothing in before it has seen enough again.
 */

/** Days of history for the same hour of earlier days. */
export const HISTORY_DAYS = 7;
/** Length of a bucket of that history: a quarter of an hour. */
export const HISTORY_BUCKET_MS = 900_000;
export const HISTORY_BUCKETS = 86_400_000 / HISTORY_BUCKET_MS;
/** Buckets of recent peaks, for "quiet for so long". */
export const PEAK_BUCKET_MS = 30_000;
export const PEAK_BUCKETS = 128;

/** Samples of a shard's ECPU that are remembered: a utilisation may be of any of these seconds. */
export const RECENT_SAMPLES = 5;

export interface PlannerState {
  readonly version: 2;
  readonly demand: DemandState;
  readonly capacity: CapacityState;
  readonly season: SeasonState;
  readonly scaleIn: ScaleInState;
  /** By shard number. */
  readonly shards: Readonly<Record<string, ShardMemory>>;
  /** When each kind of event was raised last, so that it is not raised each second. */
  readonly raisedAtMs: Readonly<Record<string, number>>;
  /** When slot moves were planned, of the last minute. */
  readonly movesAtMs: readonly number[];
  /** Hot keys' slots: when each was last seen hot. */
  readonly hotSlotSeenMs: Readonly<Record<string, number>>;
}

/** Demand in ECPU per second. */
export interface DemandState {
  /** Of the last sample taken in; null before the first. */
  readonly sampledAtMs: number | null;
  readonly fast: number;
  /** Holt's level and trend (per second). */
  readonly level: number;
  readonly trend: number;
  /** Used memory over all primaries, and its trend per second. */
  readonly bytes: number;
  readonly bytesTrend: number;
  /** Samples in a row that asked for more shards than there are. */
  readonly samplesShort: number;
}

export interface CapacityState {
  /** ECPU per second of one node at full utilisation, by its io-threads. */
  readonly byIoThreads: Readonly<Record<string, number>>;
}

export interface SeasonState {
  /** Day (since 1970, UTC) of each row, newest last. */
  readonly days: readonly number[];
  /** HISTORY_BUCKETS peaks of demand a row; -1 where nothing was seen. */
  readonly rows: readonly (readonly number[])[];
  /** Decayed relative errors of the two predictions of a bucket made one bucket before; null before the first. */
  readonly seasonalError: number | null;
  readonly naiveError: number | null;
  /** Predictions for the bucket that is being filled. */
  readonly predicted: {
    readonly bucket: number;
    readonly seasonal: number | null;
    readonly naive: number;
  } | null;
}

export interface ScaleInState {
  /** PEAK_BUCKET_MS each, newest last; null where nothing was seen: nobody knows what was asked for. */
  readonly peaks: readonly (Peak | null)[];
  /** Number of the newest bucket since 1970; null before the first sample. */
  readonly bucket: number | null;
  /** When a shard was last marked for draining; null: never, or its regret is counted already. */
  readonly lastInMs: number | null;
  /** Times in a row that a scale-in was regretted soon after: each doubles the quiet that the next one needs. */
  readonly regrets: number;
  readonly regretAtMs: number | null;
  /** Demand that the newest scale-in was to leave enough for; null: none, or it is known that it did not. */
  readonly leftForEcpu: number | null;
  /** Times that it was not enough for even that: what was learned of the nodes' capacity flatters fewer shards. */
  readonly misjudged: number;
}

/** The most within a bucket. */
export interface Peak {
  /** Demand per second. */
  readonly ecpu: number;
  /** Shards that the load of any of its seconds needed, at the utilisation that a scale-in may leave. */
  readonly shards: number;
}

/** What is remembered of one shard. */
export interface ShardMemory {
  /** Since when its utilisation is below what fewer io-threads would do; null: it is not. */
  readonly ioQuietSinceMs: number | null;
  /** Its share of the cache's load, averaged since its last job; null: not known since. */
  readonly loadShare: number | null;
  /** When a job last occupied it. */
  readonly occupiedAtMs: number | null;
  /** Samples in a row that it was out of balance. */
  readonly unbalancedSamples: number;
  /** Since when its memory limit is far above what it uses; null: it is not. */
  readonly memoryQuietSinceMs: number | null;
  /** ECPU per second of its newest samples, RECENT_SAMPLES at the most; begun anew with each job. */
  readonly recentEcpu?: readonly number[];
  /** What its requests cost over what their ECPU says, smoothed; absent: nothing has been learned of it. */
  readonly costFactor?: number;
}

export function freshPlannerState(): PlannerState {
  return {
    version: 2,
    demand: {
      sampledAtMs: null,
      fast: 0,
      level: 0,
      trend: 0,
      bytes: 0,
      bytesTrend: 0,
      samplesShort: 0,
    },
    capacity: { byIoThreads: {} },
    season: { days: [], rows: [], seasonalError: null, naiveError: null, predicted: null },
    scaleIn: {
      peaks: [],
      bucket: null,
      lastInMs: null,
      regrets: 0,
      regretAtMs: null,
      leftForEcpu: null,
      misjudged: 0,
    },
    shards: {},
    raisedAtMs: {},
    movesAtMs: [],
    hotSlotSeenMs: {},
  };
}
