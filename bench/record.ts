/**
 * Runs a few short loads against a real Springtide and writes each as a recording for the simulator, which is then held
 * against it (`npm run sim`): docs/benchmarks/recordings/.
 *
 *   node bench/record.ts [--only tide,step,waves] [--write]
 *
 * Requests are scripts that keep an engine busy for about 20 µs and everybody else for little, so the nodes are what is loaded.
 * A script is metered by its time beside a plain GET's, which other work on the machine changes: recordings are in ECPU, and
 * have both what was asked for and what a node could do for each second.
 * The machine has few cores: shards are filled to a third of what the product fills them to, so that there can be several of
 * them, and other work on it is not taken for this cache's. The simulator runs with the same parameters.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { availableParallelism, cpus, loadavg } from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { Option } from 'commander';
import type { PlannerParams } from '../src/control/policies/planner-params.ts';
import { program } from '../src/lib/program.ts';
import { recordingSchema, type Recording } from '../src/sim/recording.ts';
import { installEngine } from '../src/engine/catalogue.ts';
import { someOf } from './option-values.ts';
import { LiveSpringtide, until } from './elastic/live-springtide.ts';
import type { RatePoint } from './elastic/load-schedule.ts';
import { OpenLoop } from './elastic/open-loop.ts';
import { measuredNodeEcpu, recordedSamples } from './elastic/recorder.ts';
import { ShapeWatch } from './elastic/shape-watch.ts';
import { uniformWeights } from './elastic/slot-weights.ts';

const FOLDER = fileURLToPath(new URL('../docs/benchmarks/recordings/', import.meta.url));
const CACHE = 'recorded';
/** With one shard: until its node has shown what it can do, then until all is quiet. */
const WARM_UP = { perSecond: 15_000, learnMs: 15_000, quietMs: 12_000 };
const PATIENCE_MS = 1_000;
/** Shards of the cache at the most: what two cores can be divided by. */
const SHARDS_MAXIMUM = 6;
/** A node that is started on a machine that is there (docs/decisions/0008): its start, and the engine's own delay of writes. */
const COLD_START_MS = 2_000;
const MIX = {
  keysPerSlot: 4,
  valueBytes: 64,
  readShare: 1,
  scriptLoops: 3_000,
  pipeline: 16,
  seed: 6,
};
const PARAMS = {
  ioThreadsMaximum: 1,
  hostFullUtilisation: 10,
  targetUtilisation: 0.2,
  outUtilisation: 0.2,
  outForecastUtilisation: 0.25,
  outUrgentUtilisation: 0.28,
  inUtilisation: 0.165,
  inQuietMs: 20_000,
} as const satisfies Partial<PlannerParams>;

interface Plan {
  readonly about: string;
  readonly points: readonly RatePoint[];
}

const PLANS: Readonly<Record<string, Plan>> = {
  tide: {
    about: 'up, hold, down: 2,000 to 30,000 requests/s in 20 s, back after 35 s',
    points: [
      { atMs: 0, perSecond: 2_000 },
      { atMs: 20_000, perSecond: 30_000 },
      { atMs: 55_000, perSecond: 30_000 },
      { atMs: 60_000, perSecond: 2_000 },
      { atMs: 105_000, perSecond: 2_000 },
    ],
  },
  step: {
    about: 'a step: 4,000 to 58,000 requests/s at once, more than a node can do, for 25 s',
    points: [
      { atMs: 0, perSecond: 4_000 },
      { atMs: 10_000, perSecond: 4_000 },
      { atMs: 10_001, perSecond: 58_000 },
      { atMs: 35_000, perSecond: 58_000 },
      { atMs: 35_001, perSecond: 5_000 },
      { atMs: 90_000, perSecond: 5_000 },
    ],
  },
  waves: {
    about: 'waves: 3,000 to 25,000 requests/s and back, every 40 s',
    points: Array.from({ length: 6 }, (_, index) => ({
      atMs: index * 20_000,
      perSecond: index % 2 === 0 ? 3_000 : 25_000,
    })),
  },
};

const values = program('npm run bench:record --')
  .description('Runs short loads against a real Springtide; writes them for the simulator.')
  .addOption(
    new Option('--only <names>', `some of: ${Object.keys(PLANS).join(', ')}`)
      .default(Object.keys(PLANS), 'all')
      .argParser(someOf(Object.keys(PLANS))),
  )
  .option('--write', 'to docs/benchmarks/recordings', false)
  .parse()
  .opts<{ readonly only: string[]; readonly write: boolean }>();
