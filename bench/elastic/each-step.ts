/** (d) What clients see of each kind of step: one after the other, under a steady load, each against the seconds before. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { AdminClient } from '../../src/engine/admin-client.ts';
import type { CacheStatus, Decision, NodeStatus } from '../../src/model/admin-api.ts';
import { dataDirPaths } from '../../src/model/data-dir.ts';
import type { Topology } from '../../src/model/topology.ts';
import { SYSTEM_USER_NAME } from '../../src/model/user.ts';
import { LiveSpringtide, nodesOf, until } from './live-springtide.ts';
import { OpenLoop, type LoadWindow } from './open-loop.ts';
import type { Goal, ScenarioContext, ScenarioResult } from './scenario.ts';
import { seenDuring, seenSteps } from './shape-watch.ts';
import { uniformWeights } from './slot-weights.ts';
import { errors, latencies, ms } from './words.ts';

const CACHE = 'steps';
const RATE = 10_000;
const MIX = {
  keysPerSlot: 8,
  valueBytes: 256,
  readShare: 0.8,
  scriptLoops: 0,
  pipeline: 16,
  seed: 4,
} as const;
const BEFORE_MS = 3_000;
const STEP_MS = 120_000;

export interface SeenStep {
  readonly what: string;
  readonly tookMs: number;
  readonly before: LoadWindow;
  readonly during: LoadWindow;
}

export async function eachStep(context: ScenarioContext): Promise<ScenarioResult> {
  context.log(`(d) each kind of step under ${RATE} requests/s`);
  await using springtide = await LiveSpringtide.start(context.proxies);
  const spec = { name: CACHE, shards: 2, replicas: 1 };
  const { endpoint } = await springtide.create(spec);
  const port = Number(endpoint.split(':').at(-1));
  await using loop = await OpenLoop.open({ host: '127.0.0.1', port, connections: 8 });
  await loop.prefill(MIX.keysPerSlot, MIX.valueBytes);
  await loop.mix({ ...MIX, weights: uniformWeights() });
  await loop.hold(RATE);
  await springtide.whole(CACHE);
  // What joins comes from the pool.
  await until('warm nodes', STEP_MS, async () => (await springtide.explain(CACHE)).pool.ready > 0);
  const steps: SeenStep[] = [];
  const seenOf = async (what: string, act: () => Promise<unknown>): Promise<void> => {
    context.log(`    ${what}`);
    const quietFromMs = Date.now();
    await delay(BEFORE_MS * context.scale);
    const startedMs = Date.now();
    await act();
    const endedMs = Date.now();
    await delay(1_500);
    steps.push({
      what,
      tookMs: endedMs - startedMs,
      before: loop.window(quietFromMs, startedMs),
      during: seenDuring(loop, startedMs, endedMs),
    });
  };
  const shape = (what: string, holds: (cache: CacheStatus) => boolean) => async () =>
    until(what, STEP_MS, async () => {
      const cache = await springtide.cache(CACHE);
      const report = await springtide.explain(CACHE);
      const isIdle = report.decisions.every(({ state }) => state !== 'running');
      const isSpread = report.shards.every(({ slots, state }) => slots > 0 && state === 'serving');
      return (
        isIdle && isSpread && holds(cache) && cache.nodes.every((one) => one.state === 'online')
      );
    });
  const reshaped = (change: Parameters<LiveSpringtide['modify']>[1], nodes: number) => async () => {
    await springtide.modify(CACHE, change);
    await shape(`${nodes} nodes`, (cache) => cache.nodes.length === nodes)();
  };
  await seenOf('set io-threads (1 to 2, all nodes)', () => setIoThreads(springtide, 2));
  await seenOf('set io-threads back', () => setIoThreads(springtide, 1));
  await seenOf('add a shard and give it slots', reshaped({ shards: 3, shardsMaximum: 3 }, 6));
  await seenOf('drain and remove a shard', reshaped({ shards: 2, shardsMaximum: 2 }, 4));
  await seenOf('add a replica to each shard', reshaped({ replicas: 2 }, 6));
  await seenOf('remove a replica of each shard', reshaped({ replicas: 1 }, 4));
  await seenOf('planned failover', async () => {
    await springtide.failover(CACHE, (await springtide.cache(CACHE)).nodes[0]!.shard);
  });
  await seenOf('replace a primary (new node, planned failover, old one leaves)', async () => {
    const cache = await springtide.whole(CACHE);
    const [primary] = nodesOf(cache, cache.nodes[0]!.shard, 'primary');
    await springtide.replaceNode(CACHE, primary!.id);
    await springtide.whole(CACHE);
  });
  const { decisions } = await springtide.explain(CACHE);
  return {
    goals: steps.map(goalOf),
    charts: [],
    raw: { steps, decisions: seenSteps(loop, decisions) },
  };
}

function goalOf({ what, tookMs, before, during }: SeenStep): Goal {
  return {
    part: 'd',
    what: `${what}: ${ms(tookMs)}`,
    goal: '0 errors',
    measured: `${errors(during)}; ${latencies(during)} (the seconds before: ${latencies(before)})`,
    met: during.errors === 0 && before.errors === 0,
  };
}

/** As the step `set-shard` does it: CONFIG SET on every node. */
async function setIoThreads(springtide: LiveSpringtide, ioThreads: number): Promise<void> {
  const { nodes } = await springtide.cache(CACHE);
  await Promise.all(
    nodes.map(async (node) => {
      using client = await nodeClient(springtide, CACHE, node);
      await client.call('CONFIG', 'SET', 'io-threads', String(ioThreads));
    }),
  );
}

/** A connection to a node itself, as Springtide's own user. */
export function nodeClient(
  springtide: LiveSpringtide,
  cache: string,
  { host, port }: NodeStatus,
): Promise<AdminClient> {
  const path = join(dataDirPaths(springtide.dataDir).proxies, '0', 'topology.json');
  const { caches } = JSON.parse(readFileSync(path, 'utf8')) as Topology;
  const { systemSecret } = caches.find(({ name }) => name === cache)!;
  return AdminClient.connect({ host, port, username: SYSTEM_USER_NAME, password: systemSecret });
}

export function tookOf(decisions: readonly Decision[], kind: string): number[] {
  return decisions.flatMap(({ step, state, startedAtMs, finishedAtMs }) =>
    step.startsWith(kind) && state === 'done' && finishedAtMs !== null
      ? [finishedAtMs - startedAtMs]
      : [],
  );
}
