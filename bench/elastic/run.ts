/**
 * Everything that makes the cache elastic, measured on this machine with real processes: the table of docs/benchmarks/elastic.md.
 *
 *   node bench/elastic/run.ts [--only ramp,hot-slot] [--proxies 1] [--scale 1] [--write] [--json FILE]
 *
 * Exit code 1 when a goal is missed or a scenario fails.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, cpus, loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Option } from 'commander';
import { installEngine } from '../../src/engine/catalogue.ts';
import { messageOf } from '../../src/lib/errors.ts';
import { program } from '../../src/lib/program.ts';
import { ENGINE_LINES } from '../../src/model/cache-spec.ts';
import { positive, someOf } from '../option-values.ts';
import { calibration } from './calibration.ts';
import { renderChart, type Chart } from './chart.ts';
import { eachStep } from './each-step.ts';
import { failures } from './failures.ts';
import { hotSlot } from './hot-slot.ts';
import { ramp } from './ramp.ts';
import { renderReport, type ElasticRun } from './report.ts';
import type { Goal, Scenario } from './scenario.ts';
import { soakGoal } from './soak-goal.ts';
import { upAndDown } from './up-and-down.ts';
import { versions } from './versions.ts';

const SCENARIOS: Readonly<Record<string, Scenario>> = {
  ramp,
  'hot-slot': hotSlot,
  'up-and-down': upAndDown,
  'each-step': eachStep,
  failures,
  versions,
  calibration,
};
/** Where `npm run soak -- --json docs/benchmarks/soak.json` has put what it found. */
const SOAK_FILE = 'soak.json';
const DOCS = fileURLToPath(new URL('../../docs/benchmarks/', import.meta.url));

interface ElasticOptions {
  readonly only: string[];
  readonly proxies: number;
  readonly scale: number;
  readonly write?: boolean;
  readonly json?: string;
}

const values = program('npm run bench:elastic --')
  .description(
    'Everything that makes the cache elastic, measured on this machine. Ends with 1 when a goal is missed.',
  )
  .addOption(
    new Option('--only <scenarios>', `some of: ${Object.keys(SCENARIOS).join(', ')}`)
      .default(Object.keys(SCENARIOS), 'all')
      .argParser(someOf(Object.keys(SCENARIOS))),
  )
  .option('--proxies <n>', 'proxy processes', positive, 1)
  .option('--scale <factor>', 'of the loads', positive, 1)
  .option('--write', 'write the report and its pictures to docs/benchmarks')
  .option('--json <file>', 'write all results')
  .parse()
  .opts<ElasticOptions>();
const chosen = values.only;
// Ctrl-C ends the nodes too: they are ended where the process exits.
for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, () => process.exit(130));
for (const line of ENGINE_LINES) await installEngine(line);

const directory = mkdtempSync(join(tmpdir(), 'springtide-elastic-run-'));
const startedAt = new Date();
const loadBefore = loadavg()[0]!;
const goals: Goal[] = [];
const charts: Chart[] = [];
const raw: Record<string, unknown> = {};
const failed: { scenario: string; message: string }[] = [];
for (const name of chosen) {
  const startedMs = performance.now();
  const context = {
    proxies: values.proxies,
    scale: values.scale,
    directory,
    log: (line: string) => void process.stderr.write(`${line}\n`),
  };
  try {
    const result = await SCENARIOS[name]!(context);
    goals.push(...result.goals);
    charts.push(...result.charts);
    raw[name] = result.raw;
    for (const goal of result.goals) show(goal);
  } catch (error) {
    // What the others measure is worth having.
    failed.push({ scenario: name, message: messageOf(error) });
    process.stderr.write(`    ${name} failed: ${messageOf(error)}\n`);
  }
  process.stderr.write(`    ${((performance.now() - startedMs) / 1000).toFixed(0)} s\n`);
}
rmSync(directory, { recursive: true, force: true });
const soak = soakGoal(join(DOCS, SOAK_FILE));
if (soak !== null) goals.push(soak);
const run: ElasticRun = {
  startedAt: startedAt.toISOString(),
  commit: execFileSync('git', ['rev-parse', '--short', 'HEAD'], { encoding: 'utf8' }).trim(),
  machine: cpus()[0]?.model ?? 'an unknown processor',
  cores: availableParallelism(),
  proxies: Number(values.proxies),
  scale: Number(values.scale),
  loadBefore,
  loadAfter: loadavg()[0]!,
  tookMs: Date.now() - startedAt.getTime(),
  goals,
  failures: failed,
  charts: charts.map(({ name, title }) => ({ name, title })),
  raw,
};
process.stdout.write(renderReport(run));
const json = `${JSON.stringify(run, rounded, 1)}\n`;
if (values.json !== undefined) writeFileSync(values.json, json);
if (values.write) {
  mkdirSync(DOCS, { recursive: true });
  writeFileSync(join(DOCS, 'elastic.md'), renderReport(run));
  writeFileSync(join(DOCS, 'elastic.json'), json);
  for (const chart of charts) writeFileSync(join(DOCS, `${chart.name}.svg`), renderChart(chart));
}
process.exitCode = failed.length === 0 && goals.every(({ met }) => met) ? 0 : 1;

function show({ part, what, measured, met }: Goal): void {
  process.stderr.write(`    ${met ? 'met   ' : 'MISSED'} (${part}) ${what}: ${measured}\n`);
}

/** Four digits say all that a run can say. */
function rounded(_key: string, value: unknown): unknown {
  return typeof value === 'number' && !Number.isInteger(value)
    ? Number(value.toPrecision(4))
    : value;
}
