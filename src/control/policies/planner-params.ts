/**
 * The planner's tunables, with the defaults the product runs with. They come from calibration runs and from the simulator
 * (docs/benchmarks/elastic-simulated.md), not from a user: a user sets limits (CapacityLimits).
 */

export interface PlannerParams {
  /** A sample older than this is missing: what rests on it is frozen. */
  readonly sampleStaleMs: number;
  /** ECPU per second of one node with one thread at full utilisation, until it is learned. */
  readonly nodeEcpu: number;
  /** Capacity with n io-threads as a multiple of one, at index n - 1; the last holds for more. */
  readonly ioThreadGain: readonly number[];
  readonly ioThreadsMaximum: number;
  /** Threads on a host per core: nodes that share a machine are not busy all at once. */
  readonly threadsPerCore: number;
  /** A host whose processors are busier than this has no room for more threads or shards. */
  readonly hostFullUtilisation: number;
  /** Utilisation that the number of shards aims at. */
  readonly targetUtilisation: number;
  /** More io-threads above this, at the first sample. */
  readonly ioUpUtilisation: number;
  /** Fewer below this, after `ioQuietMs`. */
  readonly ioDownUtilisation: number;
  readonly ioQuietMs: number;
  /** More shards: one sample above this, */
  readonly outUrgentUtilisation: number;
  /** two above this, */
  readonly outUtilisation: number;
  /** or forecast above this within the lead. */
  readonly outForecastUtilisation: number;
  /** A node at this utilisation hides demand: what it serves is multiplied by `saturatedGrowth`. */
  readonly saturatedUtilisation: number;
  readonly saturatedGrowth: number;
  /** Forecasting at all; off is the reactive planner that the simulator compares with. */
  readonly forecast: boolean;
  /** From seeing to serving: sample, join, first move. */
  readonly leadMs: number;
  readonly fastEwmaMs: number;
  readonly trendDamping: number;
  /** Forecast at most this multiple of the demand now. */
  readonly trendClip: number;
  readonly seasonLeadMs: number;
  /** Slot moves: from a shard above this multiple of what placement can reach. */
  readonly balanceRatio: number;
  /** Weight of a new sample in the share of the load that balance rests on. */
  readonly steadyWeight: number;
  /** Below this utilisation no balance is worth a move. */
  readonly balanceUtilisation: number;
  readonly moveFixedMs: number;
  readonly moveBytesPerSecond: number;
  /** Bytes of one job are bounded by this time at that rate. */
  readonly moveMaximumMs: number;
  readonly moveRangesMaximum: number;
  /** Slot-move jobs in a minute, per shard of the cache. */
  readonly movesPerShardMinute: number;
  /** After a job a shard is left alone until its figures are of after it. */
  readonly settleMs: number;
  /** A slot (or key) above this share of a node's capacity is hot. */
  readonly hotShare: number;
  /** Below this it is cool again; between the two nothing changes. */
  readonly coolShare: number;
  readonly hotQuietMs: number;
  readonly hotReplicasMaximum: number;
  readonly watchedSlotsMaximum: number;
  /** The others are moved away unless they hold this many times the hot slot's bytes. */
  readonly isolateBytesRatio: number;
  /** Quiet needed before shards leave. */
  readonly inQuietMs: number;
  /** This many times the shards that are needed is far over: then this share of the quiet is enough. */
  readonly inFarRatio: number;
  readonly inFarQuietShare: number;
  /** Utilisation that those who stay may have after it. */
  readonly inUtilisation: number;
  /** Shards that drain at once, as a share of all (at least one). */
  readonly inShareMaximum: number;
  /** A scale-out this soon after a scale-in doubles the quiet that the next scale-in needs. */
  readonly regretMs: number;
  readonly regretsMaximum: number;
  readonly regretForgetMs: number;
  /** Used memory over the limit: above `memoryUp` the limit grows, after a scale-in at most `memoryIn`. */
  readonly memoryUp: number;
  readonly memoryIn: number;
  readonly memoryDown: number;
  readonly memoryQuietMs: number;
  /** What a limit is set to: used over this. */
  readonly memoryTarget: number;
  readonly shardMemoryMinimumBytes: number;
  readonly shardMemoryMaximumBytes: number;
  /** Left free on each host. */
  readonly hostReserveBytes: number;
  readonly eventRepeatMs: number;
}

const MIB = 1024 ** 2;
const GIB = 1024 ** 3;

export const DEFAULT_PLANNER_PARAMS: PlannerParams = {
  sampleStaleMs: 3_000,
  nodeEcpu: 90_000,
  ioThreadGain: [1, 1.5, 1.9, 2.2],
  ioThreadsMaximum: 4,
  threadsPerCore: 2,
  hostFullUtilisation: 0.9,
  targetUtilisation: 0.6,
  ioUpUtilisation: 0.6,
  ioDownUtilisation: 0.3,
  ioQuietMs: 60_000,
  outUrgentUtilisation: 0.85,
  outUtilisation: 0.6,
  outForecastUtilisation: 0.75,
  saturatedUtilisation: 0.95,
  saturatedGrowth: 2,
  forecast: true,
  leadMs: 10_000,
  fastEwmaMs: 1_500,
  trendDamping: 0.9,
  trendClip: 1.35,
  seasonLeadMs: 300_000,
  balanceRatio: 1.12,
  steadyWeight: 0.2,
  balanceUtilisation: 0.25,
  moveFixedMs: 350,
  moveBytesPerSecond: 100 * MIB,
  moveMaximumMs: 5_000,
  moveRangesMaximum: 128,
  movesPerShardMinute: 10,
  settleMs: 1_500,
  hotShare: 0.5,
  coolShare: 0.25,
  hotQuietMs: 600_000,
  hotReplicasMaximum: 5,
  watchedSlotsMaximum: 16,
  isolateBytesRatio: 5,
  inQuietMs: 300_000,
  inFarRatio: 1.5,
  inFarQuietShare: 0.4,
  inUtilisation: 0.5,
  inShareMaximum: 0.34,
  regretMs: 1_800_000,
  regretsMaximum: 3,
  regretForgetMs: 21_600_000,
  memoryUp: 0.75,
  memoryIn: 0.6,
  memoryDown: 0.3,
  memoryQuietMs: 600_000,
  memoryTarget: 0.5,
  shardMemoryMinimumBytes: 512 * MIB,
  shardMemoryMaximumBytes: 16 * GIB,
  hostReserveBytes: 256 * MIB,
  eventRepeatMs: 600_000,
};
