/**
 * What an export of slots takes from its source, and how long a proxy takes to start: for the simulator's calibration
 * (`npm run sim -- --calibrate FILE`).
 *
 *   node bench/move-cost.ts FILE
 *
 * The tax of a move is the processor time of the source's main thread that its requests do not explain, as a share of the move's time:
 * the fork, pages copied because they are written to, what is streamed. What a request takes is of the seconds before.
 */
import { writeFileSync } from 'node:fs';
import { loadavg } from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';
import type { AdminClient } from '../src/engine/admin-client.ts';
import { installEngine } from '../src/engine/catalogue.ts';
import { program } from '../src/lib/program.ts';
import { nodeClient } from './elastic/each-step.ts';
import { LiveSpringtide, nodesOf, signal, until } from './elastic/live-springtide.ts';
import { OpenLoop } from './elastic/open-loop.ts';
import { uniformWeights } from './elastic/slot-weights.ts';

const CACHE = 'cost';
const RATE = 20_000;
/** Half a gigabyte on two shards. */
const MIX = {
  keysPerSlot: 8,
  valueBytes: 4_096,
  readShare: 0.8,
  scriptLoops: 0,
  pipeline: 16,
  seed: 7,
};
const LOOK_MS = 25;
const BEFORE_MS = 2_000;
const SHAPES = [3, 2, 3, 2, 3, 2];
const PROXY_STARTS = 5;

interface Look {
  readonly atMs: number;
  readonly cpuMs: number;
  readonly commands: number;
}

const [path] = program('node bench/move-cost.ts')
  .description('Measures what an export of slots takes from its source, and starts of proxies.')
  .argument('<file>', 'what was measured is written to it, as JSON')
  .parse().processedArgs as [string];
for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, () => process.exit(130));
await installEngine('9.1');
const startedAt = new Date().toISOString();
const loadBefore = loadavg()[0]!;
await using springtide = await LiveSpringtide.start(1);
const spec = { name: CACHE, shards: 2, shardsMaximum: 2, replicas: 0 };
const { endpoint } = await springtide.create(spec);
const port = Number(endpoint.split(':').at(-1));
await using loop = await OpenLoop.open({ host: '127.0.0.1', port, connections: 8 });
await loop.prefill(MIX.keysPerSlot, MIX.valueBytes);
await loop.mix({ ...MIX, weights: uniformWeights() });
await loop.hold(RATE);
const looks = new Map<number, Look[]>();
const looking = new AbortController();
const watched = [0, 1].map((shard) => watch(shard));
await delay(2 * BEFORE_MS);
for (const shards of SHAPES) {
  await springtide.modify(CACHE, { shards, shardsMaximum: shards });
  await until(`${shards} shards with slots`, 120_000, async () => {
    const report = await springtide.explain(CACHE);
    return report.shards.length === shards && report.shards.every(({ slots }) => slots > 0);
  });
  await delay(2 * BEFORE_MS);
}
looking.abort();
await Promise.all(watched);
const { decisions } = await springtide.explain(CACHE);
const forkTax = decisions.flatMap(({ step, state, startedAtMs, finishedAtMs }) => {
  const from = Number(/^move-slots (\d+) ->/.exec(step)?.[1] ?? -1);
  const seen = looks.get(from);
  if (seen === undefined || state !== 'done' || finishedAtMs === null) return [];
  const share = taxOf(seen, startedAtMs, finishedAtMs);
  return share === null ? [] : [{ step, tookMs: finishedAtMs - startedAtMs, share }];
});
await loop.hold(0);
const proxyStartMs: number[] = [];
for (let round = 0; round < PROXY_STARTS; round += 1) proxyStartMs.push(await proxyStart());
writeFileSync(
  path,
  `${JSON.stringify({ startedAt, loadBefore, forkTax, proxyStartMs }, null, 1)}\n`,
);
for (const { step, tookMs, share } of forkTax)
  process.stdout.write(`${step}: ${tookMs} ms, ${(share * 100).toFixed(1)} % of the main thread\n`);
process.stdout.write(`proxies serve again after ${proxyStartMs.map(Math.round).join(', ')} ms\n`);

async function watch(shard: number): Promise<void> {
  const [node] = nodesOf(await springtide.cache(CACHE), shard, 'primary');
  using client = await nodeClient(springtide, CACHE, node!);
  const seen: Look[] = [];
  looks.set(shard, seen);
  while (!looking.signal.aborted) {
    const one = await look(client).catch(() => null);
    // It was drained and is gone.
    if (one === null) return;
    seen.push(one);
    await delay(LOOK_MS);
  }
}

async function look(client: AdminClient): Promise<Look> {
  const [stats, info] = [await client.call('INFO', 'stats'), await client.call('INFO', 'cpu')];
  const seconds = (name: string) =>
    Number(new RegExp(`${name}:([\\d.]+)`).exec(String(info))?.[1] ?? Number.NaN);
  return {
    atMs: Date.now(),
    cpuMs: 1000 * (seconds('used_cpu_user_main_thread') + seconds('used_cpu_sys_main_thread')),
    commands: Number(/total_commands_processed:(\d+)/.exec(String(stats))![1]),
  };
}

/** Null: too short, or another move was just before it. */
function taxOf(seen: readonly Look[], startedAtMs: number, finishedAtMs: number): number | null {
  const during = seen.filter(({ atMs }) => atMs >= startedAtMs && atMs <= finishedAtMs + LOOK_MS);
  const before = seen.filter(({ atMs }) => atMs < startedAtMs && atMs > startedAtMs - BEFORE_MS);
  if (during.length < 3 || before.length < 10) return null;
  const quiet = between(before);
  const moving = between(during);
  return (moving.cpuMs - moving.commands * (quiet.cpuMs / quiet.commands)) / moving.atMs;
}

function between(looked: readonly Look[]): Look {
  const [first, last] = [looked[0]!, looked.at(-1)!];
  return {
    atMs: last.atMs - first.atMs,
    cpuMs: last.cpuMs - first.cpuMs,
    commands: last.commands - first.commands,
  };
}

async function proxyStart(): Promise<number> {
  const { pid } = (await springtide.status()).proxies[0]!;
  const startedMs = performance.now();
  signal(pid!, 'SIGKILL');
  await until('the proxy to serve again', 60_000, async () => {
    const proxy = (await springtide.status()).proxies[0]!;
    return proxy.pid !== null && proxy.pid !== pid && proxy.state === 'serving';
  });
  return performance.now() - startedMs;
}
