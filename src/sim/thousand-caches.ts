/**
 * A thousand caches on one fleet: small ones at different levels, each with its own wave; then a twentieth of them grow
 * eightfold within half a minute, together. What they share is the warm pool and the hosts.
 */
import { DEFAULT_PLANNER_PARAMS, type PlannerParams } from '../control/policies/planner-params.ts';
import { DEFAULT_POOL_PARAMS } from '../control/policies/plan-pool.ts';
import { seededRandom } from '../lib/seeded-random.ts';
import type { Calibration } from './calibration.ts';
import { SimCache } from './sim-cache.ts';
import { SimFleet } from './sim-fleet.ts';
import { slotShape } from './slot-shapes.ts';

const SECOND = 1000;
const GIB = 1024 ** 3;
const BURST_MS = 60 * SECOND;
const BURST_RISE_MS = 30 * SECOND;
const BURST_FACTOR = 8;
const BURST_SHARE = 0.05;
const NODE_BYTES = 512 * 1024 ** 2;

export interface ManyOutcome {
  readonly caches: number;
  readonly servedShare: number;
  readonly promptShare: number;
  /** Of the caches that burst. */
  readonly burstingServedShare: number;
  readonly cachesWithLoss: number;
  readonly peakNodes: number;
  readonly firstNodes: number;
  readonly emptyPoolSeconds: number;
  readonly smallestPool: number;
  readonly steps: number;
  readonly points: readonly {
    readonly atMs: number;
    readonly offered: number;
    readonly nodes: number;
    readonly pool: number;
  }[];
}

export interface ManyOptions {
  readonly caches: number;
  readonly durationMs: number;
  readonly prewarmed: number;
  readonly calibration: Calibration;
  readonly params: Partial<PlannerParams>;
}

export function runThousandCaches(options: ManyOptions): ManyOutcome {
  const { calibration, caches: count } = options;
  const random = seededRandom(11);
  const pool = {
    ...DEFAULT_POOL_PARAMS,
    coldStartMs: calibration.coldStartMs,
    doublingMs: 30 * SECOND,
    burstShare: BURST_SHARE,
    minimum: options.prewarmed,
    maximum: options.prewarmed,
  };
  const hosts = Math.max(3, Math.ceil((count * 1.6) / 20));
  const fleet = new SimFleet(
    { hosts, zones: 3, cores: 16, memoryBytes: 40 * NODE_BYTES },
    calibration,
    pool,
  );
  const params: PlannerParams = {
    ...DEFAULT_PLANNER_PARAMS,
    sampleStaleMs: 6 * SECOND,
    ...options.params,
  };
  // A few shapes for all: what differs matters, not that no two are the same.
  const shapes = [0, 0.4, 0.8, 1].map((zipf, index) =>
    slotShape({ zipf, dataBytes: GIB / 8, hotSlotShare: null, hotKey: null, seed: 100 + index }),
  );
  fleet.prewarm(count + options.prewarmed);
  const firstNodes = count;
  const caches = Array.from({ length: count }, (_, index) => {
    const level = 1000 * 10 ** (random() * 1.6);
    const phase = random();
    const bursts = random() < BURST_SHARE;
    const rate = (atMs: number): number => {
      const wave = 1 + 0.3 * Math.sin(2 * Math.PI * (atMs / (600 * SECOND) + phase));
      const rise = bursts ? Math.min(1, Math.max(0, (atMs - BURST_MS) / BURST_RISE_MS)) : 0;
      // The bursting ones are the larger ones: a small one would fit where it is.
      return (bursts ? 40_000 : level) * wave * (1 + (BURST_FACTOR - 1) * rise);
    };
    const cache = new SimCache(
      fleet,
      {
        limits: {
          shardsMinimum: 1,
          shardsMaximum: 100,
          memoryMinimumBytes: 0,
          memoryMaximumBytes: 0,
          ecpuPerSecondMinimum: 0,
          ecpuPerSecondMaximum: 0,
        },
        replicas: 0,
        nearCacheAllowed: false,
        shards: 1,
        ioThreads: 1,
        shape: shapes[index % shapes.length]!,
        params,
      },
      seededRandom(1000 + index),
    );
    return { cache, rate, bursts, offered: 0, lost: 0, slow: 0 };
  });

  const points: { atMs: number; offered: number; nodes: number; pool: number }[] = [];
  let emptyPoolSeconds = 0;
  const startMs = 1_000_000_000_000;
  const tickMs = SECOND;
  for (let at = 0; at < options.durationMs; at += tickMs) {
    const nowMs = startMs + at;
    fleet.beginTick();
    let offered = 0;
    caches.forEach((one, index) => {
      const tick = one.cache.advance(nowMs, tickMs, one.rate(at));
      one.offered += tick.offered;
      one.lost += tick.lost;
      one.slow += tick.slow;
      offered += tick.offered;
      // Each second half of them, in turn: a planner's second need not be everybody's.
      if ((at / tickMs + index) % 2 === 0) one.cache.plan(nowMs);
    });
    fleet.refill(
      nowMs,
      caches.map(({ cache }) => cache.nodes),
      caches.reduce((sum, { cache }) => sum + cache.nodesMissing, 0),
    );
    if (fleet.ready.length === 0) emptyPoolSeconds += tickMs / SECOND;
    points.push({ atMs: at, offered, nodes: fleet.nodes, pool: fleet.ready.length });
  }
  const sum = (of: (one: (typeof caches)[number]) => number, only = caches): number =>
    only.reduce((total, one) => total + of(one), 0);
  const bursting = caches.filter((one) => one.bursts);
  const offered = sum((one) => one.offered);
  return {
    caches: count,
    servedShare: 1 - sum((one) => one.lost) / offered,
    promptShare: 1 - sum((one) => one.lost + one.slow) / offered,
    burstingServedShare:
      1 -
      sum((one) => one.lost, bursting) /
        Math.max(
          1,
          sum((one) => one.offered, bursting),
        ),
    cachesWithLoss: caches.filter((one) => one.lost > one.offered * 1e-4).length,
    peakNodes: Math.max(...points.map((point) => point.nodes)),
    firstNodes,
    emptyPoolSeconds,
    smallestPool: Math.min(...points.map((point) => point.pool)),
    steps: sum(({ cache }) => [...cache.steps.counts.values()].reduce((a, b) => a + b, 0)),
    points,
  };
}
