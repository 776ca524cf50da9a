/**
 * What benches measured and calibration takes from them: of `npm run bench:elastic -- --json FILE` the scenarios
 * `calibration` and `each-step`, of `bench/move-cost.ts` and `bench/failover.ts` all. Fields that are not used may be there.
 */
import { readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { z } from 'zod';

const latency = z.object({ p99Ms: z.number() });

const measurementSchema = z.object({
  startedAt: z.string().optional(),
  loadBefore: z.number().optional(),
  raw: z
    .object({
      calibration: z
        .object({
          service: z.array(
            latency.extend({
              ioThreads: z.number(),
              repliesPerSecond: z.number(),
              utilisation: z.number(),
              nodeCpuUsPerRequest: z.number(),
            }),
          ),
          moves: z.array(
            z.object({
              poolAtStart: z.object({ ready: z.number() }),
              joinMs: z.array(z.number()),
              moves: z.array(z.object({ keys: z.number(), bytes: z.number(), tookMs: z.number() })),
            }),
          ),
        })
        .optional(),
      'each-step': z
        .object({ decisions: z.array(z.object({ step: z.string(), tookMs: z.number() })) })
        .optional(),
    })
    .optional(),
  /** Of bench/move-cost.ts: share of a source's main thread that an export takes. */
  forkTax: z.array(z.object({ share: z.number() })).optional(),
  proxyStartMs: z.array(z.number()).optional(),
  /** Of bench/failover.ts. */
  kind: z.string().optional(),
  rounds: z.number().optional(),
  pauseMs: z.object({ p50: z.number(), max: z.number() }).optional(),
});

export type Measurement = z.infer<typeof measurementSchema> & { readonly file: string };

/** Throws ZodError where the file is not what the schema says. */
export function readMeasurement(path: string): Measurement {
  return {
    ...measurementSchema.parse(JSON.parse(readFileSync(path, 'utf8'))),
    file: basename(path),
  };
}
