/** The scenarios of the report. Loads in requests per second; a request is one ECPU. */
import type { CapacityLimits } from '../control/policies/capacity-view.ts';
import { DEFAULT_POOL_PARAMS } from '../control/policies/plan-pool.ts';
import type { Scenario } from './scenario.ts';
import { slotShape } from './slot-shapes.ts';

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const GIB = 1024 ** 3;
const FIRST = 30_000;
const MOST = 5_000_000;

const LIMITS: CapacityLimits = {
  shardsMinimum: 1,
  shardsMaximum: 500,
  memoryMinimumBytes: 0,
  memoryMaximumBytes: 0,
  ecpuPerSecondMinimum: 0,
  ecpuPerSecondMaximum: 0,
};

const BASE = {
  warmUpMs: 30 * SECOND,
  tickMs: 100,
  planMs: SECOND,
  startMs: 100 * DAY,
  limits: LIMITS,
  replicas: 0,
  nearCacheAllowed: false,
  shards: 1,
  ioThreads: 1,
  hosts: { hosts: 30, zones: 3, cores: 16, memoryBytes: 64 * GIB },
  pool: { ...DEFAULT_POOL_PARAMS, coldStartMs: MINUTE },
  faults: [],
  params: {},
} as const;

/** Doubles each `doublingMs` from 30K to 5M, then holds. */
export function doubling(doublingMs: number, prewarmed: number): Scenario {
  const rampMs = doublingMs * Math.log2(MOST / FIRST);
  const seconds = doublingMs / SECOND;
  return {
    ...BASE,
    name: `doubling-${seconds}s`,
    title: `30K to 5M requests/s, doubling every ${seconds} s`,
    assumptions: `1 shard at first, ${prewarmed} warm nodes, 2 GB, Zipf 0.4 over slots`,
    durationMs: Math.ceil((rampMs + 2 * MINUTE) / SECOND) * SECOND,
    arrivals: (atMs) => (atMs < 0 ? FIRST : Math.min(MOST, FIRST * 2 ** (atMs / doublingMs))),
    shape: slotShape({ zipf: 0.4, dataBytes: 2 * GIB, hotSlotShare: null, hotKey: null, seed: 1 }),
    prewarmed,
    pool: { ...BASE.pool, doublingMs, minimum: prewarmed },
    balancedFromMs: rampMs + 60 * SECOND,
  };
}

/** The same ramp with what goes wrong in the middle of it. */
export function doublingWithFaults(doublingMs: number, prewarmed: number): Scenario {
  const base = doubling(doublingMs, prewarmed);
  return {
    ...base,
    name: `${base.name}-faults`,
    title: `${base.title}, with failures`,
    assumptions: `${base.assumptions}, 1 replica a shard; a source and a target of a move die, no figures for 30 s`,
    replicas: 1,
    prewarmed: 2 * prewarmed,
    pool: { ...base.pool, minimum: 2 * prewarmed, maximum: 2 * prewarmed },
    faults: [
      { kind: 'move-killed', atMs: 3 * doublingMs, side: 'from' },
      { kind: 'move-killed', atMs: 5 * doublingMs, side: 'to' },
      { kind: 'metric-gap', atMs: 4 * doublingMs, untilMs: 4 * doublingMs + 30 * SECOND },
    ],
  };
}

export const step: Scenario = {
  ...BASE,
  name: 'step',
  title: '240K to 5M requests/s at once',
  assumptions: '3 shards at first, 40 warm nodes, 2 GB, Zipf 0.4 over slots',
  shards: 3,
  durationMs: 4 * MINUTE,
  arrivals: (atMs) => (atMs < 10 * SECOND ? 240_000 : MOST),
  shape: slotShape({ zipf: 0.4, dataBytes: 2 * GIB, hotSlotShare: null, hotKey: null, seed: 2 }),
  prewarmed: 40,
  pool: { ...BASE.pool, minimum: 40 },
  balancedFromMs: 2 * MINUTE,
};

