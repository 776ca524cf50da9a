/** A real run, second by second, as `npm run bench:record` writes it (docs/benchmarks/recordings/) and `replay.ts` runs it again. */
import { z } from 'zod';

export const recordingSchema = z.strictObject({
  /** For people: what the load did. */
  about: z.string(),
  recordedAt: z.iso.datetime(),
  machine: z.string(),
  /** Of everything on the machine (man 5 proc, loadavg), before and at the end. */
  loadAverage: z.tuple([z.number(), z.number()]),
  hosts: z.int().min(1),
  coresPerHost: z.number().positive(),
  replicas: z.int().min(0),
  shardsMinimum: z.int().min(1),
  shardsMaximum: z.int().min(1),
  /** Before it: a load that shows what a node can do, with one shard, then a quiet time at the first sample's. */
  warmUp: z.strictObject({
    ecpuPerSecond: z.number().min(0),
    learnMs: z.number().min(0),
    quietMs: z.number().min(0),
  }),
  warmNodes: z.int().min(0),
  coldStartMs: z.number().min(0),
  dataBytes: z.number().min(0),
  /** Of the requests over the slots. */
  zipf: z.number().min(0),
  /** ECPU per second of one node at full utilisation, by its io-threads, as measured in the run. */
  nodeEcpuByIoThreads: z.array(z.number().positive()).min(1),
  /** A client gives up after so long; the generator does not: whoever waits longer counts as lost. */
  patienceMs: z.number().positive(),
  /** The planner's parameters where the run had others than the product's. */
  params: z.record(z.string(), z.union([z.number(), z.boolean(), z.array(z.number())])).default({}),
  samples: z
    .array(
      z.strictObject({
        atMs: z.number().min(0),
        /** That the clients asked for. */
        ecpuPerSecond: z.number().min(0),
        shards: z.int().min(0),
        /** That a node could do around then at full utilisation: other work on the machine takes from it. */
        nodeEcpu: z.number().positive(),
        /** Of the busiest node; null: not known. */
        utilisation: z.number().min(0).nullable(),
        /** Of what was answered in this second. */
        p99Ms: z.number().min(0),
        errors: z.int().min(0),
        /** More than one in a hundred waited longer than `patienceMs`, or one in ten thousand got an error. */
        overloaded: z.boolean(),
      }),
    )
    .min(2),
  /** What was done, and how long it took: calibration takes join and move times from here. */
  jobs: z.array(
    z.strictObject({
      atMs: z.number(),
      tookMs: z.number().min(0),
      step: z.string(),
      reason: z.string(),
    }),
  ),
});
export type Recording = z.infer<typeof recordingSchema>;
export type RecordingSample = Recording['samples'][number];
