/** Results with known figures, for the tests of goals, report and plot. */
import type { BenchResults, Cell, Sample } from './sample.ts';

/** What a target does in every run: requests per second, CPU seconds per million requests. */
export interface FixtureTarget {
  readonly name: string;
  readonly requestsPerSecond: number;
  readonly tlsRequestsPerSecond?: number;
  readonly proxyCpu: number;
  readonly nodeCpu: number;
}

export function fixtureResults(
  targets: readonly FixtureTarget[],
  cells: readonly Cell[],
  extra: Partial<BenchResults> = {},
): BenchResults {
  const samples = targets.flatMap((target) =>
    cells.flatMap((cell) =>
      (['get', 'set'] as const).map((command) => sample(target, cell, command)),
    ),
  );
  return {
    format: 1,
    startedAt: '2026-11-21T10:00:00.000Z',
    finishedAt: '2026-11-21T11:00:00.000Z',
    machine: { kernel: '6.1', cpu: 'a <fast> & small one', cores: 2, memoryBytes: 2 ** 34 },
    versions: { springtide: '0.1.0', node: '26.10.0', valkey: '9.1.2' },
    settings: { repetitions: 1, secondsPerRun: 3, keys: 100_000, valueBytes: 80, shards: 3 },
    targets: targets.map(({ name }) => ({ name, label: `the ${name}` })),
    skipped: [],
    samples,
    failures: [],
    idle: [],
    ...extra,
  };
}

function sample(target: FixtureTarget, cell: Cell, command: 'get' | 'set'): Sample {
  const {
    name,
    requestsPerSecond,
    tlsRequestsPerSecond = requestsPerSecond,
    proxyCpu,
    nodeCpu,
  } = target;
  return {
    target: name,
    ...cell,
    command,
    repetition: 1,
    requests: 1_000_000,
    wallSeconds: 10,
    requestsPerSecond: cell.tls ? tlsRequestsPerSecond : requestsPerSecond,
    p50Ms: 0.25,
    p99Ms: 1.5,
    cpuSeconds: { proxy: proxyCpu, node: nodeCpu, other: 0 },
  };
}
