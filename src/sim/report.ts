/** The report of the simulator: tables, targets, comparison and assumptions as Markdown. Every figure is of the run. */
import type { CalibrationFile } from './calibration.ts';
import { heldAgainstReal, type NamedReplay } from './held-against-real.ts';
import { markdownTable } from './markdown-table.ts';
import { AWS } from './published-figures.ts';
import { DOUBLING_POOL, type AllOutcomes, type Pair } from './run-all.ts';
import type { Outcome } from './scenario.ts';
import { PRE_SCALED_AT_MS } from './scenarios.ts';

const GIB = 1024 ** 3;

export interface Target {
  readonly name: string;
  readonly target: string;
  readonly reached: string;
  readonly met: boolean;
}

/** The targets of the design, against what the run gave. */
export function targets(all: AllOutcomes): Target[] {
  const of = (name: string): Pair => {
    const pair = all.pairs.find(({ scenario }) => scenario.name === name);
    if (pair === undefined) throw new RangeError(`there is no scenario ${name}`);
    return pair;
  };
  const fast = of('doubling-30s').planned;
  const step = of('step').planned;
  const day = of('meal-day').planned;
  const hot = of('hot-slot').planned;
  const overIdeal = day.nodeHours / day.idealNodeHours;
  return [
    {
      name: `requests served while the load doubles every 30 s, pool of ${DOUBLING_POOL}`,
      target: 'at least 99.99 %',
      reached: percent(fast.servedShare),
      met: fast.servedShare >= 0.9999,
    },
    {
      name: '240K to 5M step with 40 warm nodes: from the first loss to the last',
      target: 'below 60 s',
      reached: `${(step.absorbedMs / 1000).toFixed(1)} s`,
      met: step.absorbedMs < 60_000,
    },
    {
      name: 'node-hours over ideal, meal-delivery day',
      target: 'at most 1.30',
      reached: overIdeal.toFixed(2),
      met: overIdeal <= 1.3,
    },
    {
      name: 'heaviest shard over what placement can reach, with a hot slot',
      target: 'at most 1.15',
      reached: hot.maxOverMean.toFixed(2),
      met: hot.maxOverMean <= 1.15,
    },
  ];
}

