/**
 * From measurements to what the model takes for true: medians and fits, each with its origin. What nobody measured here (a
 * node of 240,000 requests/s, a machine that has to be provided) stays as it was, assumed.
 */
import type { CalibrationFile } from './calibration.ts';
import { fitMoves } from './fit-moves.ts';
import type { Measurement } from './measurement.ts';
import type { Recording } from './recording.ts';

type Name = keyof CalibrationFile;
type Scalar = Exclude<Name, 'nodeEcpuByIoThreads'>;

/** Pairs of seconds that differ by less in what is asked for say how much a sample is chance. */
const SAME_LOAD = 0.02;
const NOISE_UTILISATION = 0.05;
const HUNG = /STOP/;

export function calibrate(
  before: CalibrationFile,
  measurements: readonly Measurement[],
  recordings: readonly Recording[],
): CalibrationFile {
  const after = { ...before };
  const set = (name: Scalar, value: number | null, origin: string): void => {
    if (value === null) return;
    after[name] = {
      ...before[name],
      value: Number(value.toPrecision(3)),
      origin: `measured: ${origin}`,
    };
  };
  const elastic = measurements.filter(({ raw }) => raw !== undefined);
  const from = elastic
    .map(
      ({ startedAt = '', loadBefore = 0 }) =>
        `\`npm run bench:elastic\`, ${startedAt.slice(0, 10)}, load average ${loadBefore.toFixed(1)}`,
    )
    .join('; ');

  const datasets = elastic.flatMap(({ raw }) => raw?.calibration?.moves ?? []);
  const firstJoins = datasets.flatMap(({ poolAtStart, joinMs }) =>
    poolAtStart.ready > 0 ? joinMs.slice(0, 1) : [],
  );
  const recorded = recordings.flatMap(({ jobs }) =>
    jobs.filter(({ step }) => step.startsWith('add-shard')).map(({ tookMs }) => tookMs),
  );
  const joins = [...firstJoins, ...recorded];
  set(
    'joinMs',
    median(joins),
    `median of ${joins.length} joins, most from the warm pool (${range(joins)}); ${from}, and the recordings`,
  );

  const moves = datasets.flatMap((one) => one.moves);
  const fit = fitMoves(moves);
  if (fit !== null) {
    const origin = `least squares over ${moves.length} moves of ${range(moves.map(({ bytes }) => bytes / 1e6))} MB and ${range(moves.map(({ keys }) => keys))} keys, half of them within ${fit.medianErrorMs.toFixed(0)} ms; ${from}`;
    set('moveFixedMs', fit.fixedMs, origin);
    set('moveBytesPerSecond', fit.bytesPerSecond, origin);
    set('moveUsPerKey', fit.usPerKey, origin);
  }

  const replicas = elastic.flatMap(({ raw }) =>
    (raw?.['each-step']?.decisions ?? []).filter(({ step }) => step.startsWith('add-replica')),
  );
  set(
    'replicaJoinMs',
    median(replicas.map(({ tookMs }) => tookMs)),
    `median of ${replicas.length} with little data (${range(replicas.map(({ tookMs }) => tookMs))}), scenario each-step; ${from}; plus the bytes at moveBytesPerSecond`,
  );

  const taxes = measurements.flatMap(({ forkTax = [] }) => forkTax);
  set(
    'forkTax',
    median(taxes.map(({ share }) => Math.max(0, share))),
    `processor time of the source's main thread that its requests do not explain, of the move's time, median of ${taxes.length} moves: \`node bench/move-cost.ts\`, ${dayOf(measurements, 'forkTax')}`,
  );
  const starts = measurements.flatMap(({ proxyStartMs = [] }) => proxyStartMs);
  set(
    'proxyStartMs',
    median(starts),
    `median of ${starts.length} proxies from kill -9 to serving again (${range(starts)}): \`node bench/move-cost.ts\`, ${dayOf(measurements, 'proxyStartMs')}`,
  );
  const hung = measurements.find(
    ({ kind, pauseMs }) => pauseMs !== undefined && HUNG.test(kind ?? ''),
  );
  set(
    'failoverMs',
    hung?.pauseMs?.max ?? null,
    `docs/benchmarks/${hung?.file}, the longest of ${hung?.rounds} pauses of writes with a primary that hangs (half below ${hung?.pauseMs?.p50.toFixed(0)} ms): a node that is silent, nobody saw it end`,
  );
  const noise = sampleNoise(recordings);
  set(
    'utilisationNoise',
    noise,
    `of one-second samples at a load that held, ${recordings.length} recordings (docs/benchmarks/recordings) on a machine with other work`,
  );

  const service = elastic.flatMap(({ raw }) => raw?.calibration?.service ?? []);
  const full = service
    .filter(({ ioThreads, utilisation }) => ioThreads === 1 && utilisation > 0)
    .map(({ repliesPerSecond, utilisation }) => repliesPerSecond / utilisation);
  if (full.length > 0) {
    const [assumed] = before.nodeEcpuByIoThreads.origin.split('; measured');
    after.nodeEcpuByIoThreads = {
      ...before.nodeEcpuByIoThreads,
      origin: `${assumed}; measured for comparison: one thread, GET and SET in pipelines, would do ${range(full)} by its own clock, which counts its waiting for a core too (${from})`,
    };
  }
  return after;
}

/** Relative standard deviation of a sample, from neighbours at the same load and with the same shards. */
export function sampleNoise(recordings: readonly Recording[]): number | null {
  const squares: number[] = [];
  for (const { samples } of recordings)
    for (const [index, one] of samples.entries()) {
      const next = samples[index + 1];
      if (next === undefined || next.shards !== one.shards) continue;
      if (Math.abs(next.ecpuPerSecond / one.ecpuPerSecond - 1) > SAME_LOAD) continue;
      if ((one.utilisation ?? 0) < NOISE_UTILISATION || (next.utilisation ?? 0) < NOISE_UTILISATION)
        continue;
      squares.push(Math.log(next.utilisation! / one.utilisation!) ** 2);
    }
  // The difference of two samples has twice the variance of one.
  return squares.length === 0 ? null : Math.sqrt(median(squares)! / 0.4549 / 2);
}

function dayOf(measurements: readonly Measurement[], field: 'forkTax' | 'proxyStartMs'): string {
  return measurements.find((one) => one[field] !== undefined)?.startedAt?.slice(0, 10) ?? '';
}

function median(values: readonly number[]): number | null {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? null;
}

function range(values: readonly number[]): string {
  return values.length === 0
    ? ''
    : `${thousands(Math.min(...values))} to ${thousands(Math.max(...values))}`;
}

function thousands(value: number): string {
  return Number(value.toPrecision(3)).toLocaleString('en');
}
