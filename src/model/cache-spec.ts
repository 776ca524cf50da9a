/**
 * What a user asks for: the specification of one cache. Control owns it, the CLI and the API produce it, and it says
 * nothing about nodes, pids or ports that were chosen: that is `topology.ts`.
 */
import { z } from 'zod';

export const ENGINE_LINES = ['9.1', '8.1', '8.0'] as const;
/** An engine line: the minor version that is asked for; the patch level is whatever is installed. */
export type EngineLine = (typeof ENGINE_LINES)[number];
export const DEFAULT_ENGINE_LINE: EngineLine = '9.1';

/**
 * TLS on the client ports. `preferred`: one port takes both, told apart by the first byte (AWS's
 * TransitEncryptionMode has the same words `preferred` and `required`).
 */
export const TLS_MODES = ['off', 'preferred', 'required'] as const;
export type TlsMode = (typeof TLS_MODES)[number];

const GIB = 1024 ** 3;

/** Limits of one cache. Defaults are AWS's where it documents them (DG RedisConfiguration.html, reference section 1). */
export const cacheLimitsSchema = z
  .strictObject({
    /** Memory for data over all primaries, bytes; 0 = no limit set. */
    memoryMaximumBytes: z.int().min(0).default(0),
    memoryMinimumBytes: z.int().min(0).default(0),
    /** ECPU per second; 0 = no limit set. */
    ecpuPerSecondMaximum: z.int().min(0).default(0),
    ecpuPerSecondMinimum: z.int().min(0).default(0),
    /** Client connections, over all proxies of the endpoint. */
    connectionsMaximum: z.int().min(1).default(65_000),
    /** Arguments of one request, the command's name included. */
    argumentsMaximum: z.int().min(2).default(3_999),
    /** Length of a key or channel name. */
    keyMaximumBytes: z.int().min(1).default(4096),
    /** One argument (proto-max-bulk-len). */
    bulkMaximumBytes: z
      .int()
      .min(1024)
      .default(512 * 1024 ** 2),
    /** One whole request (client-query-buffer-limit). */
    requestMaximumBytes: z.int().min(1024).default(GIB),
    /** Bytes of replies waiting for one slow reader before it is cut. */
    outputMaximumBytes: z
      .int()
      .min(1024 ** 2)
      .default(GIB),
    /** Pub/sub subscribers: cut at once above hard, or above soft for softSeconds. */
    pubsubOutputHardBytes: z
      .int()
      .min(1024)
      .default(32 * 1024 ** 2),
    pubsubOutputSoftBytes: z
      .int()
      .min(1024)
      .default(8 * 1024 ** 2),
    pubsubOutputSoftSeconds: z.int().min(1).default(60),
  })
  .prefault({});
export type CacheLimits = z.infer<typeof cacheLimitsSchema>;

/** Names follow AWS: begins with a letter, letters, digits and single hyphens, not ending in one, lower-cased, 1-40. */
const cacheNameSchema = z
  .string()
  .transform((name) => name.toLowerCase())
  .refine((name) => /^[a-z](?:[a-z0-9]|-(?=[a-z0-9])){0,39}$/.test(name), {
    error: ({ input }) =>
      `${JSON.stringify(input)} is no name for a cache: it begins with a letter and has at most 40 letters, digits and single hyphens, the last not a hyphen${String(input).length > 40 ? ` (this has ${String(input).length})` : ''}`,
  });

export const cacheSpecSchema = z.strictObject({
  name: cacheNameSchema,
  engine: z.literal('valkey').default('valkey'),
  engineVersion: z.enum(ENGINE_LINES).default(DEFAULT_ENGINE_LINE),
  /** Sharded: Valkey cluster mode, keys spread over shards. Unsharded: one shard, every command, databases. */
  sharding: z.boolean().default(true),
  /** Shards to begin with, and never fewer. */
  shards: z.int().min(1).max(500).default(3),
  /** Shards that load or data may make of it; 0: as many as the hosts hold. As many as `shards`: it keeps its size. */
  shardsMaximum: z.int().min(0).max(500).default(0),
  /** Replicas per shard. */
  replicas: z.int().min(0).max(5).default(0),
  /** Port of the endpoint; 0 = choose a free one. The reader endpoint is on `readerPort`, 0 = port + 1. */
  port: z.int().min(0).max(65_535).default(0),
  readerPort: z.int().min(0).max(65_535).default(0),
  /** Address to listen on. Anything but loopback requires TLS and a user, or `insecure`. */
  bind: z.string().default('127.0.0.1'),
  /** Host name or address shown to cluster-aware clients; defaults to `bind`. */
  announceHost: z.string().optional(),
  insecure: z.boolean().default(false),
  tls: z.enum(TLS_MODES).default('off'),
  /** PEM files of one's own; absent = development certificate made on first use. */
  tlsCertFile: z.string().optional(),
  tlsKeyFile: z.string().optional(),
  /** How long a request may be held or retried while nodes fail over or move slots. */
  deadlineMs: z.int().min(100).max(60_000).default(5_000),
  /** Proxies keep replies to reads of hot keys, at most a moment old (docs/near-cache.md). */
  nearCache: z.boolean().default(false),
  /** Databases (SELECT). */
  databases: z.int().min(1).max(10_000).default(16),
  limits: cacheLimitsSchema,
});
export type CacheSpec = z.infer<typeof cacheSpecSchema>;
/** What a caller writes: every field but the name has a default. */
export type CacheSpecInput = z.input<typeof cacheSpecSchema>;
