/**
 * Turns a real run into a recording for the simulator: what was asked for, what there was, what clients saw, by the second.
 *
 * The planner works in ECPU. Asked for is what the schedule said, in requests, times what a request was metered at in that
 * second; a node's capacity is ECPU over utilisation.
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

/** Above it a node is full and hides what is asked for. */
const UTILISATION_MOST = 0.95;
/** A second is one chance: figures are of so many around it. */
const WINDOW_MS = 5_000;
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
    const near = around(run, epochMs);
    const heat = run.heats.findLast((one) => one.atMs <= epochMs + 1000);
    return {
      atMs,
      ecpuPerSecond: Math.round(asked * costOf(near)),
      nodeEcpu: Math.round(measuredNodeEcpu(near)),
      shards: (run.shapes.findLast((one) => one.atMs <= epochMs + 1000) ?? run.shapes[0]!).shards,
      utilisation: heat === undefined ? null : busiest(heat),
      p99Ms: Math.round(p99Ms * 100) / 100,
      errors,
      overloaded: silent || p99Ms > run.patienceMs || errors > ERROR_SHARE * latencies.total,
    };
  });
}

/** ECPU per second of one node at full utilisation, over a time. */
export function measuredNodeEcpu(heats: readonly HeatSample[]): number {
  let [ecpu, utilisations] = [0, 0];
  for (const { utilisation, ecpuPerSecond } of heats.flatMap(({ nodes }) => nodes)) {
    if (utilisation === null || utilisation > UTILISATION_MOST || ecpuPerSecond === 0) continue;
    ecpu += ecpuPerSecond;
    utilisations += utilisation;
  }
  if (utilisations === 0) throw new RangeError('no node said what it can do');
  return ecpu / utilisations;
}

function around(run: RecordedRun, epochMs: number): readonly HeatSample[] {
  const near = run.heats.filter(({ atMs }) => Math.abs(atMs - epochMs - 500) <= WINDOW_MS / 2);
  return near.some(isMeasured) ? near : run.heats.filter(isMeasured);
}

function isMeasured({ nodes }: HeatSample): boolean {
  return nodes.some(
    ({ utilisation, ecpuPerSecond }) =>
      utilisation !== null && utilisation <= UTILISATION_MOST && ecpuPerSecond > 0,
  );
}

/** ECPU of a request. */
function costOf(heats: readonly HeatSample[]): number {
  let [ecpu, requests] = [0, 0];
  for (const node of heats.flatMap(({ nodes }) => nodes)) {
    ecpu += node.ecpuPerSecond;
    requests += node.requestsPerSecond;
  }
  if (requests === 0) throw new RangeError('nothing was metered');
  return ecpu / requests;
}

function busiest({ nodes }: HeatSample): number | null {
  const known = nodes.flatMap(({ utilisation }) => (utilisation === null ? [] : [utilisation]));
  return known.length === 0 ? null : Math.round(Math.max(...known) * 1000) / 1000;
}
