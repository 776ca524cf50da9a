/**
 * What Springtide must reach, and whether it did: ratios of the same run, so that they hold on any machine. The figures
 * are goals of the project, set from what predixy, twemproxy and haproxy reach (docs/benchmarks).
 */
import { BASELINE, type BenchResults, type Cell, type Sample } from './sample.ts';
import {
  cellsOf,
  median,
  pairedRatios,
  pairKey,
  requestsPerSecondOf,
  sameCell,
  summarise,
  type CellSummary,
} from './summary.ts';
import { cellLabel } from './measure.ts';

export interface Check {
  readonly target: string;
  /** `total CPU ratio at P1, 50 clients` */
  readonly what: string;
  readonly value: number;
  readonly goal: number;
  /** Whether the value may not be above or not be below the goal. */
  readonly bound: 'most' | 'least';
  readonly unit: '' | 'KB';
  readonly met: boolean;
}

const PLAIN_PEERS = ['predixy', 'twemproxy'] as const;
const TLS_CLIENTS = 50;
const TLS_LEAST = 0.75;
const IDLE_MOST_KB = 16;
const HELD_LEAST = 0.9;
const NODE_CPU_MOST = 0.4;

/** Most total CPU (proxy and nodes) a request may cost, as a ratio to direct; null where there is no goal. */
export function totalCpuGoal({ clients, pipeline, tls }: Cell): number | null {
  if (tls) return null;
  if (pipeline === 16) return 1.8;
  if (pipeline !== 1) return null;
  if (clients >= 200) return 1.25;
  if (clients >= 50) return 1.5;
  return clients >= 10 ? 2.0 : null;
}

/** All goals that these results can speak to, for every Springtide target in them. */
export function checkGoals(results: BenchResults): Check[] {
  const names = results.targets.map((target) => target.name);
  const summaries = summarise(results.samples, names);
  const checks: Check[] = [];
  for (const target of names.filter((name) => name.startsWith('springtide'))) {
    const own = results.samples.filter((sample) => sample.target === target);
    checks.push(...cpuChecks(target, summaries));
    checks.push(...throughputChecks(target, own, results.samples, summaries));
    checks.push(...tlsChecks(target, own));
    checks.push(...idleChecks(target, results));
  }
  return checks;
}

function cpuChecks(target: string, summaries: readonly CellSummary[]): Check[] {
  const checks: Check[] = [];
  for (const summary of summaries.filter((candidate) => candidate.target === target)) {
    // A running Springtide whose pids were not named: nothing is known about its CPU.
    if (summary.proxyCpuPerMillion === 0 || summary.nodeCpuPerMillion === 0) continue;
    const goal = totalCpuGoal(summary);
    if (goal !== null && summary.totalCpuRatio !== null) {
      const what = `total CPU ratio at ${cellLabel(summary)}`;
      checks.push(check(target, what, summary.totalCpuRatio.median, 'most', goal));
    }
    const nodeGoal = !summary.tls && summary.pipeline === 1 && summary.clients >= 50;
    if (nodeGoal && summary.nodeCpuRatio !== null) {
      const what = `node CPU ratio at ${cellLabel(summary)}`;
      checks.push(check(target, what, summary.nodeCpuRatio.median, 'most', NODE_CPU_MOST));
    }
  }
  return checks;
}

function throughputChecks(
  target: string,
  own: readonly Sample[],
  all: readonly Sample[],
  summaries: readonly CellSummary[],
): Check[] {
  const checks: Check[] = [];
  for (const cell of cellsOf(own).filter((candidate) => !candidate.tls)) {
    const ours = own.filter((sample) => sameCell(sample, cell));
    const peers = PLAIN_PEERS.map((peer) => ({
      peer,
      summary: summaries.find(
        (candidate) => candidate.target === peer && sameCell(candidate, cell),
      ),
    })).filter((entry) => entry.summary !== undefined);
    const best = peers.toSorted(
      (a, b) => b.summary!.requestsPerSecond - a.summary!.requestsPerSecond,
    )[0];
    if (best !== undefined) {
      const theirs = all.filter((sample) => sample.target === best.peer && sameCell(sample, cell));
      const ratios = pairedRatios(ours, theirs, requestsPerSecondOf);
      const what = `throughput to ${best.peer}'s at ${cellLabel(cell)}`;
      if (ratios.length > 0) checks.push(check(target, what, median(ratios), 'least', 1));
    }
    if (cell.clients < 200) continue;
    const direct = all.filter((sample) => sample.target === BASELINE && sameCell(sample, cell));
    const ratios = pairedRatios(ours, direct, requestsPerSecondOf);
    const what = `throughput to direct at ${cellLabel(cell)}`;
    if (ratios.length > 0) checks.push(check(target, what, median(ratios), 'least', 1));
  }
  return checks;
}

/** TLS against the plain run of the same repetition through the same proxy. */
function tlsChecks(target: string, own: readonly Sample[]): Check[] {
  const cell = { clients: TLS_CLIENTS, pipeline: 1 };
  const withTls = own.filter((sample) => sameCell(sample, { ...cell, tls: true }));
  const plain = own.filter((sample) => sameCell(sample, { ...cell, tls: false }));
  const ratios = pairedRatios(withTls, plain, requestsPerSecondOf, (sample) =>
    pairKey({ ...sample, tls: false }),
  );
  if (ratios.length === 0) return [];
  const what = `TLS throughput to plain at P1, ${TLS_CLIENTS} clients`;
  return [check(target, what, median(ratios), 'least', TLS_LEAST)];
}

function idleChecks(target: string, results: BenchResults): Check[] {
  const idle = results.idle.find((candidate) => candidate.target === target);
  if (idle === undefined || idle.error !== undefined) return [];
  const bytes = idle.proxyBytesPerConnection + idle.nodeBytesPerConnection;
  const held = check(
    target,
    `throughput of 50 clients beside ${idle.connections} idle ones`,
    median(idle.heldRatios),
    'least',
    HELD_LEAST,
  );
  if (idle.proxyBytesPerConnection === 0) return [held];
  return [
    check(target, 'memory per idle connection', bytes / 1024, 'most', IDLE_MOST_KB, 'KB'),
    held,
  ];
}

function check(
  target: string,
  what: string,
  value: number,
  bound: Check['bound'],
  goal: number,
  unit: Check['unit'] = '',
): Check {
  return {
    target,
    what,
    value,
    goal,
    bound,
    unit,
    met: bound === 'most' ? value <= goal : value >= goal,
  };
}
