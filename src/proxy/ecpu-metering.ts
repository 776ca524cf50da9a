/**
 * What a request costs, in ECPU (docs/operations.md, "Work"): 1 for each KB it transfers in and out, fractions above the first
 * counted, at least the weight of its command. The weight is 1 for plain reads and writes, 0 for what is not metered, and for
 * the others their CPU time relative to a plain GET or SET, measured at the nodes (command-weights.ts).
 *
 * The rule and the lists follow ElastiCache Serverless (its pricing page, and the classifier of AWS's own cost estimator).
 */

/** Bytes of one ECPU. */
const ECPU_BYTES = 1024;

export type Metering = 'none' | 'fixed' | 'measured';

/** Not metered; a container alone names all its subcommands. */
const UNMETERED: ReadonlySet<string> = new Set([
  'auth', 'cluster', 'config', 'discard', 'exec', 'hello', 'info', 'multi', 'psubscribe', 'publish', 'pubsub',
  'punsubscribe', 'subscribe', 'unsubscribe',
]); // prettier-ignore
/** One ECPU however long they take: their time does not depend on the data, or hardly. */
const FIXED: ReadonlySet<string> = new Set([
  'acl', 'asking', 'client', 'command', 'decr', 'decrby', 'del', 'echo', 'exists', 'expire', 'expireat', 'expiretime',
  'get', 'getbit', 'hexists', 'hget', 'hincrby', 'hincrbyfloat', 'hlen', 'hset', 'hsetnx', 'incr', 'incrby',
  'incrbyfloat', 'llen', 'move', 'persist', 'pexpire', 'pexpireat', 'pexpiretime', 'ping', 'psetex', 'pttl', 'quit',
  'readonly', 'readwrite', 'reset', 'scard', 'select', 'set', 'setbit', 'setex', 'setnx', 'sismember', 'strlen', 'time',
  'ttl', 'type', 'unlink', 'unwatch', 'watch', 'xlen', 'zcard', 'zscore',
]); // prettier-ignore

/** How a command, by its full name (`client|id`), is metered. Pure. */
export function meteringOf(name: string): Metering {
  const container = name.split('|', 1)[0]!;
  if (UNMETERED.has(container)) return 'none';
  return FIXED.has(container) ? 'fixed' : 'measured';
}

/** ECPU of a request of this weight that moved so many bytes; 0 where it is not metered. Hot. */
export function ecpuOf(weight: number, bytes: number): number {
  const ofBytes = bytes / ECPU_BYTES;
  return ofBytes > weight && weight > 0 ? ofBytes : weight;
}
