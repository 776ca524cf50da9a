/**
 * How many shards the demand needs, and more of them when it is more than there are. Adding waits for nothing: no cooldown.
 * Hot slots count a shard each, the rest is divided by what a shard may carry; memory likewise.
 */
import type { CapacityEventName, PlannedCapacityStep } from './capacity-view.ts';
import type { Demand } from './forecast-demand.ts';
import { shardsThatFit } from './host-room.ts';
import type { HotSlot } from './hot-slots.ts';
import { percent } from './plan-io-threads.ts';
import type { CapacityReading } from './read-capacity.ts';

/** Below this on every node, a guess that says "too much" is wrong. */
const GUESS_BELIED_UTILISATION = 0.3;

export interface ShardCountPlan {
  readonly steps: readonly PlannedCapacityStep[];
  readonly events: readonly { readonly event: CapacityEventName; readonly message: string }[];
  /** Shards that the demand asks for, before any limit; never below the minimum. */
  readonly needed: number;
  readonly samplesShort: number;
  readonly nodesMissing: number;
  /** The minimum asks for more than the load does. */
  readonly preScaled: boolean;
}

export function planShardCount(
  reading: CapacityReading,
  demand: Demand,
  hot: readonly HotSlot[],
  samplesShortBefore: number,
): ShardCountPlan {
  const { params, view } = reading;
  const staying = reading.shards.filter((shard) => shard.view.state !== 'draining');
  const draining = reading.shards.filter((shard) => shard.view.state === 'draining');
  const minimum = minimumShards(reading, params.targetUtilisation);
  const count = (ecpu: number, utilisation: number): number =>
    shardsFor(ecpu, demand.bytesAhead, reading, hot, utilisation, params.memoryUp);
  const present = staying.length;
  const shortNow = reading.fresh && count(demand.now, params.outUtilisation) > present;
  const samplesShort = !shortNow
    ? 0
    : reading.newSample
      ? samplesShortBefore + 1
      : samplesShortBefore;
  const load = shardsFor(
    demand.now,
    demand.bytesAhead,
    reading,
    hot,
    params.targetUtilisation,
    params.memoryUp,
  );
  const preScaled = minimum > load;
  const none = { steps: [], events: [], samplesShort, nodesMissing: 0, preScaled };
  // A minimum needs no figures: it is in force at once, whatever is known.
  const urgent = reading.fresh && count(demand.now, params.outUrgentUtilisation) > present;
  const ahead = reading.fresh && count(demand.ahead, params.outForecastUtilisation) > present;
  const triggered = (urgent || ahead || samplesShort >= 2) && !belied(reading);
  const needed = Math.max(
    minimum,
    triggered
      ? Math.max(present, count(demand.ahead, params.targetUtilisation))
      : Math.min(present, count(demand.now, params.targetUtilisation)),
  );
  if (needed <= present) return { ...none, needed };

  const why = describe(reading, demand, hot, { minimum, present, urgent, ahead, triggered });
  const events: { event: CapacityEventName; message: string }[] = [];
  const most = view.sharding ? view.limits.shardsMaximum : 1;
  const wanted = Math.min(needed, Math.max(most, present));
  if (wanted < needed) {
    events.push({
      event: 'shards-at-maximum',
      message: `${needed} shards are needed, the cache's maximum is ${most}`,
    });
  }
  const kept = draining.slice(0, wanted - present);
  const steps: PlannedCapacityStep[] = kept.map((shard) => ({
    step: { kind: 'keep-shard', shard: shard.shard },
    reason: why,
    rejected: ['a new shard from the pool: this one is still there and has data'],
  }));
  let more = wanted - present - kept.length;
  // A minimum is there whatever the hosts do at the moment: it is for the load that is to come.
  const fit = Math.max(shardsThatFit(reading.rooms.values(), params), minimum - present, 0);
  if (more > fit) {
    events.push({
      event: 'hosts-full',
      message: `shards are needed: ${more} more, the hosts have processors for ${fit}`,
    });
    more = fit;
  }
  const nodesEach = 1 + view.replicasWanted;
  const byPool = Math.floor(view.pool.ready / nodesEach);
  const nodesMissing = Math.max(0, more - byPool) * nodesEach;
  if (nodesMissing > 0 && byPool === 0) {
    events.push({
      event: 'pool-empty',
      message: `shards are needed: ${more} more, nodes in the warm pool: ${view.pool.ready} ready, ${view.pool.starting} starting`,
    });
  }
  const first =
    1 +
    Math.max(
      -1,
      ...view.shards.map((shard) => shard.shard),
      ...view.jobs.flatMap((job) => job.occupied),
    );
  for (let index = 0; index < Math.min(more, byPool); index += 1) {
    steps.push({
      step: { kind: 'add-shard', shard: first + index },
      reason: why,
      rejected: rejectedForOut(reading),
    });
  }
  return { steps, events, needed, samplesShort, nodesMissing, preScaled };
}