// Ctrl-C ends the nodes too: they are ended where the process exits.
for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, () => process.exit(130));
await installEngine('9.1');
for (const name of values.only) {
  const plan = PLANS[name]!;
  process.stderr.write(`${plan.about}\n`);
  const recording = await record(plan);
  const shards = recording.samples.map((one) => one.shards);
  const overloaded = recording.samples.filter((one) => one.overloaded).length;
  process.stdout.write(
    `${name}: ${shards.join(' ')}\n${overloaded} s overloaded, a node does ${recording.nodeEcpuByIoThreads[0]} ECPU/s, load average ${recording.loadAverage.join(' to ')}\n`,
  );
  if (!values.write) continue;
  mkdirSync(FOLDER, { recursive: true });
  writeFileSync(`${FOLDER}${name}.json`, text(recording));
}

async function record({ about, points }: Plan): Promise<Recording> {
  const recordedAt = new Date().toISOString();
  const loadBefore = loadavg()[0]!;
  await using springtide = await LiveSpringtide.start(1, null, PARAMS);
  const spec = { name: CACHE, shards: 1, shardsMaximum: 1, replicas: 0 };
  const { endpoint } = await springtide.create(spec);
  const port = Number(endpoint.split(':').at(-1));
  await using loop = await OpenLoop.open({ host: '127.0.0.1', port, connections: 12 });
  await loop.prefill(MIX.keysPerSlot, MIX.valueBytes);
  await loop.mix({ ...MIX, weights: uniformWeights() });
  await loop.hold(WARM_UP.perSecond);
  await delay(WARM_UP.learnMs);
  const learned = await springtide.heat(CACHE);
  await loop.hold(points[0]!.perSecond);
  await delay(WARM_UP.quietMs);
  await springtide.modify(CACHE, { shardsMaximum: SHARDS_MAXIMUM });
  await until('a warm node', 60_000, async () => (await springtide.explain(CACHE)).pool.ready > 0);
  const { pool } = await springtide.explain(CACHE);
  const heat = await springtide.heat(CACHE);
  await using watch = new ShapeWatch(springtide, CACHE);
  await delay(1_500);
  const startMs = Date.now();
  await loop.schedule(points);
  await delay(points.at(-1)!.atMs);
  await delay(500);
  await watch.stop();
  const { decisions } = await springtide.explain(CACHE);
  const endMs = startMs + points.at(-1)!.atMs;
  const { shapes, heats } = watch;
  return recordingSchema.parse({
    about,
    recordedAt,
    machine: `${cpus()[0]?.model ?? 'an unknown processor'}, ${availableParallelism()} cores, with the load generator and other work on them`,
    loadAverage: [loadBefore, loadavg()[0]!],
    hosts: 1,
    coresPerHost: availableParallelism(),
    replicas: spec.replicas,
    shardsMinimum: spec.shards,
    shardsMaximum: SHARDS_MAXIMUM,
    warmUp: {
      ecpuPerSecond: Math.round(learned.nodes.reduce((sum, one) => sum + one.ecpuPerSecond, 0)),
      learnMs: WARM_UP.learnMs,
      quietMs: WARM_UP.quietMs,
    },
    warmNodes: pool.ready,
    coldStartMs: COLD_START_MS,
    dataBytes: heat.nodes.reduce((sum, { datasetBytes }) => sum + (datasetBytes ?? 0), 0),
    zipf: 0,
    nodeEcpuByIoThreads: [Math.round(measuredNodeEcpu(heats))],
    patienceMs: PATIENCE_MS,
    params: PARAMS,
    samples: recordedSamples({
      startMs,
      endMs,
      points,
      shapes,
      heats,
      intervals: loop.intervals,
      patienceMs: PATIENCE_MS,
    }),
    jobs: decisions
      .toReversed()
      .flatMap(({ step, reason, state, startedAtMs, finishedAtMs }) =>
        finishedAtMs === null || state !== 'done'
          ? []
          : [{ atMs: startedAtMs - startMs, tookMs: finishedAtMs - startedAtMs, step, reason }],
      ),
  } satisfies Recording);
}

/** One sample a line: small, and a diff says something. */
function text(recording: Recording): string {
  const { samples, jobs, ...rest } = recording;
  const lines = (list: readonly unknown[]) =>
    list.map((one) => `    ${JSON.stringify(one)}`).join(',\n');
  return `${JSON.stringify(rest, null, 2).slice(0, -2)},\n  "samples": [\n${lines(samples)}\n  ],\n  "jobs": [\n${lines(jobs)}\n  ]\n}\n`;
}