/** Bytes, not nodes, are what a step waits for when there is much data on few shards. */
export const stepLarge: Scenario = {
  ...BASE,
  name: 'step-100gb',
  title: '1M to 5M requests/s at once, 100 GB on 10 shards',
  assumptions: '10 shards at first, 40 warm nodes, 100 GB, Zipf 0.6 over slots',
  shards: 10,
  ioThreads: 2,
  durationMs: 6 * MINUTE,
  arrivals: (atMs) => (atMs < 10 * SECOND ? 1_000_000 : MOST),
  shape: slotShape({ zipf: 0.6, dataBytes: 100 * GIB, hotSlotShare: null, hotKey: null, seed: 9 }),
  prewarmed: 40,
  pool: { ...BASE.pool, minimum: 40 },
  balancedFromMs: 4 * MINUTE,
};

/** From then on the raised minimum holds. */
export const PRE_SCALED_AT_MS = 10 * SECOND;

export const preScaled: Scenario = {
  ...BASE,
  name: 'pre-scaled',
  title: 'A minimum of 2M requests/s is set on a cache that serves 30K',
  assumptions:
    '1 shard at first, 24 warm nodes, 2 GB, Zipf 0.4 over slots; the load jumps to 2M a minute later',
  durationMs: 2 * MINUTE,
  arrivals: (atMs) => (atMs < PRE_SCALED_AT_MS + MINUTE ? FIRST : 2_000_000),
  limitsAt: (atMs) => ({
    ...LIMITS,
    ecpuPerSecondMinimum: atMs < PRE_SCALED_AT_MS ? 0 : 2_000_000,
  }),
  shape: slotShape({ zipf: 0.4, dataBytes: 2 * GIB, hotSlotShare: null, hotKey: null, seed: 8 }),
  prewarmed: 24,
  pool: { ...BASE.pool, minimum: 24 },
  balancedFromMs: 40 * SECOND,
};

/** Meal delivery: quiet mornings, a lunch and a larger dinner peak. `hour` of the day, 0..24. */
export function mealDelivery(hour: number): number {
  const bell = (middle: number, width: number, height: number): number =>
    height * Math.exp(-(((hour - middle) / width) ** 2));
  return (
    200_000 + bell(12.5, 1.3, 2_300_000) + bell(19.25, 1.6, 4_000_000) + bell(15.5, 3, 300_000)
  );
}

export const mealDay: Scenario = {
  ...BASE,
  name: 'meal-day',
  title: 'An 18-hour day of a meal-delivery service',
  assumptions:
    '06:00 to 24:00 after two earlier days, noise of 5 % each minute, 1 replica a shard, 20 GB, Zipf 0.6, 24 warm nodes',
  warmUpMs: 2 * DAY + 6 * HOUR,
  durationMs: 18 * HOUR,
  tickMs: 5 * SECOND,
  planMs: 5 * SECOND,
  startMs: 100 * DAY + 6 * HOUR,
  replicas: 1,
  shards: 3,
  arrivals: (atMs) => {
    const hour = (((atMs + 6 * HOUR) % DAY) + DAY) % DAY;
    // A repeatable noise of minutes; days differ a little in strength.
    const minute = Math.floor((atMs + 10 * DAY) / MINUTE);
    const noise = 1 + 0.05 * Math.sin(minute * 12.9898) * Math.cos(minute * 4.1414);
    const day = 1 + 0.08 * Math.sin(Math.floor((atMs + 6 * HOUR + 10 * DAY) / DAY) * 2.4);
    return mealDelivery(hour / HOUR) * noise * day;
  },
  shape: slotShape({ zipf: 0.6, dataBytes: 20 * GIB, hotSlotShare: null, hotKey: null, seed: 3 }),
  prewarmed: 24,
  pool: { ...BASE.pool, doublingMs: 10 * MINUTE, minimum: 8 },
  params: { sampleStaleMs: 15_000 },
  balancedFromMs: 10 * MINUTE,
};

