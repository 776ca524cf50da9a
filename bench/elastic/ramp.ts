/** (a) 30,000 to 240,000 requests a second within five seconds, pipelined, without an error. */
import { setTimeout as delay } from 'node:timers/promises';
import { CpuReader, cpuDelta } from '../cpu.ts';
import { LiveSpringtide } from './live-springtide.ts';
import { OpenLoop } from './open-loop.ts';
import type { ScenarioContext, ScenarioResult } from './scenario.ts';
import { seenSteps, ShapeWatch } from './shape-watch.ts';
import { uniformWeights } from './slot-weights.ts';
import { errors, latencies, ms, perSecond } from './words.ts';

const CACHE = 'ramp';
const FROM = 30_000;
const TO = 240_000;
const RAMP_MS = 5_000;
/** Of the rate that is sent, this is reached. */
const REACHED = 0.98;
const MIX = {
  keysPerSlot: 4,
  valueBytes: 64,
  readShare: 0.8,
  scriptLoops: 0,
  pipeline: 64,
  seed: 1,
} as const;
const CONNECTIONS = 16;

export async function ramp(context: ScenarioContext): Promise<ScenarioResult> {
  context.log(`(a) ${FROM} to ${TO} requests/s in ${RAMP_MS / 1000} s`);
  await using springtide = await LiveSpringtide.start(context.proxies);
  const { endpoint } = await springtide.create({ name: CACHE, shards: 2, replicas: 0 });
  const port = Number(endpoint.split(':').at(-1));
  await using loop = await OpenLoop.open({ host: '127.0.0.1', port, connections: CONNECTIONS });
  await loop.prefill(MIX.keysPerSlot, MIX.valueBytes);
  await loop.mix({ ...MIX, weights: uniformWeights() });
  await using watch = new ShapeWatch(springtide, CACHE);
  const beforeMs = 5_000 * context.scale;
  const holdMs = 10_000 * context.scale;
  const cpu = new CpuReader();
  await loop.hold(FROM);
  await delay(2_000);
  const startMs = Date.now();
  await loop.schedule([
    { atMs: 0, perSecond: FROM },
    { atMs: beforeMs, perSecond: FROM },
    { atMs: beforeMs + RAMP_MS, perSecond: TO },
  ]);
  const topMs = startMs + beforeMs + RAMP_MS;
  await delay(topMs - Date.now());
  const pids = await springtide.pids(CACHE);
  const cpuBefore = cpu.read(pids);
  await delay(holdMs);
  const endMs = Date.now();
  const used = cpuDelta(cpuBefore, cpu.read(pids));
  await watch.stop();
  const low = loop.window(startMs, startMs + beforeMs);
  const ramping = loop.window(startMs + beforeMs, topMs);
  const top = loop.window(topMs, endMs);
  const all = loop.window(startMs, endMs);
  const reached = loop.intervals.find(
    (one) =>
      one.fromMs >= startMs + beforeMs &&
      (one.replies * 1000) / (one.toMs - one.fromMs) >= REACHED * TO,
  );
  const afterMs = reached === undefined ? null : reached.toMs - (startMs + beforeMs);
  const { decisions } = await springtide.explain(CACHE);
  const seconds = (one: { toMs: number }) => (one.toMs - startMs) / 1000;
  const shown = loop.intervals.filter(({ toMs }) => toMs > startMs && toMs <= endMs);
  return {
    goals: [
      {
        part: 'a',
        what: 'errors while the load grows from 30,000 to 240,000 requests/s in 5 s, pipelined, and holds',
        goal: 'none',
        measured: `${errors(all)} and ${all.misses} misses in ${all.replies.toLocaleString('en')} requests`,
        met: all.errors === 0 && all.misses === 0,
      },
      {
        part: 'a',
        what: `rate served at the top (${Math.round(top.seconds)} s; ${latencies(top)})`,
        goal: `at least ${REACHED * 100} % of 240,000/s`,
        measured: `${perSecond(top.repliesPerSecond)}${afterMs === null ? '' : `, first reached ${ms(afterMs)} after the ramp began`}`,
        met: top.repliesPerSecond >= REACHED * TO,
      },
    ],
    charts: [
      {
        name: 'elastic-ramp',
        title: '30,000 to 240,000 requests a second in five seconds',
        subtitle: `2 shards at first, ${context.proxies} proxies, pipelines of ${MIX.pipeline}, load generator on the same machine`,
        panels: [
          {
            title: 'requests a second',
            lines: [
              {
                label: 'answered',
                points: shown.map((one) => [
                  seconds(one),
                  (one.replies * 1000) / (one.toMs - one.fromMs),
                ]),
              },
              {
                label: 'sent',
                points: shown.map((one) => [
                  seconds(one),
                  (one.sent * 1000) / (one.toMs - one.fromMs),
                ]),
              },
            ],
          },
        ],
      },
    ],
    raw: {
      low,
      ramping,
      top,
      afterMs,
      coresAtTop: { proxies: used.proxy / top.seconds, nodes: used.node / top.seconds },
      shardsAtTop: watch.shards,
      heats: watch.heats,
      steps: seenSteps(loop, decisions),
    },
  };
}
