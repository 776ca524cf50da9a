/**
 * From runs to figures: medians of paired ratios. A ratio always pairs a run with the baseline's run of the same cell,
 * command and repetition, because on a shared machine only neighbours in time are comparable.
 */
import { BASELINE, type Cell, type Sample } from './sample.ts';

/** One target in one cell, over both commands and all repetitions. Ratios are null without a baseline run beside them. */
export interface CellSummary extends Cell {
  readonly target: string;
  readonly runs: number;
  readonly requestsPerSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** CPU seconds per million requests. */
  readonly proxyCpuPerMillion: number;
  readonly nodeCpuPerMillion: number;
  readonly otherCpuPerMillion: number;
  /** To the baseline; median, lowest and highest of the paired ratios. */
  readonly throughputRatio: Spread | null;
  readonly totalCpuRatio: Spread | null;
  readonly nodeCpuRatio: Spread | null;
}

export interface Spread {
  readonly median: number;
  readonly low: number;
  readonly high: number;
  readonly pairs: number;
}

/** The middle value, or the mean of the two middle ones. Throws on none: a median of nothing is a mistake upstream. */
export function median(values: readonly number[]): number {
  if (values.length === 0) throw new RangeError('median of no values');
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/** Null of no values. */
export function spreadOf(values: readonly number[]): Spread | null {
  if (values.length === 0) return null;
  return {
    median: median(values),
    low: Math.min(...values),
    high: Math.max(...values),
    pairs: values.length,
  };
}

/** Names a run without its target: two runs with the same pair key may be compared. */
export function pairKey(sample: Omit<Sample, 'target'>): string {
  return `${sample.clients}/${sample.pipeline}/${sample.tls}/${sample.command}/${sample.repetition}`;
}

/**
 * `value(numerator) / value(denominator)` for every run that both targets have.
 * `denominatorKey` says which run of the denominator belongs to a run; by default the one of the same cell.
 */
export function pairedRatios(
  numerators: readonly Sample[],
  denominators: readonly Sample[],
  value: (sample: Sample) => number,
  denominatorKey: (sample: Sample) => string = pairKey,
): number[] {
  const byKey = new Map(denominators.map((sample) => [pairKey(sample), sample]));
  const ratios: number[] = [];
  for (const sample of numerators) {
    const base = byKey.get(denominatorKey(sample));
    if (base === undefined) continue;
    const divisor = value(base);
    if (divisor > 0) ratios.push(value(sample) / divisor);
  }
  return ratios;
}

export const requestsPerSecondOf = (sample: Sample): number => sample.requestsPerSecond;
const totalCpuPerRequest = (sample: Sample): number =>
  (sample.cpuSeconds.proxy + sample.cpuSeconds.node) / sample.requests;
const nodeCpuPerRequest = (sample: Sample): number => sample.cpuSeconds.node / sample.requests;

export function sameCell(a: Cell, b: Cell): boolean {
  return a.clients === b.clients && a.pipeline === b.pipeline && a.tls === b.tls;
}

/** The distinct cells of these runs: plain before TLS, then by pipeline, then by clients. */
export function cellsOf(samples: readonly Cell[]): Cell[] {
  const cells: Cell[] = [];
  for (const { clients, pipeline, tls } of samples) {
    const cell = { clients, pipeline, tls };
    if (!cells.some((known) => sameCell(known, cell))) cells.push(cell);
  }
  return cells.sort(
    (a, b) => Number(a.tls) - Number(b.tls) || a.pipeline - b.pipeline || a.clients - b.clients,
  );
}

/** Every (cell, target) that has a run, in the order of `cellsOf` and of `targets`. */
export function summarise(samples: readonly Sample[], targets: readonly string[]): CellSummary[] {
  const summaries: CellSummary[] = [];
  for (const cell of cellsOf(samples)) {
    const inCell = samples.filter((sample) => sameCell(sample, cell));
    const baseline = inCell.filter((sample) => sample.target === BASELINE);
    for (const target of targets) {
      const runs = inCell.filter((sample) => sample.target === target);
      if (runs.length > 0) summaries.push(summariseCell(cell, target, runs, baseline));
    }
  }
  return summaries;
}

function summariseCell(
  cell: Cell,
  target: string,
  runs: readonly Sample[],
  baseline: readonly Sample[],
): CellSummary {
  const over = (value: (sample: Sample) => number): number => median(runs.map(value));
  const perMillion = (role: 'proxy' | 'node' | 'other'): number =>
    over((sample) => (sample.cpuSeconds[role] / sample.requests) * 1e6);
  return {
    ...cell,
    target,
    runs: runs.length,
    requestsPerSecond: over(requestsPerSecondOf),
    p50Ms: over((sample) => sample.p50Ms),
    p99Ms: over((sample) => sample.p99Ms),
    proxyCpuPerMillion: perMillion('proxy'),
    nodeCpuPerMillion: perMillion('node'),
    otherCpuPerMillion: perMillion('other'),
    throughputRatio: spreadOf(pairedRatios(runs, baseline, requestsPerSecondOf)),
    totalCpuRatio: spreadOf(pairedRatios(runs, baseline, totalCpuPerRequest)),
    nodeCpuRatio: spreadOf(pairedRatios(runs, baseline, nodeCpuPerRequest)),
  };
}
