/**
 * Holds the model against what really happened: a recording of a real run (load and shards, second by second) is run again
 * in virtual time from the same beginning, and the two are compared. The design asks for 20 %.
 */
import { DEFAULT_POOL_PARAMS } from '../control/policies/plan-pool.ts';
import type { PlannerParams } from '../control/policies/planner-params.ts';
import type { Calibration } from './calibration.ts';
import type { Recording, RecordingSample } from './recording.ts';
import { runScenario } from './run-scenario.ts';
import type { Outcome } from './scenario.ts';
import { slotShape } from './slot-shapes.ts';

export interface ReplayResult {
  readonly recording: Recording;
  readonly simulated: Outcome;
  readonly meanShards: Compared;
  readonly peakShards: Compared;
  readonly overloadedSeconds: Compared;
  /** Shards within 20 %, overloaded seconds within 20 % or two seconds. */
  readonly valid: boolean;
}

export interface Compared {
  readonly real: number;
  readonly simulated: number;
  /** Within 20 %, or nearer than can be told apart. */
  readonly near: boolean;
}

const GIB = 1024 ** 3;
const TOLERANCE = 0.2;
/** Of a second or two 20 % is less than can be told apart. */
const SMALLEST_SECONDS = 2;
/** The generator waits for every answer. */
const NEVER_MS = 1e9;
/** Recordings load the nodes: their proxies have little to do. */
const PROXIES_DO = 1e12;

export function replay(recording: Recording, calibration: Calibration): ReplayResult {
  const { samples, patienceMs } = recording;
  const { learnMs, quietMs } = recording.warmUp;
  const durationMs = samples.at(-1)!.atMs + 1000;
  const sampleAt = (atMs: number): RecordingSample =>
    samples[Math.min(samples.length - 1, Math.max(0, Math.floor(atMs / 1000)))]!;
  const limits = {
    shardsMinimum: recording.shardsMinimum,
    shardsMaximum: recording.shardsMaximum,
    memoryMinimumBytes: 0,
    memoryMaximumBytes: 0,
    ecpuPerSecondMinimum: 0,
    ecpuPerSecondMaximum: 0,
  };
  const simulated = runScenario(
    {
      name: 'replay',
      title: recording.about,
      assumptions: '',
      warmUpMs: learnMs + quietMs,
      durationMs,
      tickMs: 100,
      planMs: 1000,
      startMs: 1_000_000_000_000,
      arrivals: (atMs) =>
        atMs < -quietMs ? recording.warmUp.ecpuPerSecond : sampleAt(atMs).ecpuPerSecond,
      capacityScale: (atMs) => sampleAt(atMs).nodeEcpu / recording.nodeEcpuByIoThreads[0]!,
      limits,
      limitsAt: (atMs) => (atMs < 0 ? { ...limits, shardsMaximum: 1 } : limits),
      replicas: recording.replicas,
      nearCacheAllowed: false,
      shards: Math.max(1, samples[0]!.shards),
      ioThreads: 1,
      shape: slotShape({
        zipf: recording.zipf,
        dataBytes: recording.dataBytes,
        hotSlotShare: null,
        hotKey: null,
        seed: 1,
      }),
      hosts: {
        hosts: recording.hosts,
        zones: 1,
        cores: recording.coresPerHost,
        memoryBytes: 64 * GIB,
      },
      pool: { ...DEFAULT_POOL_PARAMS, minimum: recording.warmNodes },
      prewarmed: recording.warmNodes,
      faults: [],
      params: recording.params as Partial<PlannerParams>,
      balancedFromMs: 0,
    },
    {
      variant: 'planned',
      params: {},
      calibration: {
        ...calibration,
        nodeEcpuByIoThreads: recording.nodeEcpuByIoThreads,
        coldStartMs: recording.coldStartMs,
        patienceMs: NEVER_MS,
        proxyRequestsPerSecond: PROXIES_DO,
      },
    },
  );
  const { points } = simulated;
  const compared = (real: number, other: number, least: number): Compared => ({
    real,
    simulated: other,
    near: Math.abs(other - real) <= Math.max(least, real * TOLERANCE),
  });
  const real = samples.map(({ shards }) => shards);
  const there = points.map(({ shards }) => shards);
  const meanShards = compared(mean(real), mean(there), 0);
  const peakShards = compared(Math.max(...real), Math.max(...there), 0);
  const overloadedSeconds = compared(
    samples.filter(({ overloaded }) => overloaded).length,
    points.filter(({ p99Ms }) => p99Ms > patienceMs).length,
    SMALLEST_SECONDS,
  );
  return {
    recording,
    simulated,
    meanShards,
    peakShards,
    overloadedSeconds,
    valid: [meanShards, peakShards, overloadedSeconds].every(({ near }) => near),
  };
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / Math.max(1, values.length);
}
