/** docs/benchmarks/elastic.md from a run: one table of goals, the pictures, and how it was measured. Nothing is typed by hand. */
import type { Goal } from './scenario.ts';

export interface ElasticRun {
  readonly startedAt: string;
  readonly commit: string;
  readonly machine: string;
  readonly cores: number;
  readonly proxies: number;
  readonly scale: number;
  /** Processes that wanted a core, of everything on the machine: before it began and at its end (man 5 proc, loadavg). */
  readonly loadBefore: number;
  readonly loadAfter: number;
  readonly tookMs: number;
  readonly goals: readonly Goal[];
  readonly failures: readonly { readonly scenario: string; readonly message: string }[];
  readonly charts: readonly { readonly name: string; readonly title: string }[];
  readonly raw: Readonly<Record<string, unknown>>;
}

export function renderReport(run: ElasticRun): string {
  const met = run.goals.filter(({ met }) => met).length;
  return `# Elasticity, measured

Written by \`npm run bench:elastic -- --write\`; every figure is of that run, the raw ones are in [elastic.json](elastic.json).
Run of ${run.startedAt.slice(0, 16).replace('T', ' ')} UTC at ${run.commit}, ${Math.round(run.tookMs / 60_000)} minutes, on ${run.machine}, ${run.cores} cores, which
also ran the load generator; ${run.proxies} ${run.proxies === 1 ? 'proxy' : 'proxies'}. Load average of the machine before it began: ${run.loadBefore.toFixed(1)}${run.loadBefore > run.cores / 2 ? ': it had other work at the same time, so latencies and rates are worse than its own' : ''}.${run.scale === 1 ? '' : ` Holds were shortened to ${run.scale} of their length.`}

${met} of ${run.goals.length} goals are met.${run.failures.map(({ scenario, message }) => `\nNot measured: ${scenario} (${message}).`).join('')}

| | what | goal | measured | met |
|---|---|---|---|---|
${run.goals.map((goal) => `| ${[goal.part, goal.what, goal.goal, goal.measured, goal.met ? 'yes' : '**no**'].map(cell).join(' | ')} |`).join('\n')}

${run.charts.map(({ name, title }) => `![${title}](${name}.svg)`).join('\n\n')}

## How

- The generator (bench/elastic/load-worker.ts) is an open loop: each pipeline is sent when its schedule says, whatever has been
  answered by then, and its latency runs from the time at which it was due. A stall counts for all that was due in it.
- (a) pipelines of 64 GET (80 %) and SET of 64 bytes over 16 connections.
- (b) and (c) send scripts that keep an engine busy for some 20 µs and read nothing: the nodes are what is loaded, not the
  proxies and the generator, though all share the cores. In (c) shards leave 20 s after they are not needed (the product: 5 min).
- (b) holds the hottest shard against the least that any placement on as many shards can have: max(hottest slot, total / shards).
- (d) counts from the beginning of the step to a second after its end, of all requests; beside it, the seconds before.
  io-threads are set as the step does it (CONFIG SET on every node); everything else is asked of Springtide.
- (e) runs bench/failover.ts: a pause is the longest time between two acknowledged writes of the shard, its retries included.
  Errors there are \`-INDOUBT\`: writes that were under way when their primary ended, of which nobody can know whether they were done.
- (f) runs bench/upgrade.ts.
- (g) is the last run of \`npm run soak -- --json docs/benchmarks/soak.json\`: random faults and changes of shape under value-checked
  traffic for half an hour. Its short form is a test.
`;
}

function cell(content: string): string {
  return content.replaceAll('|', '\\|');
}