/** What a node can do is a guess, and every node says that it is nowhere near it. */
function belied({ guessed, shards }: CapacityReading): boolean {
  return (
    guessed && shards.every(({ utilisation }) => (utilisation ?? 1) < GUESS_BELIED_UTILISATION)
  );
}

/** Shards for a demand at a utilisation, by load and by memory; at least one. */
export function shardsFor(
  ecpu: number,
  bytes: number,
  reading: CapacityReading,
  hot: readonly HotSlot[],
  utilisation: number,
  memoryShare: number,
): number {
  const { params, view } = reading;
  const own = hot.filter((slot) => slot.load > params.hotShare * reading.newShardEcpu);
  const ownLoad = own.reduce((sum, slot) => sum + slot.load, 0);
  const rest = Math.max(0, ecpu - ownLoad);
  // Noise must not turn a load that fits exactly into one more shard.
  const byLoad = own.length + Math.ceil(rest / (utilisation * averageCapacity(reading)) - 1e-9);
  const maximum = view.limits.memoryMaximumBytes;
  const wantedBytes = maximum > 0 ? Math.min(bytes, maximum * memoryShare) : bytes;
  const byMemory = Math.ceil(wantedBytes / (memoryShare * shardMemory(reading)) - 1e-9);
  return Math.max(1, byLoad, byMemory);
}

/** What the user's minimums ask for. */
export function minimumShards(reading: CapacityReading, utilisation: number): number {
  const { limits, sharding } = reading.view;
  if (!sharding) return 1;
  const minimum = Math.max(
    1,
    limits.shardsMinimum,
    Math.ceil(limits.ecpuPerSecondMinimum / (utilisation * averageCapacity(reading)) - 1e-9),
    Math.ceil(limits.memoryMinimumBytes / shardMemory(reading) - 1e-9),
  );
  return Math.min(minimum, Math.max(1, limits.shardsMaximum));
}

/** Capacity of a shard as it could be: threads first, shards after. */
function averageCapacity(reading: CapacityReading): number {
  const serving = reading.shards.filter(
    (shard) => shard.view.primary !== null && shard.view.state !== 'joining',
  );
  if (serving.length === 0) return reading.newShardEcpu;
  const sum = serving.reduce((total, shard) => total + shard.potentialEcpu, 0);
  return Math.max(1, sum / serving.length);
}

/** Data that one shard may be given: what its host has left counts. */
function shardMemory(reading: CapacityReading): number {
  const { params, shards } = reading;
  const limits = shards.flatMap(({ view: { primary } }) => {
    if (primary === null) return [];
    const room = reading.rooms.get(primary.hostId)?.memoryBytes ?? 0;
    const onHost = shards.filter((shard) => shard.view.primary?.hostId === primary.hostId).length;
    const reachable =
      Math.max(primary.maxmemoryBytes, params.shardMemoryMinimumBytes) + room / onHost;
    return [Math.min(params.shardMemoryMaximumBytes, reachable)];
  });
  if (limits.length === 0) return params.shardMemoryMaximumBytes;
  return limits.reduce((sum, bytes) => sum + bytes, 0) / limits.length;
}

function describe(
  reading: CapacityReading,
  demand: Demand,
  hot: readonly HotSlot[],
  facts: {
    readonly minimum: number;
    readonly present: number;
    readonly urgent: boolean;
    readonly ahead: boolean;
    readonly triggered: boolean;
  },
): string {
  const { params } = reading;
  if (!facts.triggered)
    return `the minimum in force is ${facts.minimum} shards, ${facts.present} are there`;
  const trigger = facts.urgent
    ? `above ${percent(params.outUrgentUtilisation)}`
    : facts.ahead
      ? `expected above ${percent(params.outForecastUtilisation)} within ${Math.round(params.leadMs / 1000)} s`
      : `above ${percent(params.outUtilisation)} for two samples`;
  const season = demand.season === null ? '' : `, earlier days had ${Math.round(demand.season)}`;
  const memory = demand.bytesAhead > 0 ? `, ${Math.round(demand.bytesAhead / 1024 ** 2)} MB` : '';
  return `${facts.present} shards are ${trigger}: ${Math.round(demand.now)} ECPU/s now, ${Math.round(demand.ahead)} expected${season}${memory}, ${hot.length} hot slots, ${Math.round(reading.newShardEcpu)} ECPU/s a shard`;
}

function rejectedForOut(reading: CapacityReading): string[] {
  const threads = reading.shards.every(
    (shard) =>
      shard.ioThreads >= reading.params.ioThreadsMaximum ||
      shard.potentialEcpu <= shard.capacityEcpu,
  );
  return [
    threads
      ? 'more io-threads: every node has what its host allows'
      : 'more io-threads: they are planned too and are not enough',
    'moving slots only: the shards that are there have no room for the demand',
  ];
}
