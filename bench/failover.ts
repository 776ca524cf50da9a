/**
 * Kills primaries again and again (`kill -9`), or stops them (`kill -STOP`), under writes and measures what clients see:
 * from the kill to the first acknowledged write of that shard, the errors by kind, and whether an acknowledged write was
 * lost.
 *
 *   node bench/failover.ts --data-dir DIR --cache NAME [--kills 20] [--planned | --hang | --zone] [--json FILE]
 *
 * `--zone` kills all nodes of the zone that has the primary of a shard, at once; the pause is that of the slowest shard.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { Option } from 'commander';
import { Redis } from 'iovalkey';
import type { CacheStatus, NodeStatus } from '../src/model/admin-api.ts';
import { ApiClient } from '../src/cli/api-client.ts';
import { program } from '../src/lib/program.ts';
import { count } from './option-values.ts';
import { connectWriter } from './admin.ts';
import { shardKey } from './shard-key.ts';

const values = program('node bench/failover.ts')
  .description('Kills primaries under writes and measures what clients see.')
  .requiredOption('--data-dir <dir>', 'of the daemon whose cache it is')
  .requiredOption('--cache <name>', 'whose primaries are killed')
  .option('--kills <n>', 'how many', count, 20)
  .addOption(new Option('--planned', 'planned failovers instead').conflicts(['hang', 'zone']))
  .addOption(new Option('--hang', 'kill -STOP instead').conflicts('zone'))
  .option('--zone', 'all nodes of the zone of a primary at once')
  .option('--writers <n>', 'clients', count, 16)
  .option('--json <file>', 'write the result there too')
  .parse()
  .opts<{
    readonly dataDir: string;
    readonly cache: string;
    readonly kills: number;
    readonly planned?: true;
    readonly hang?: true;
    readonly zone?: true;
    readonly writers: number;
    readonly json?: string;
  }>();
const name = values.cache;
const api = new ApiClient(values.dataDir, 'springtide up');

const status = await cacheStatus();
const shards = status.spec.shards;
const [host, port] = status.endpoint.split(':');

/** A key of each shard: shards own equal ranges of slots in order. */
const keys = Array.from({ length: shards }, (_, shard) => shardKey(shard, shards));
const acknowledged = new Map<string, number>();
const attempted = new Map<string, number>();
const errors = new Map<string, number>();
/** Time of the last acknowledged write of each shard, and the longest time since the kill without one. */
const lastMs = Array.from({ length: shards }, () => 0);
let longestMs = Array.from({ length: shards }, () => 0);
let stopping = false;

const writers = Array.from({ length: values.writers }, (_, index) => write(index));
await sleep(500);
const resumedMs: number[] = [];
for (let kill = 0; kill < values.kills; kill++) {
  const shard = kill % shards;
  const primary = await readyPrimary(shard);
  const killedAt = performance.now();
  longestMs = longestMs.map(() => 0);
  if (values.planned) await planned(shard);
  else if (values.zone) await killZone(primary.zone);
  else process.kill(primary.pid!, values.hang ? 'SIGSTOP' : 'SIGKILL');
  // A stopped primary has acknowledged some a moment before; what counts comes from the next one.
  while (values.hang && (await primaryOf(shard))?.id === primary.id) await sleep(20);
  while (lastMs[shard]! < killedAt + 1) await sleep(1);
  // By then the others have had their pause too: half of them lost their primaries with this one.
  await sleep(values.zone ? 3_000 : 300);
  const pauseMs = values.zone ? Math.max(...longestMs) : longestMs[shard]!;
  resumedMs.push(pauseMs);
  process.stderr.write(
    `\r${kill + 1} of ${values.kills}: writes paused for ${pauseMs.toFixed(1)} ms   `,
  );
}
stopping = true;
await Promise.all(writers);
process.stderr.write('\n');

const reader = new Redis({ host: host!, port: Number(port) });
let lost = 0;
for (const [key, sequence] of acknowledged) {
  const found = Number(await reader.get(key));
  // What was attempted later may stand there (its outcome was unknown); what was acknowledged must not be missing.
  if (!(found >= sequence && found <= attempted.get(key)!)) lost++;
}
reader.disconnect();

