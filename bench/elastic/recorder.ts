/**
 * Turns a real run into a recording for the simulator: what was asked for, what there was, what clients saw, by the second.
 *
 * The planner works in ECPU. Asked for is what the schedule said, in requests, times what a request was metered at in that
 * second; a node's capacity is ECPU over utilisation, of the samples that say something.
 */
import type { HeatSample, ShapeSample } from './shape-watch.ts';
import type { IntervalMessage } from './load-worker.ts';
import { LatencyHistogram } from './latency-histogram.ts';
import { LoadSchedule, type RatePoint } from './load-schedule.ts';
import type { RecordingSample } from '../../src/sim/recording.ts';

export interface RecordedRun {
  /** Epoch: when the schedule began. */
  readonly startMs: number;
  readonly endMs: number;
  readonly points: readonly RatePoint[];
  readonly shapes: readonly ShapeSample[];
  readonly heats: readonly HeatSample[];
  readonly intervals: readonly IntervalMessage[];
  readonly patienceMs: number;
}

/** Below it a node's figures are mostly noise, above it it is full and hides what is asked for. */
const UTILISATION_FROM = 0.1;
const UTILISATION_TO = 0.95;
/** Median of so many samples of what a request costs: one of them is noise. */
const COST_WINDOW_MS = 5_000;
const ERROR_SHARE = 1e-4;
const LATE_SHARE = 0.01;

export function recordedSamples(run: RecordedRun): RecordingSample[] {
  const schedule = new LoadSchedule(run.points);
  const seconds = Math.floor((run.endMs - run.startMs) / 1000);
  return Array.from({ length: seconds }, (_, second) => {
    const atMs = second * 1000;
    const epochMs = run.startMs + atMs;
    const asked = schedule.dueBy(atMs + 1000) - schedule.dueBy(atMs);
    const seen = run.intervals.filter((one) => one.toMs > epochMs && one.toMs <= epochMs + 1000);
    const latencies = new LatencyHistogram();
    let errors = 0;
    for (const one of seen) {
      latencies.add(LatencyHistogram.of(one.counts, one.maximumUs));
      errors += Object.values(one.errors).reduce((sum, count) => sum + count, 0);
    }
    const p99Ms = latencies.quantileMs(1 - LATE_SHARE);
    // Nothing came back though something was asked for: whoever asked is waiting.
    const silent = asked > 0 && latencies.total === 0;
    const heat = run.heats.findLast((one) => one.atMs <= epochMs + 1000);
    return {
      atMs,
      ecpuPerSecond: Math.round(asked * costAt(run, epochMs)),
      shards: (run.shapes.findLast((one) => one.atMs <= epochMs + 1000) ?? run.shapes[0]!).shards,
      utilisation: heat === undefined ? null : busiest(heat),
      p99Ms: Math.round(p99Ms * 100) / 100,
      errors,
      overloaded: silent || p99Ms > run.patienceMs || errors > ERROR_SHARE * latencies.total,
    };
  });
}

/** ECPU per second of one node at full utilisation: the median over all samples and nodes. */
export function measuredNodeEcpu(heats: readonly HeatSample[]): number {
  const seen = heats.flatMap(({ nodes }) =>
    nodes.flatMap(({ utilisation, ecpuPerSecond }) =>
      utilisation !== null && utilisation >= UTILISATION_FROM && utilisation <= UTILISATION_TO
        ? [ecpuPerSecond / utilisation]
        : [],
    ),
  );
  if (seen.length === 0) throw new RangeError('no node was busy enough to say what it can do');
  return median(seen);
}

/** ECPU of a request around then. */
function costAt(run: RecordedRun, epochMs: number): number {
  const costs = run.heats
    .filter(({ requestsPerSecond }) => requestsPerSecond > 0)
    .map((heat) => ({
      distanceMs: Math.abs(heat.atMs - epochMs - 500),
      ecpu: heat.nodes.reduce((sum, { ecpuPerSecond }) => sum + ecpuPerSecond, 0),
      requests: heat.nodes.reduce((sum, { requestsPerSecond }) => sum + requestsPerSecond, 0),
    }))
    .filter(({ requests }) => requests > 0);
  const near = costs.filter(({ distanceMs }) => distanceMs <= COST_WINDOW_MS / 2);
  const used = near.length > 0 ? near : costs.sort((a, b) => a.distanceMs - b.distanceMs).slice(0, 1);
  if (used.length === 0) throw new RangeError('nothing was metered');
  return median(used.map(({ ecpu, requests }) => ecpu / requests));
}

function busiest({ nodes }: HeatSample): number | null {
  const known = nodes.flatMap(({ utilisation }) => (utilisation === null ? [] : [utilisation]));
  return known.length === 0 ? null : Math.round(Math.max(...known) * 1000) / 1000;
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]!;
}