export const hotSlot: Scenario = {
  ...BASE,
  name: 'hot-slot',
  title: 'One slot of 8 % of the traffic, 300K to 1.2M requests/s',
  assumptions: '3 shards at first, 12 warm nodes, 8 GB, Zipf 0.8 and the hot slot',
  shards: 3,
  durationMs: 6 * MINUTE,
  arrivals: (atMs) => (atMs < 0 ? 300_000 : Math.min(1_200_000, 300_000 * 2 ** (atMs / MINUTE))),
  shape: slotShape({ zipf: 0.8, dataBytes: 8 * GIB, hotSlotShare: 0.08, hotKey: null, seed: 4 }),
  prewarmed: 12,
  pool: { ...BASE.pool, minimum: 8 },
  balancedFromMs: 4 * MINUTE,
};

export function hotKey(nearCacheAllowed: boolean): Scenario {
  return {
    ...BASE,
    name: nearCacheAllowed ? 'hot-key-near-cache' : 'hot-key',
    title: `One key of 30 % of the traffic, 300K to 1M requests/s in a minute${nearCacheAllowed ? ', near cache allowed' : ''}`,
    assumptions:
      '4 shards at first, 12 warm nodes, 8 GB; 98 % of it reads; a near cache answers 95 % of its reads',
    shards: 4,
    nearCacheAllowed,
    durationMs: 5 * MINUTE,
    arrivals: (atMs) => 300_000 + 700_000 * Math.min(1, Math.max(0, atMs / MINUTE)),
    shape: slotShape({
      zipf: 0.4,
      dataBytes: 8 * GIB,
      hotSlotShare: 0.3,
      hotKey: { share: 0.99, readShare: 0.98, nearHitShare: 0.95 },
      seed: 5,
    }),
    prewarmed: 12,
    pool: { ...BASE.pool, minimum: 8 },
    balancedFromMs: 4 * MINUTE,
  };
}

export const night: Scenario = {
  ...BASE,
  name: 'night',
  title: 'A night of scale-in: 5M to 200K requests/s',
  assumptions: '40 shards at first, 8 GB, Zipf 0.6; the load falls over 20 minutes and stays',
  shards: 40,
  ioThreads: 4,
  tickMs: 500,
  durationMs: 2 * HOUR,
  arrivals: (atMs) =>
    Math.max(
      200_000,
      MOST - (MOST - 200_000) * Math.min(1, Math.max(0, (atMs - 5 * MINUTE) / (20 * MINUTE))),
    ),
  shape: slotShape({ zipf: 0.6, dataBytes: 8 * GIB, hotSlotShare: null, hotKey: null, seed: 6 }),
  prewarmed: 8,
  balancedFromMs: 100 * MINUTE,
};

export const zoneLost: Scenario = {
  ...BASE,
  name: 'zone-lost',
  title: 'A zone of three is lost at 3M requests/s',
  assumptions:
    '24 shards with 1 replica, 16 warm nodes, 20 GB; a metric gap of 30 s begins with it, a source of a move dies before it',
  shards: 24,
  ioThreads: 4,
  replicas: 1,
  durationMs: 8 * MINUTE,
  arrivals: (atMs) => 3_000_000 * (1 + 0.1 * Math.sin((2 * Math.PI * atMs) / (5 * MINUTE))),
  shape: slotShape({ zipf: 0.9, dataBytes: 20 * GIB, hotSlotShare: null, hotKey: null, seed: 7 }),
  prewarmed: 16,
  pool: { ...BASE.pool, minimum: 16, maximum: 64 },
  faults: [
    { kind: 'move-killed', atMs: -25 * SECOND, side: 'from' },
    { kind: 'zone-lost', atMs: 2 * MINUTE, zone: 'zone-1' },
    { kind: 'metric-gap', atMs: 2 * MINUTE, untilMs: 2.5 * MINUTE },
  ],
  balancedFromMs: 6 * MINUTE,
};
