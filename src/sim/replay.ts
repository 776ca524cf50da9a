/**
 * Holds the model against what really happened: a recording of a real run (load and shards, second by second) is run again
 * in virtual time from the same beginning, and the two are compared. The design asks for 20 %.
 */
import { z } from 'zod';
import { DEFAULT_POOL_PARAMS } from '../control/policies/plan-pool.ts';
import type { PlannerParams } from '../control/policies/planner-params.ts';
import type { Calibration } from './calibration.ts';
import { runScenario } from './run-scenario.ts';
import { slotShape } from './slot-shapes.ts';

/** What a bench writes of a real run. */
export const recordingSchema = z.strictObject({
  /** For people: which machine, which bench. */
  about: z.string(),
  hosts: z.int().min(1),
  coresPerHost: z.number().positive(),
  replicas: z.int().min(0),
  shardsMinimum: z.int().min(1),
  shardsMaximum: z.int().min(1),
  warmNodes: z.int().min(0),
  coldStartMs: z.number().min(0),
  dataBytes: z.number().min(0),
  /** Of the requests over the slots. */
  zipf: z.number().min(0),
  /** ECPU per second of one node at full utilisation, by its io-threads, as measured in the run. */
  nodeEcpuByIoThreads: z.array(z.number().positive()).min(1),
  /** The planner's parameters where the run had others than the product's. */
  params: z.record(z.string(), z.union([z.number(), z.boolean(), z.array(z.number())])).default({}),
  samples: z
    .array(
      z.strictObject({
        atMs: z.number().min(0),
        /** That the clients asked for. */
        ecpuPerSecond: z.number().min(0),
        shards: z.int().min(0),
        /** More than one in ten thousand was lost or turned away in this second. */
        overloaded: z.boolean(),
      }),
    )
    .min(2),
});
export type Recording = z.infer<typeof recordingSchema>;

export interface ReplayResult {
  readonly meanShards: Compared;
  readonly peakShards: Compared;
  readonly overloadedSeconds: Compared;
  /** Shards within 20 %, overloaded seconds within 20 % or two seconds. */
  readonly valid: boolean;
}

export interface Compared {
  readonly real: number;
  readonly simulated: number;
}

const GIB = 1024 ** 3;
const TOLERANCE = 0.2;
/** Of a second or two 20 % is less than can be told apart. */
const SMALLEST_SECONDS = 2;

export function replay(recording: Recording, calibration: Calibration): ReplayResult {
  const { samples } = recording;
  const durationMs = Math.floor(samples.at(-1)!.atMs / 1000) * 1000;
  const rateAt = (atMs: number): number =>
    (samples.findLast((sample) => sample.atMs <= Math.max(atMs, samples[0]!.atMs)) ?? samples[0]!)
      .ecpuPerSecond;
  const first = samples[0]!.shards;
  const outcome = runScenario(
    {
      name: 'replay',
      title: recording.about,
      assumptions: '',
      warmUpMs: 10_000,
      durationMs,
      tickMs: 100,
      planMs: 1000,
      startMs: 1_000_000_000_000,
      arrivals: rateAt,
      limits: {
        shardsMinimum: recording.shardsMinimum,
        shardsMaximum: recording.shardsMaximum,
        memoryMinimumBytes: 0,
        memoryMaximumBytes: 0,
        ecpuPerSecondMinimum: 0,
        ecpuPerSecondMaximum: 0,
      },
      replicas: recording.replicas,
      nearCacheAllowed: false,
      shards: Math.max(1, first),
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
      pool: {
        ...DEFAULT_POOL_PARAMS,
        coldStartMs: recording.coldStartMs,
        minimum: recording.warmNodes,
      },
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
      },
    },
  );
  const mean = (values: readonly number[]): number =>
    values.reduce((sum, value) => sum + value, 0) / Math.max(1, values.length);
  const real = samples.map((sample) => sample.shards);
  const simulated = outcome.points.map((point) => point.shards);
  const result = {
    meanShards: { real: mean(real), simulated: mean(simulated) },
    peakShards: { real: Math.max(...real), simulated: Math.max(...simulated) },
    overloadedSeconds: {
      real: samples.filter((sample) => sample.overloaded).length,
      simulated: outcome.overloadedSeconds,
    },
  };
  return {
    ...result,
    valid:
      within(result.meanShards, 0) &&
      within(result.peakShards, 0) &&
      within(result.overloadedSeconds, SMALLEST_SECONDS),
  };
}

function within({ real, simulated }: Compared, least: number): boolean {
  return Math.abs(simulated - real) <= Math.max(least, real * TOLERANCE);
}