const sorted = resumedMs.toSorted((a, b) => a - b);
const quantile = (q: number) =>
  sorted[Math.min(sorted.length - 1, Math.ceil(q * sorted.length) - 1)]!;
const result = {
  kind: values.planned
    ? 'planned failover'
    : values.zone
      ? 'kill -9 of all nodes of a zone'
      : `${values.hang ? 'kill -STOP' : 'kill -9'} of the primary`,
  engine: status.engineFullVersion,
  rounds: sorted.length,
  pauseMs: { p50: quantile(0.5), p90: quantile(0.9), p99: quantile(0.99), max: quantile(1) },
  keys: acknowledged.size,
  writesAcknowledged: [...acknowledged.values()].reduce((sum, count) => sum + count, 0),
  keysThatLostAcknowledgedWrites: lost,
  errorsByKind: Object.fromEntries(errors),
};
process.stdout.write(`${JSON.stringify(result, null, 2)}\n`);
if (values.json !== undefined) writeFileSync(values.json, `${JSON.stringify(result, null, 2)}\n`);

async function write(index: number): Promise<void> {
  const client = connectWriter(host!, Number(port));
  const shard = index % shards;
  const key = `{${keys[shard]}}:${index}`;
  for (let sequence = 1; !stopping; sequence++) {
    attempted.set(key, sequence);
    const startedAt = performance.now();
    try {
      await client.set(key, sequence);
      const now = performance.now();
      acknowledged.set(key, sequence);
      // From the last one to this: a write that stood still and then failed is part of the pause.
      longestMs[shard] = Math.max(longestMs[shard]!, now - Math.min(startedAt, lastMs[shard]!));
      lastMs[shard] = now;
    } catch (error) {
      const kind = String((error as Error).message).split(' ', 1)[0]!;
      errors.set(kind, (errors.get(kind) ?? 0) + 1);
    }
  }
  client.disconnect();
}

/** Every shard must be whole before. */
async function killZone(zone: string): Promise<void> {
  for (let other = 0; other < shards; other++) await readyPrimary(other);
  longestMs = longestMs.map(() => 0);
  const { nodes } = await cacheStatus();
  for (const { pid } of nodes.filter((node) => node.zone === zone)) process.kill(pid!, 'SIGKILL');
}

async function planned(shard: number): Promise<void> {
  for await (const progress of api.stream('POST', `/v1/caches/${name}/failover`, {
    body: { shard },
  })) {
    if (progress.type === 'failed') throw new Error(progress.error.message);
  }
}

/** The shard's primary once it has a replica that is in step: killing it before would prove nothing. */
async function readyPrimary(shard: number): Promise<NodeStatus> {
  for (let tries = 0; tries < 600; tries++) {
    const { nodes } = await cacheStatus();
    const mine = nodes.filter((node) => node.shard === shard);
    const primary = mine.find(
      (node) => node.role === 'primary' && node.state === 'online' && isRunning(node.pid),
    );
    const replicas = mine.filter((node) => node.role === 'replica');
    if (
      primary !== undefined &&
      replicas.length > 0 &&
      replicas.every((node) => node.state === 'online')
    ) {
      await sleep(200);
      return primary;
    }
    await sleep(50);
  }
  throw new Error(`shard ${shard} did not become whole again within 30 s`);
}

async function primaryOf(shard: number): Promise<NodeStatus | undefined> {
  const { nodes } = await cacheStatus();
  return nodes.find((node) => node.shard === shard && node.role === 'primary');
}

function cacheStatus(): Promise<CacheStatus> {
  return api.call<CacheStatus>('GET', `/v1/caches/${name}`);
}

function isRunning(pid: number | null): boolean {
  if (pid === null) return false;
  try {
    return !readFileSync(`/proc/${pid}/stat`, 'latin1').includes(') Z ');
  } catch {
    return false;
  }
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
