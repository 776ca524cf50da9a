/**
 * (b) Zipf over slots, one slot with a quarter of all requests. A slot cannot be cut, so the best that any placement on n shards
 * can do for its most loaded one is max(hottest slot, total / n); the hottest shard is held against that.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { CacheHeatAnswer } from '../../src/model/heat.ts';
import { LiveSpringtide } from './live-springtide.ts';
import { OpenLoop } from './open-loop.ts';
import type { ScenarioContext, ScenarioResult } from './scenario.ts';
import { seenSteps, shardLoads } from './shape-watch.ts';
import { bestMaximum, zipfWeights } from './slot-weights.ts';
import { errors, latencies } from './words.ts';

const CACHE = 'hot';
const SHARDS = 4;
/** In the middle of the first shard's slots. */
const HOT_SLOT = 2_000;
const HOT_SHARE = 0.25;
const ALPHA = 0.6;
const RATE = 40_000;
const MIX = {
  keysPerSlot: 32,
  valueBytes: 64,
  readShare: 1,
  scriptLoops: 6_000,
  pipeline: 16,
  seed: 2,
};
const RATIO = 1.15;
/** So many samples in a row at the goal, and then as many for the figure. */
const STEADY_SAMPLES = 8;
const SAMPLE_MS = 1_000;
const PATIENCE_SAMPLES = 90;
/** Until weights and rates are of this load. */
const WARM_UP_MS = 3_000;

interface HotSample {
  readonly atMs: number;
  /** The hottest shard over the best possible maximum. */
  readonly ratio: number;
  readonly loads: Readonly<Record<string, number>>;
  readonly hotShard: number;
  /** Of the load of its shard, what the hot slot itself is. */
  readonly hotShareOfShard: number;
  readonly slotsOfHotShard: number;
  readonly utilisations: readonly (number | null)[];
}

export async function hotSlot(context: ScenarioContext): Promise<ScenarioResult> {
  context.log(`(b) Zipf ${ALPHA}, one slot with ${HOT_SHARE * 100} % of ${RATE} requests/s`);
  await using springtide = await LiveSpringtide.start(context.proxies);
  const spec = { name: CACHE, shards: SHARDS, shardsMaximum: SHARDS, replicas: 0 };
  const { endpoint } = await springtide.create(spec);
  const port = Number(endpoint.split(':').at(-1));
  await using loop = await OpenLoop.open({ host: '127.0.0.1', port, connections: 12 });
  await loop.prefill(MIX.keysPerSlot, MIX.valueBytes);
  await loop.mix({ ...MIX, weights: zipfWeights(ALPHA, HOT_SLOT, HOT_SHARE, MIX.seed) });
  await loop.hold(RATE);
  const startMs = Date.now();
  await delay(WARM_UP_MS);
  const samples: HotSample[] = [];
  let steady = 0;
  while (samples.length < PATIENCE_SAMPLES && steady < 2 * STEADY_SAMPLES) {
    const sample = sampleOf(await springtide.heat(CACHE));
    samples.push(sample);
    steady = sample.ratio <= RATIO ? steady + 1 : 0;
    await delay(SAMPLE_MS);
  }
  const endMs = Date.now();
  const seen = loop.window(startMs, endMs);
  const last = samples.slice(-STEADY_SAMPLES);
  const ratio = last.reduce((sum, one) => sum + one.ratio, 0) / last.length;
  const first = samples[0]!;
  const end = samples.at(-1)!;
  const settled = samples.findIndex((_, index) =>
    samples.slice(index).every((one) => one.ratio <= RATIO),
  );
  const { decisions } = await springtide.explain(CACHE);
  const shards = [...new Set(samples.flatMap(({ loads }) => Object.keys(loads)))].sort();
  return {
    goals: [
      {
        part: 'b',
        what: `hottest of ${Object.keys(end.loads).length} shards, as a multiple of max(hottest slot, mean of shards); one slot has ${HOT_SHARE * 100} % of the load`,
        goal: `at most ${RATIO}`,
        measured: `${first.ratio.toFixed(2)} at first, ${ratio.toFixed(2)} at the end${settled < 0 ? '' : `, at the goal ${Math.round((samples[settled]!.atMs - startMs) / 1000)} s after the load began`}; the hot slot is ${Math.round(end.hotShareOfShard * 100)} % of its shard's load (${Math.round(first.hotShareOfShard * 100)} % at first)`,
        met: ratio <= RATIO,
      },
      {
        part: 'b',
        what: `errors while slots move (${latencies(seen)})`,
        goal: 'none',
        measured: `${errors(seen)} in ${seen.replies.toLocaleString('en')} requests`,
        met: seen.errors === 0,
      },
    ],
    charts: [
      {
        name: 'elastic-hot-slot',
        title: 'One slot with a quarter of the load: the other hot slots leave its shard',
        subtitle: `Zipf ${ALPHA} over 16,384 slots, ${RATE.toLocaleString('en')} requests/s, ${SHARDS} shards`,
        panels: [
          {
            title: 'requests a second, by shard',
            lines: shards.map((shard) => ({
              label: `shard ${shard}${Number(shard) === end.hotShard ? ' (hot slot)' : ''}`,
              points: samples.map((one) => [(one.atMs - startMs) / 1000, one.loads[shard] ?? 0]),
            })),
          },
          {
            title: 'hottest shard over the best that placement can reach',
            lines: [
              {
                label: 'ratio',
                points: samples.map((one) => [(one.atMs - startMs) / 1000, one.ratio]),
              },
            ],
          },
        ],
      },
    ],
    raw: { samples, seen, steps: seenSteps(loop, decisions) },
  };
}

function sampleOf(heat: CacheHeatAnswer): HotSample {
  const loads = shardLoads(heat);
  const hotShard = heat.owners[HOT_SLOT]!;
  const shards = new Set(heat.nodes.map(({ shard }) => shard)).size;
  const requests = heat.smoothed.requests;
  return {
    atMs: heat.atMs,
    ratio: Math.max(...loads.values()) / bestMaximum(requests, shards),
    loads: Object.fromEntries(loads),
    hotShard,
    hotShareOfShard: requests[HOT_SLOT]! / Math.max(1, loads.get(hotShard) ?? 0),
    slotsOfHotShard: heat.owners.filter((shard) => shard === hotShard).length,
    utilisations: heat.nodes.map(({ utilisation }) => utilisation),
  };
}
