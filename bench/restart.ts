/**
 * Kills primaries that have no replica (`kill -9`) under writes and measures for how long clients' writes of that shard
 * were held, which errors they got, and whether those of the other shards went on.
 *
 *   node bench/restart.ts --data-dir DIR --cache NAME [--kills 15]
 */
import { ApiClient } from '../src/cli/api-client.ts';
import type { CacheStatus } from '../src/model/admin-api.ts';
import { program } from '../src/lib/program.ts';
import { count } from './option-values.ts';
import { connectWriter } from './admin.ts';
import { shardKey } from './shard-key.ts';

const values = program('node bench/restart.ts')
  .description('Kills primaries without replicas under writes and measures what clients see.')
  .requiredOption('--data-dir <dir>', 'of the daemon whose cache it is')
  .requiredOption('--cache <name>', 'whose primaries are killed')
  .option('--kills <n>', 'how many', count, 15)
  .parse()
  .opts<{ readonly dataDir: string; readonly cache: string; readonly kills: number }>();
const name = values.cache;
const api = new ApiClient(values.dataDir, 'springtide up');
const { spec, endpoint, engineFullVersion } = await cacheStatus();
const [host, port] = endpoint.split(':');
const shards = spec.sharding ? spec.shards : 1;
/** A node that dies younger than this, twice, is started again with a delay: not what is measured here. */
const YOUNG_MS = 10_500;
const errors = new Map<string, number>();
/** The longest wait for an answer since the last kill, and the time of the last one, of each shard. */
const longestMs = Array.from({ length: shards }, () => 0);
const lastMs = Array.from({ length: shards }, () => 0);
let stopping = false;

const writers = Array.from({ length: shards * 4 }, (_, index) => write(index % shards));
await sleep(500);
const heldMs: number[] = [];
const othersMs: number[] = [];
for (let kill = 0; kill < values.kills; kill++) {
  const shard = kill % shards;
  const pid = await onlinePid(shard);
  longestMs.fill(0);
  const killedAt = performance.now();
  process.kill(pid, 'SIGKILL');
  await sleep(30);
  while (lastMs[shard]! < killedAt + 30) await sleep(1);
  await sleep(200);
  heldMs.push(longestMs[shard]!);
  othersMs.push(Math.max(0, ...longestMs.filter((_, other) => other !== shard)));
  await sleep(YOUNG_MS / shards);
}
stopping = true;
await Promise.all(writers);
const result = {
  engine: engineFullVersion,
  shards,
  kills: heldMs.length,
  heldMs: summary(heldMs),
  otherShardsMs: summary(othersMs),
  errorsByKind: Object.fromEntries(errors),
};
process.stdout.write(`${JSON.stringify(result, null, 2)}\n`);

async function write(shard: number): Promise<void> {
  const key = shardKey(shard, shards);
  const client = connectWriter(host!, Number(port));
  while (!stopping) {
    const startedAt = performance.now();
    try {
      await client.set(key, 'x');
      lastMs[shard] = performance.now();
      longestMs[shard] = Math.max(longestMs[shard]!, lastMs[shard]! - startedAt);
    } catch (error) {
      const kind = String((error as Error).message).split(' ', 1)[0]!;
      errors.set(kind, (errors.get(kind) ?? 0) + 1);
      await sleep(5);
    }
  }
  client.disconnect();
}

async function onlinePid(shard: number): Promise<number> {
  for (;;) {
    const { nodes } = await cacheStatus();
    const node = nodes.find((one) => one.shard === shard && one.role === 'primary');
    if (node?.state === 'online' && node.pid !== null) return node.pid;
    await sleep(50);
  }
}

function cacheStatus(): Promise<CacheStatus> {
  return api.call<CacheStatus>('GET', `/v1/caches/${name}`);
}

function summary(samples: readonly number[]): Record<string, number> {
  const sorted = samples.toSorted((a, b) => a - b);
  const at = (q: number) => Math.round(sorted[Math.ceil(q * sorted.length) - 1]!);
  return { p50: at(0.5), p90: at(0.9), max: at(1) };
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
