/** What proxies say over the plane link, a line of JSON each: what does not fit the schema is not taken. */
import { z } from 'zod';
import { COMMAND_GROUPS, type ProxyUsage } from '../model/usage.ts';
import { HOT_KEY_SHOWN_BYTES, type SlotHeatReport } from '../model/heat.ts';
import { SLOT_COUNT } from '../model/slot-range.ts';

const count = z.number().min(0);
const histogram = z.object({ buckets: z.array(count).max(64), count, sumUs: count });
const byGroup = <T extends z.ZodType>(value: T) => z.record(z.enum(COMMAND_GROUPS), value);
const usageSchema = z.object({
  proxy: z.int().min(0),
  pid: z.int(),
  startedAtMs: count,
  topologyVersion: count,
  cpuSeconds: count,
  memoryBytes: count,
  caches: z.array(
    z.object({
      name: z.string(),
      requests: count,
      requestsByGroup: byGroup(count),
      errorsByKind: z.record(z.string().max(64), count),
      latencyByGroup: byGroup(histogram),
      connections: count,
      connectionsTotal: count,
      connectionsRefused: count,
      authFailures: count,
      ecpu: count,
      throttled: count,
      throttledRefused: count,
      throttledMs: count,
      bytesIn: count,
      bytesOut: count,
      pauses: count,
      retries: count,
      held: count,
      slowReadersCut: count,
      // Proxies from before there was a near cache do not say.
      nearHits: count.default(0),
      nearFills: count.default(0),
      nearInvalidations: count.default(0),
      nearDrops: count.default(0),
      nodes: z.array(
        z.object({
          id: z.string(),
          address: z.string(),
          role: z.enum(['primary', 'replica']),
          connected: z.boolean(),
          connections: count,
          pendingRequests: count,
        }),
      ),
    }),
  ),
}) satisfies z.ZodType<ProxyUsage>;

/** Columns of all slots are below 400 KB. */
const COLUMNS_MAX_CHARACTERS = 512 * 1024;
const heatSchema = z.object({
  cache: z.string(),
  cacheId: z.string(),
  sequence: z.int().min(1),
  intervalMs: z.number().positive(),
  slots: z.int().min(0).max(SLOT_COUNT),
  columns: z.string().max(COLUMNS_MAX_CHARACTERS),
  hotKeys: z
    .array(
      z.object({
        slot: z
          .int()
          .min(0)
          .max(SLOT_COUNT - 1),
        keyHex: z.string().max(2 * HOT_KEY_SHOWN_BYTES),
        keyBytes: count,
        readsPerSecond: count,
        writesPerSecond: count,
      }),
    )
    .max(64),
}) satisfies z.ZodType<SlotHeatReport>;

const proxyMessageSchema = z.discriminatedUnion('type', [
  z.object({ type: z.literal('hello'), proxy: z.int().min(0), pid: z.int() }),
  z.object({
    type: z.literal('serving'),
    version: z.number(),
    failures: z.record(z.string(), z.string()),
    // Proxies from before nodes were left in peace do not say.
    leaving: z.array(z.string()).default([]),
  }),
  z.object({ type: z.literal('usage'), usage: usageSchema }),
  z.object({ type: z.literal('heat'), report: heatSchema }),
  z.object({ type: z.literal('node-lost'), cache: z.string(), nodeId: z.string() }),
]);

export type ProxyMessage = z.infer<typeof proxyMessageSchema>;

/** @returns null for a line that is none */
export function parseProxyMessage(line: string): ProxyMessage | null {
  try {
    const result = proxyMessageSchema.safeParse(JSON.parse(line));
    return result.success ? result.data : null;
  } catch {
    return null;
  }
}
