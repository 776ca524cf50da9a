/**
 * One hot key with the near cache and without: two caches of one shard each behind the same proxy process, asked in turn
 * (so that what else the machine does falls on both), requests a second and CPU for each request of proxy and node.
 *
 *   node bench/near-cache.ts [--clients 50] [--pipeline 1,16] [--seconds 5] [--rounds 5] [--value 100] [--writes 0]
 *                            [--keys 1]
 *
 * `--writes`: so many writes of the key a second meanwhile, through the same endpoint. `--keys`: so many keys read at random
 * instead of one, none of them hot: what a near cache costs that does nothing.
 */
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { fileURLToPath } from 'node:url';
import { program } from '../src/lib/program.ts';
import type { SystemStatus } from '../src/model/admin-api.ts';
import { withConnection, type Address } from './admin.ts';
import { cpuDelta, CpuReader } from './cpu.ts';
import { findEngineTools } from './engine-tools.ts';
import { count, counts, natural, positive } from './option-values.ts';
import { median } from './summary.ts';
import { parseAddress } from './targets/springtide.ts';

const MAIN = fileURLToPath(new URL('../src/cli/main.ts', import.meta.url));
const KEY = 'hot';
/** Long enough to be found hot, and for both to be warm. */
const WARM_UP_SECONDS = 2;

interface Round {
  readonly requestsPerSecond: number;
  readonly proxyUs: number;
  readonly nodeUs: number;
}

const values = program('node bench/near-cache.ts')
  .description('Measures one hot key with the near cache and without.')
  .option('--clients <n>', 'of the load', count, 50)
  .option('--pipeline <depths>', 'requests under way per client', counts, [1, 16])
  .option('--seconds <n>', 'of each round', positive, 5)
  .option('--rounds <n>', 'medians are taken over so many', count, 5)
  .option('--value <bytes>', 'size of the value', count, 100)
  .option('--writes <n>', 'of the key a second meanwhile', natural, 0)
  .option('--keys <n>', 'read at random', count, 1)
  .parse()
  .opts<{
    readonly clients: number;
    readonly pipeline: readonly number[];
    readonly seconds: number;
    readonly rounds: number;
    readonly value: number;
    readonly writes: number;
    readonly keys: number;
  }>();
const dataDir = mkdtempSync(join(tmpdir(), 'springtide-near-'));
const cpu = new CpuReader();
const { benchmark } = await findEngineTools(() => undefined);
try {
  await springtide('up', '--detach', '--no-cache', '--metrics-port', 'auto', '--proxies', '1');
  const addresses = new Map<string, Address>();
  for (const near of ['off', 'on']) {
    const name = `near-${near}`;
    await springtide('create', name, '--shards', '1', '--port', 'auto', '--near-cache', near);
    const cache = (await status()).caches.find(({ spec }) => spec.name === name)!;
    const address = parseAddress(cache.endpoint);
    addresses.set(near, address);
    await withConnection(address, async (connection) => {
      await connection.call('SET', KEY, 'x'.repeat(values.value));
    });
  }
  for (const pipeline of values.pipeline) {
    const rounds: Record<string, Round[]> = { off: [], on: [] };
    for (const [near, address] of addresses) await load(address, pipeline, WARM_UP_SECONDS, near);
    for (let i = 0; i < values.rounds; i++)
      for (const [near, address] of addresses)
        rounds[near]!.push(await load(address, pipeline, values.seconds, near));
    report(pipeline, rounds);
  }
} finally {
  await springtide('down').catch(() => '');
  rmSync(dataDir, { recursive: true, force: true });
}

/** Reads the key for so long; as much as the endpoint gives. */
async function load(
  address: Address,
  pipeline: number,
  seconds: number,
  near: string,
): Promise<Round> {
  const before = await status();
  const pids = {
    proxy: before.proxies.map(({ pid }) => pid!),
    node: before.caches
      .filter(({ spec }) => spec.name === `near-${near}`)
      .flatMap(({ nodes }) => nodes.map(({ pid }) => pid!)),
    other: [],
  };
  const writing = new AbortController();
  const writer = write(address, writing.signal);
  const args = `-h ${address.host} -p ${address.port} -c ${values.clients} -P ${pipeline}`.split(
    ' ',
  );
  const what =
    values.keys === 1 ? ['GET', KEY] : ['-r', String(values.keys), 'GET', 'key:__rand_int__'];
  const read = cpu.read(pids);
  const startedMs = performance.now();
  const child = spawn(
    benchmark.file,
    [...benchmark.args, ...args, '--duration', String(seconds), '--csv', ...what],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  );
  let output = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (output += text));
  await once(child, 'close');
  const elapsed = (performance.now() - startedMs) / 1000;
  const used = cpuDelta(read, cpu.read(pids));
  writing.abort();
  await writer;
  const requestsPerSecond = Number(/^"GET[^"]*","([\d.]+)"/m.exec(output)?.[1]);
  const requests = requestsPerSecond * Math.min(elapsed, seconds);
  return {
    requestsPerSecond,
    proxyUs: (used.proxy * 1e6) / requests,
    nodeUs: (used.node * 1e6) / requests,
  };
}

async function write(address: Address, signal: AbortSignal): Promise<void> {
  const rate = values.writes;
  if (rate === 0) return;
  await withConnection(address, async (connection) => {
    while (!signal.aborted) {
      await connection.call('SET', KEY, 'x'.repeat(values.value));
      await delay(1000 / rate);
    }
  });
}

function report(pipeline: number, rounds: Record<string, Round[]>): void {
  const of = (near: string, pick: (round: Round) => number): number =>
    median(rounds[near]!.map(pick));
  const line = (near: string): string =>
    `near cache ${near.padEnd(3)}  ${Math.round(of(near, (r) => r.requestsPerSecond))} requests/s, ` +
    `CPU a request: proxy ${of(near, (r) => r.proxyUs).toFixed(2)} us, node ${of(near, (r) => r.nodeUs).toFixed(2)} us`;
  const ratio = (pick: (round: Round) => number): string => {
    const ratios = rounds['on']!.map((on, i) => pick(on) / pick(rounds['off']![i]!));
    return median(ratios).toFixed(2);
  };
  process.stdout.write(
    [
      `${values.clients} clients, pipeline ${pipeline}, ${values.keys === 1 ? 'one key' : `${values.keys} keys`}, ${values.value} bytes, ${values.writes} writes/s; medians of ${values.rounds} rounds`,
      line('off'),
      line('on'),
      `on / off: requests/s x${ratio((r) => r.requestsPerSecond)}, CPU a request of both x${ratio((r) => r.proxyUs + r.nodeUs)}, of the proxy x${ratio((r) => r.proxyUs)}`,
      '',
    ].join('\n'),
  );
}

async function springtide(...args: string[]): Promise<string> {
  const all = [MAIN, ...args, '--data-dir', dataDir, '--json'];
  return (await promisify(execFile)(process.execPath, all, { timeout: 120_000 })).stdout;
}

async function status(): Promise<SystemStatus> {
  return JSON.parse(await springtide('status')) as SystemStatus;
}