export function renderReport(
  all: AllOutcomes,
  calibration: CalibrationFile,
  replays: readonly NamedReplay[],
): string {
  const slow = all.pairs.find(({ scenario }) => scenario.name === 'doubling-120s')!;
  const fast = all.pairs.find(({ scenario }) => scenario.name === 'doubling-30s')!;
  const preScaled = all.pairs.find(({ scenario }) => scenario.name === 'pre-scaled')!;
  const { planned, reactive } = all.many;
  return `# Elastic caches, simulated

Made by \`npm run sim -- --write\`: the product's planner (\`src/control/policies/plan-capacity.ts\`), warm pool and placement in
virtual time, on modelled nodes. Proxies scale by a policy that the product does not use yet: its fleet has the size it was started with. Nothing here was measured on a fleet of this size; what the model takes for true is at the end,
each figure with its origin. Requests are one ECPU each. A request is *lost* when it waits longer than a client's patience behind
an overloaded node (${calibration.patienceMs.value} ms) or than the proxies hold it for a lost one (${calibration.holdMs.value} ms); *prompt* when it did not
wait behind a backlog of more than 100 ms.

## Targets

${markdownTable(
  ['', 'target', 'reached', ''],
  targets(all).map((one) => [one.name, one.target, one.reached, one.met ? 'met' : '**missed**']),
)}

## Scenarios

*planned* is the product's default; *reactive* the same planner with its forecast off.

${markdownTable(
  [
    'scenario',
    'variant',
    'served',
    'prompt',
    'overloaded s',
    'peak shards',
    'proxies',
    'node-h / ideal',
    'moves (failed)',
    'GB moved',
    'turns',
    'max / reachable',
    'p50 ms',
    'p99 ms',
    'worst p99',
  ],
  all.pairs.flatMap(({ scenario, planned, reactive }) => [
    row(scenario.title, planned),
    row('', reactive),
  ]),
)}

*turns*: how often the number of shards changed direction. *max / reachable*: the heaviest shard over what placement can reach, in
95 % of the time once the load is steady. Ideal node-hours are the offered load over 60 % of a node, with fractions and replicas.

${all.pairs.map(({ scenario }) => `- **${scenario.title}**: ${scenario.assumptions}.`).join('\n')}

### A thousand caches on one fleet

${markdownTable(
  [
    'variant',
    'served',
    'prompt',
    'served, bursting ones',
    'caches with loss',
    'nodes first / peak',
    'pool least',
    'pool empty s',
  ],
  [
    { name: 'planned', one: planned },
    { name: 'reactive', one: reactive },
  ].map(({ name, one }) => [
    name,
    percent(one.servedShare),
    percent(one.promptShare),
    percent(one.burstingServedShare),
    String(one.cachesWithLoss),
    `${one.firstNodes} / ${one.peakNodes}`,
    String(one.smallestPool),
    String(one.emptyPoolSeconds),
  ]),
)}

${planned.caches} caches of 1K to 40K requests/s with waves of their own; after a minute one in twenty grows eightfold within 30 s, all of
them together, on a shared pool of ${all.prewarmedForMany} warm nodes.

## Beside AWS's published figures

AWS's are of a real service, ours are simulated: they say what the planner and its pool allow, not what a machine was seen to do.

${markdownTable(
  ['', 'ElastiCache Serverless', 'here, simulated', 'source'],
  [
    [
      AWS.toFiveMillion.what,
      AWS.toFiveMillion.value,
      `30K to 5M in ${rampMinutes(fast)} min with ${percent(fast.planned.servedShare)} served (doubling every 30 s, pool of ${DOUBLING_POOL}); in ${rampMinutes(slow)} min with a pool of 8`,
      AWS.toFiveMillion.source,
    ],
    [
      AWS.doubling.what,
      AWS.doubling.value,
      `30 s with ${percent(fast.planned.servedShare)} served, 120 s with ${percent(slow.planned.servedShare)}`,
      AWS.doubling.source,
    ],
    [
      AWS.preScale.what,
      AWS.preScale.value,
      `capacity for 2M requests/s is there and balanced after ${balancedAfter(preScaled.planned)} s, with a pool of ${preScaled.scenario.prewarmed}`,
      AWS.preScale.source,
    ],
  ],
)}

## Held against real runs

${heldAgainstReal(replays)}

## Pictures

${all.pairs.map(({ scenario }) => `### ${scenario.title}\n\n![${scenario.title}](elastic-simulated/${scenario.name}.svg)`).join('\n\n')}

### A thousand caches

![A thousand caches on one fleet](elastic-simulated/thousand-caches.svg)

## What the model takes for true

${markdownTable(
  ['figure', 'value', 'unit', 'origin'],
  Object.entries(calibration).map(([name, one]) => [
    `\`${name}\``,
    Array.isArray(one.value) ? one.value.join(', ') : String(one.value),
    one.unit,
    one.origin,
  ]),
)}

Not in the model: the network, the time proxies take to learn a moved slot, memory fragmentation, large values, clients that
reconnect. Proxies are taken to have machines of their own. Waiting is M/G/1 (Pollaczek and Khinchine, exponential tail) per node on
top of the base latency; a backlog is served first in, first out.
`;
}

/** Rows of one scenario for the terminal. */
export function terminalTable(all: AllOutcomes): string {
  const rows = all.pairs.flatMap(({ scenario, planned, reactive }) =>
    [planned, reactive].map((one) => [
      scenario.name,
      one.variant,
      percent(one.servedShare),
      percent(one.promptShare),
      one.overloadedSeconds.toFixed(1),
      String(one.peakShards),
      `${one.nodeHours.toFixed(2)}/${one.idealNodeHours.toFixed(2)}`,
      String(one.turns),
      one.maxOverMean.toFixed(2),
      one.worstP99Ms.toFixed(1),
    ]),
  );
  const head = [
    'scenario',
    'variant',
    'served',
    'prompt',
    'over s',
    'shards',
    'node-h/ideal',
    'turns',
    'max/mean',
    'worst p99',
  ];
  const widths = head.map((name, column) =>
    Math.max(name.length, ...rows.map((cells) => cells[column]!.length)),
  );
  return [head, ...rows]
    .map((cells) =>
      cells
        .map((cell, column) => cell.padEnd(widths[column]!))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

function row(title: string, one: Outcome): string[] {
  return [
    title,
    one.variant,
    percent(one.servedShare),
    percent(one.promptShare),
    one.overloadedSeconds.toFixed(1),
    String(one.peakShards),
    String(one.peakProxies),
    `${one.nodeHours.toFixed(2)} / ${one.idealNodeHours.toFixed(2)} (${(one.nodeHours / one.idealNodeHours).toFixed(2)})`,
    `${one.moves} (${one.movesFailed})`,
    (one.bytesMoved / GIB).toFixed(1),
    String(one.turns),
    one.maxOverMean.toFixed(2),
    one.p50Ms.toFixed(2),
    one.p99Ms.toFixed(2),
    one.worstP99Ms.toFixed(1),
  ];
}

/** Minutes until the load is at its most. */
function rampMinutes({ planned }: Pair): string {
  const most = Math.max(...planned.points.map((point) => point.offered));
  const there = planned.points.find((point) => point.offered >= most * 0.999);
  return ((there?.atMs ?? 0) / 60_000).toFixed(1);
}

/** Seconds until the number of shards and their balance stay as they are at the end. */
function balancedAfter(one: Outcome): string {
  const last = one.points.at(-1)!;
  const settled = one.points.findLast(
    (point) => point.shards !== last.shards || point.balance > 1.15,
  );
  return (((settled?.atMs ?? 0) - PRE_SCALED_AT_MS) / 1000).toFixed(0);
}

/** Rounded down near one: what is lost is the point. */
function percent(share: number): string {
  return share >= 0.99
    ? `${(Math.floor(share * 1e5) / 1e3).toFixed(3)} %`
    : `${(share * 100).toFixed(1)} %`;
}
