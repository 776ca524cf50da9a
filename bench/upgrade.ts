/**
 * Takes a cache from one engine version to the next under value-checked traffic and says what clients saw of each step:
 * errors, acknowledged writes lost, the longest time a pipeline of requests waited.
 *
 *   node bench/upgrade.ts [--path 8.0,8.1,9.1] [--shards 3] [--replicas 1] [--unsharded] [--keys 100000] [--writers 12]
 *                         [--parallel 1] [--json FILE]
 */
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { CheckedTraffic } from '../e2e/harness/checked-traffic.ts';
import { RawClient } from '../e2e/harness/raw-client.ts';
import { program } from '../src/lib/program.ts';
import type { CacheStatus } from '../src/model/admin-api.ts';
import { ENGINE_LINES, type EngineLine } from '../src/model/cache-spec.ts';
import { encodeRequest } from '../src/protocol/request-encoder.ts';
import { count, natural, someOf } from './option-values.ts';
import type { UpgradeStep } from './upgrade-step.ts';

const MAIN = fileURLToPath(new URL('../src/cli/main.ts', import.meta.url));
const CACHE = 'upgrade-bench';
const COMMAND_TIMEOUT_MS = 600_000;
const SETTLE_MS = 2_000;
const PREFILL_BATCH = 1_000;

const values = program('node bench/upgrade.ts')
  .description('Takes a cache from one engine version to the next under value-checked traffic.')
  .option('--path <lines>', 'first to last', someOf(ENGINE_LINES), ENGINE_LINES.toReversed())
  .option('--shards <n>', 'of the cache', count, 3)
  .option('--replicas <n>', 'of each shard', natural, 1)
  .option('--unsharded', 'one shard, cluster mode off')
  .option('--keys <n>', 'that are there before', natural, 100_000)
  .option('--writers <n>', 'clients', count, 12)
  .option('--parallel <n>', 'nodes replaced at once', count, 1)
  .option('--json <file>', 'write the result there too')
  .parse()
  .opts<{
    readonly path: [EngineLine, ...EngineLine[]];
    readonly shards: number;
    readonly replicas: number;
    readonly unsharded?: true;
    readonly keys: number;
    readonly writers: number;
    readonly parallel: number;
    readonly json?: string;
  }>();

const dataDir = mkdtempSync(join(tmpdir(), 'springtide-upgrade-'));
const results: UpgradeStep[] = [];
try {
  await cli('up', '--detach', '--no-cache', '--proxies', '1', '--metrics-port', 'auto');
  const [first, ...lines] = values.path;
  for (const line of values.path) await cli('engine', 'install', line);
  const shape = values.unsharded ? ['--sharding', 'off'] : ['--shards', String(values.shards)];
  const wanted = ['--replicas', String(values.replicas), '--engine-version', first, ...shape];
  await cli('create', CACHE, '--port', 'auto', ...wanted);
  const port = Number((await cacheStatus()).endpoint.split(':').at(-1));
  await prefill(port, values.keys);
  let from: EngineLine = first;
  for (const to of lines) {
    results.push(await step(port, from, to));
    from = to;
  }
} finally {
  await cli('down').catch(() => '');
  rmSync(dataDir, { recursive: true, force: true });
}
const summary = {
  shape: values.unsharded ? 'unsharded' : `${values.shards} shards`,
  replicas: values.replicas,
  keys: values.keys,
  writers: values.writers,
  steps: results,
};
process.stdout.write(`${JSON.stringify(summary, null, 2)}\n`);
if (values.json !== undefined) writeFileSync(values.json, `${JSON.stringify(summary, null, 2)}\n`);
const isClean = results.every(
  (each) => Object.keys(each.errorsByKind).length === 0 && each.lostWrites + each.wrongValues === 0,
);
process.exitCode = isClean ? 0 : 1;

async function step(port: number, from: string, to: string): Promise<UpgradeStep> {
  const cache = { connect: (options = {}) => RawClient.connect(port, options) };
  const traffic = new CheckedTraffic(cache, `to-${to}`, values.writers);
  traffic.start();
  await delay(SETTLE_MS);
  const longestPauseBeforeMs = traffic.slowestMs;
  traffic.slowestMs = 0;
  const startedMs = performance.now();
  await cli('upgrade', CACHE, '--engine-version', to, '--parallel', String(values.parallel));
  const tookMs = performance.now() - startedMs;
  await delay(SETTLE_MS);
  const longestPauseMs = traffic.slowestMs;
  await traffic.stop();
  const lines = new Set((await cacheStatus()).nodes.map(({ engineVersion }) => engineVersion));
  if (![...lines].every((version) => version.startsWith(`${to}.`))) {
    throw new Error(`after the upgrade to ${to} there are nodes of ${[...lines].join(', ')}`);
  }
  const result: UpgradeStep = {
    from,
    to,
    tookMs: Math.round(tookMs),
    requests: traffic.requests,
    errorsByKind: Object.fromEntries(traffic.errors),
    lostWrites: traffic.lost.length + traffic.lostIncrements,
    wrongValues: traffic.wrong.length,
    longestPauseMs: Math.round(longestPauseMs),
    longestPauseBeforeMs: Math.round(longestPauseBeforeMs),
  };
  process.stderr.write(
    `${from} to ${to}: ${(tookMs / 1000).toFixed(1)} s, ${traffic.report}; longest pause ${result.longestPauseMs} ms\n`,
  );
  return result;
}

async function prefill(port: number, keys: number): Promise<void> {
  const client = await RawClient.connect(port);
  for (let at = 0; at < keys; at += PREFILL_BATCH) {
    const count = Math.min(PREFILL_BATCH, keys - at);
    client.write(
      Buffer.concat(
        Array.from({ length: count }, (_, i) =>
          encodeRequest(['SET', `filled:${at + i}`, 'x'.repeat(100)]),
        ),
      ),
    );
    for (let i = 0; i < count; i++) await client.reply();
  }
  client.close();
}

async function cacheStatus(): Promise<CacheStatus> {
  const status = JSON.parse(await cli('status', CACHE)) as CacheStatus & { cache?: CacheStatus };
  return status.cache ?? status;
}

async function cli(...args: string[]): Promise<string> {
  const all = [MAIN, ...args, '--data-dir', dataDir, '--json'];
  const options = { timeout: COMMAND_TIMEOUT_MS, maxBuffer: 16 * 1024 ** 2 };
  return (await promisify(execFile)(process.execPath, all, options)).stdout;
}
