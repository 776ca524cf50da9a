/** Puts every key in place before anything is measured, and makes sure of it: a GET that misses is a cheaper GET. */
import { infoNumber, withConnection, type Address } from './admin.ts';
import { BenchError } from './bench-error.ts';
import { clusterKeys, runLoad, type Load } from './load.ts';
import type { Invocation } from './processes.ts';
import type { Target } from './targets/target.ts';

const FILL_TIMEOUT_MS = 120_000;
const FILL_LOAD = {
  clients: 20,
  pipeline: 50,
  tls: false,
  command: 'set',
  sequential: true,
} as const;
// valkey-benchmark draws one hash tag for a whole pipeline: with as many commands in it as a tag has keys, numbered in
// sequence, each pipeline fills one tag. After n draws over k tags, k * e^(-n/k) are still empty: 0.02 of 16384 at 14 k.
const DRAWS_PER_TAG = 7;
const FILL_ROUNDS = 6;
const CHECK_BATCH = 1_000;

export interface Keyspace {
  readonly keys: number;
  readonly valueBytes: number;
}

/** Writes all keys of the load through the target itself. Throws when some are not there afterwards. */
export async function prefill(
  benchmark: Invocation,
  target: Target,
  keyspace: Keyspace,
  signal?: AbortSignal,
): Promise<void> {
  const address = target.plain ?? target.tls!;
  const load: Load = {
    ...FILL_LOAD,
    ...address,
    ...target.credentials,
    ...(target.keyPrefix === undefined ? {} : { keyPrefix: target.keyPrefix }),
    ...keyspace,
    tls: target.plain === null,
    cluster: target.cluster,
    requests: keyspace.keys,
  };
  const options = { timeoutMs: FILL_TIMEOUT_MS, ...(signal === undefined ? {} : { signal }) };
  if (!target.cluster) {
    await runLoad(benchmark, load, options);
    await requireKeyspace(target, keyspace);
    return;
  }
  // Its tags are its own, so a cluster is filled at random until it is full.
  const { perTag, total } = clusterKeys(keyspace.keys);
  const round = { ...load, pipeline: perTag, requests: total * DRAWS_PER_TAG };
  for (let rounds = 0; rounds < FILL_ROUNDS; rounds++) {
    await runLoad(benchmark, round, options);
    if ((await databaseSize(target.nodes)) >= total) return;
  }
  throw new BenchError(
    'BENCH_TARGET_FAILED',
    `${target.name}: the keyspace of ${total} keys did not fill`,
  );
}

/** Name of the key with this number, as valkey-benchmark writes it. */
export function keyName(index: number, prefix = 'key'): string {
  return `${prefix}:${String(index).padStart(12, '0')}`;
}

/** Throws unless every key is there with a value of the right size. */
export async function requireKeyspace(target: Target, keyspace: Keyspace): Promise<void> {
  const { keys } = keyspace;
  if (target.cluster) {
    const { total } = clusterKeys(keys);
    const missing = total - (await databaseSize(target.nodes));
    if (missing > 0) throw keysMissing(target, missing, total);
    return;
  }
  const missing = await countMissing(target, keyspace);
  if (missing > 0) throw keysMissing(target, missing, keys);
}

function keysMissing({ name }: Target, missing: number, keys: number): BenchError {
  return new BenchError('BENCH_TARGET_FAILED', `${name}: ${missing} of ${keys} keys are missing`);
}

async function countMissing(target: Target, keyspace: Keyspace): Promise<number> {
  const address = target.plain ?? target.tls!;
  const check = async (
    client: Parameters<Parameters<typeof withConnection>[1]>[0],
  ): Promise<number> => {
    let missing = 0;
    for (let from = 0; from < keyspace.keys; from += CHECK_BATCH) {
      const batch = client.pipeline();
      const to = Math.min(from + CHECK_BATCH, keyspace.keys);
      for (let index = from; index < to; index++) batch.get(keyName(index, target.keyPrefix));
      for (const [error, value] of (await batch.exec()) ?? []) {
        if (error !== null) throw error;
        if (typeof value !== 'string' || value.length !== keyspace.valueBytes) missing++;
      }
    }
    return missing;
  };
  return await withConnection(address, check, {
    ...target.credentials,
    tls: target.plain === null,
  });
}

async function databaseSize(nodes: readonly Address[]): Promise<number> {
  let keys = 0;
  for (const node of nodes) keys += await withConnection(node, (client) => client.dbsize());
  return keys;
}

/** GETs that missed and error replies of these nodes since they began. */
export async function nodeFaults(
  nodes: readonly Address[],
): Promise<{ readonly misses: number; readonly errors: number }> {
  let misses = 0;
  let errors = 0;
  for (const node of nodes) {
    const info = await withConnection(node, (client) => client.info('stats'));
    misses += infoNumber(info, 'keyspace_misses');
    errors += infoNumber(info, 'total_error_replies');
  }
  return { misses, errors };
}
