/** (c) Load up, hold, down: shards follow, and nothing flaps while the load holds. */
import { setTimeout as delay } from 'node:timers/promises';
import { LiveSpringtide } from './live-springtide.ts';
import { OpenLoop } from './open-loop.ts';
import { moveReversals, shapeReversals } from './reversals.ts';
import type { ScenarioContext, ScenarioResult } from './scenario.ts';
import { seenSteps, ShapeWatch } from './shape-watch.ts';
import { uniformWeights } from './slot-weights.ts';
import { errors, latencies } from './words.ts';

const CACHE = 'tide';
const LOW = 3_000;
const HIGH = 36_000;
/** Of a node that has all of the load at its height: more than one is to have, whatever this machine's processors are. */
const HIGH_UTILISATION = 0.8;
const PROBE = { perSecond: 18_000, ms: 8_000 };
const UP_MS = 20_000;
const DOWN_MS = 5_000;
/** After the load is up: the shape that it needs comes in this time. */
const SETTLE_MS = 15_000;
const HOLD_MS = 45_000;
/** The product waits for five minutes. */
const SCALE_IN_AFTER_MS = 20_000;
const LEAVE_MS = 120_000;
const MIX = {
  keysPerSlot: 4,
  valueBytes: 64,
  readShare: 1,
  scriptLoops: 3_000,
  pipeline: 16,
  seed: 3,
};

export async function upAndDown(context: ScenarioContext): Promise<ScenarioResult> {
  context.log(`(c) ${LOW} to ${HIGH} requests/s in ${UP_MS / 1000} s, hold, down`);
  await using springtide = await LiveSpringtide.start(context.proxies, SCALE_IN_AFTER_MS);
  const { endpoint } = await springtide.create({ name: CACHE, shards: 1, replicas: 0 });
  const port = Number(endpoint.split(':').at(-1));
  await using loop = await OpenLoop.open({ host: '127.0.0.1', port, connections: 12 });
  await loop.prefill(MIX.keysPerSlot, MIX.valueBytes);
  const { scriptLoops, costUs } = await scriptCost(springtide, loop);
  await loop.mix({ ...MIX, scriptLoops, weights: uniformWeights() });
  // Long enough for the proxies to learn what such a request costs.
  await loop.hold(LOW);
  await delay(12_000);
  await using watch = new ShapeWatch(springtide, CACHE);
  const startMs = Date.now();
  const holdMs = HOLD_MS * context.scale;
  await loop.schedule([
    { atMs: 0, perSecond: LOW },
    { atMs: UP_MS, perSecond: HIGH },
  ]);
  await delay(UP_MS + SETTLE_MS);
  const holdFromMs = Date.now();
  await delay(holdMs);
  const holdToMs = Date.now();
  const most = watch.shards;
  await loop.schedule([
    { atMs: 0, perSecond: HIGH },
    { atMs: DOWN_MS, perSecond: LOW },
  ]);
  const leaveBy = Date.now() + LEAVE_MS;
  while (watch.shards > 1 && Date.now() < leaveBy) await delay(250);
  // And does not come back.
  await delay(5_000);
  await watch.stop();
  const endMs = Date.now();
  const least = watch.shards;
  const { decisions } = await springtide.explain(CACHE);
  const inHold = decisions.filter(
    ({ startedAtMs }) => startedAtMs >= holdFromMs && startedAtMs < holdToMs,
  );
  const held = watch.shapes.filter(({ atMs }) => atMs >= holdFromMs && atMs < holdToMs);
  const reversals = shapeReversals(held) + moveReversals(inHold);
  const all = loop.window(startMs, endMs);
  const hold = loop.window(holdFromMs, holdToMs);
  const seconds = (atMs: number) => (atMs - startMs) / 1000;
  const shown = loop.intervals.filter(({ toMs }) => toMs > startMs && toMs <= endMs);
  return {
    goals: [
      {
        part: 'c',
        what: `shards while the load goes from ${LOW.toLocaleString('en')} to ${HIGH.toLocaleString('en')} requests/s and back (each costs an engine about ${costUs} µs)`,
        goal: 'they follow it, up and down',
        measured: `1, then ${most}, then ${least}`,
        met: most > 1 && least === 1,
      },
      {
        part: 'c',
        what: `decisions undone while the load holds (${Math.round(hold.seconds)} s; ${latencies(hold)})`,
        goal: 'none',
        measured: `${reversals} (${inHold.length} decisions in all)`,
        met: reversals === 0,
      },
      {
        part: 'c',
        what: `errors from the first second to the last (${latencies(all)})`,
        goal: 'none',
        measured: `${errors(all)} in ${all.replies.toLocaleString('en')} requests`,
        met: all.errors === 0,
      },
    ],
    charts: [
      {
        name: 'elastic-tide',
        title: 'Shards follow the load, up and down',
        subtitle: `requests that cost an engine about ${costUs} µs; shards leave ${SCALE_IN_AFTER_MS / 1000} s after they are not needed (product: 5 min)`,
        marks: decisions.map(({ step, startedAtMs }) => ({
          atSeconds: Math.max(0, seconds(startedAtMs)),
          label: step,
        })),
        panels: [
          {
            title: 'requests a second',
            lines: [
              {
                label: 'answered',
                points: shown.map((one) => [
                  seconds(one.toMs),
                  (one.replies * 1000) / (one.toMs - one.fromMs),
                ]),
              },
            ],
          },
          {
            title: 'shards',
            lines: [
              {
                label: 'serving',
                steps: true,
                points: watch.shapes.map((one) => [seconds(one.atMs), one.shards]),
              },
            ],
          },
          {
            title: 'utilisation of the busiest node',
            lines: [
              {
                label: 'main thread',
                points: watch.heats.map((one) => [
                  seconds(one.atMs),
                  Math.max(0, ...one.nodes.map(({ utilisation }) => utilisation ?? 0)),
                ]),
              },
            ],
          },
        ],
      },
    ],
    raw: {
      all,
      hold,
      decisions,
      shapes: watch.shapes,
      heats: watch.heats,
      steps: seenSteps(loop, decisions),
    },
  };
}

/** How long a script has to be for the load at its height to fill a node as it should, by what one of MIX.scriptLoops costs here. */
async function scriptCost(
  springtide: LiveSpringtide,
  loop: OpenLoop,
): Promise<{ readonly scriptLoops: number; readonly costUs: number }> {
  await loop.mix({ ...MIX, weights: uniformWeights() });
  await loop.hold(PROBE.perSecond);
  await using watch = new ShapeWatch(springtide, CACHE);
  await delay(PROBE.ms);
  await watch.stop();
  // The first seconds show what was before.
  const seen = watch.heats
    .slice(-4)
    .map(({ nodes }) => Math.max(...nodes.map(({ utilisation }) => utilisation ?? 0)))
    .sort((a, b) => a - b);
  const eachSeconds = seen[Math.floor(seen.length / 2)]! / PROBE.perSecond;
  const wantedSeconds = HIGH_UTILISATION / HIGH;
  return {
    scriptLoops: Math.round((MIX.scriptLoops * wantedSeconds) / eachSeconds),
    costUs: Math.round(wantedSeconds * 1e6),
  };
}
