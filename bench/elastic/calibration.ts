/**
 * What the simulator has to know of this machine: what a request costs an engine, by io-threads; how long a shard takes to join,
 * from the pool and when the pool is empty; how long slots take to move, by keys and bytes; what moves cost those who wait.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { CpuReader } from '../cpu.ts';
import { nodeClient, tookOf } from './each-step.ts';
import { LiveSpringtide, until } from './live-springtide.ts';
import { OpenLoop } from './open-loop.ts';
import type { ScenarioContext, ScenarioResult } from './scenario.ts';
import { seenSteps } from './shape-watch.ts';
import { uniformWeights } from './slot-weights.ts';

const RATES = [20_000, 60_000, 120_000];
const IO_THREADS = [1, 2];
const HOLD_MS = 4_000;
/** Keys a slot, bytes a value. */
const DATASETS = [
  [2, 64],
  [32, 64],
  [4, 4_096],
] as const;
const MIX = {
  keysPerSlot: 4,
  valueBytes: 64,
  readShare: 0.8,
  scriptLoops: 0,
  pipeline: 64,
  seed: 5,
};

export async function calibration(context: ScenarioContext): Promise<ScenarioResult> {
  context.log('calibration: service time, joins, moves');
  const service = await serviceTimes(context);
  const moves = [];
  for (const [keysPerSlot, valueBytes] of DATASETS)
    moves.push(await movesOf(context, keysPerSlot, valueBytes));
  return { goals: [], charts: [], raw: { service, moves } };
}

/** One node at several rates. CPU is the process's, utilisation its main thread's, of the engine's own counter. */
async function serviceTimes(context: ScenarioContext) {
  await using springtide = await LiveSpringtide.start(context.proxies);
  const spec = { name: 'service', shards: 1, shardsMaximum: 1, replicas: 0 };
  const { endpoint, nodes } = await springtide.create(spec);
  const port = Number(endpoint.split(':').at(-1));
  await using loop = await OpenLoop.open({ host: '127.0.0.1', port, connections: 16 });
  await loop.prefill(MIX.keysPerSlot, MIX.valueBytes);
  await loop.mix({ ...MIX, weights: uniformWeights() });
  using client = await nodeClient(springtide, 'service', nodes[0]!);
  const cpu = new CpuReader();
  const samples = [];
  for (const ioThreads of IO_THREADS) {
    await client.call('CONFIG', 'SET', 'io-threads', String(ioThreads));
    for (const rate of RATES) {
      await loop.hold(rate);
      await delay(1_500);
      const pids = await springtide.pids('service');
      const [fromMs, cpuFrom, activeFrom] = [Date.now(), cpu.read(pids), await activeUs(client)];
      await delay(HOLD_MS * context.scale);
      const [toMs, cpuTo, activeTo] = [Date.now(), cpu.read(pids), await activeUs(client)];
      const seen = loop.window(fromMs, toMs);
      const requests = (seen.repliesPerSecond * (toMs - fromMs)) / 1000;
      samples.push({
        ioThreads,
        rate,
        repliesPerSecond: seen.repliesPerSecond,
        utilisation: (activeTo - activeFrom) / 1000 / (toMs - fromMs),
        nodeCpuUsPerRequest: ((cpuTo.node - cpuFrom.node) * 1e6) / requests,
        proxyCpuUsPerRequest: ((cpuTo.proxy - cpuFrom.proxy) * 1e6) / requests,
        p50Ms: seen.p50Ms,
        p99Ms: seen.p99Ms,
      });
    }
  }
  return samples;
}

async function activeUs(client: Awaited<ReturnType<typeof nodeClient>>): Promise<number> {
  const info = String(await client.call('INFO', 'cpu'));
  // Seconds, with microseconds behind the point.
  return Number(/used_active_time_main_thread:([\d.]+)/.exec(info)?.[1] ?? 0) * 1e6;
}

/** Two shards become three, then five, then two again, under a light load. */
async function movesOf(context: ScenarioContext, keysPerSlot: number, valueBytes: number) {
  await using springtide = await LiveSpringtide.start(context.proxies);
  const name = 'moves';
  const { endpoint } = await springtide.create({ name, shards: 2, replicas: 0 });
  const port = Number(endpoint.split(':').at(-1));
  await using loop = await OpenLoop.open({ host: '127.0.0.1', port, connections: 4 });
  await loop.prefill(keysPerSlot, valueBytes);
  await loop.mix({ ...MIX, keysPerSlot, valueBytes, pipeline: 16, weights: uniformWeights() });
  await loop.hold(5_000);
  await delay(3_000);
  const heat = await springtide.heat(name);
  const dataBytes = heat.nodes.reduce((sum, { datasetBytes }) => sum + (datasetBytes ?? 0), 0);
  const keys = heat.nodes.reduce((sum, one) => sum + (one.keys ?? 0), 0);
  // The first to join is from the pool; then more join than it has.
  await until('a warm node', 30_000, async () => (await springtide.explain(name)).pool.ready > 0);
  const poolAtStart = (await springtide.explain(name)).pool;
  const reached: { readonly shards: number; readonly afterMs: number }[] = [];
  for (const shards of [3, 5, 2]) {
    const startedMs = performance.now();
    await springtide.modify(name, { shards, shardsMaximum: shards });
    await until(`${shards} shards with slots`, 120_000, async () => {
      const report = await springtide.explain(name);
      return report.shards.length === shards && report.shards.every(({ slots }) => slots > 0);
    });
    reached.push({ shards, afterMs: performance.now() - startedMs });
    await delay(2_000);
  }
  const { decisions } = await springtide.explain(name);
  return {
    keysPerSlot,
    valueBytes,
    keys,
    dataBytes,
    poolAtStart,
    reached,
    joinMs: tookOf(decisions, 'add-shard'),
    removeMs: tookOf(decisions, 'remove-shard'),
    moves: seenSteps(
      loop,
      decisions.filter(({ step, state }) => step.startsWith('move-slots') && state === 'done'),
    ).map(({ step, tookMs, seen }) => {
      const slots = Number(/\((\d+) slots\)/.exec(step)?.[1] ?? 0);
      return {
        slots,
        keys: Math.round((keys * slots) / 16_384),
        bytes: Math.round((dataBytes * slots) / 16_384),
        tookMs,
        p50Ms: seen.p50Ms,
        p99Ms: seen.p99Ms,
        maximumMs: seen.maximumMs,
        errors: seen.errors,
      };
    }),
  };
}
