/**
 * `springtide bench`: the load of the bench on one endpoint that a user names, without peers and without starting
 * anything. It writes keys of its own only, and removes them when it ends, also after an error or Ctrl-C.
 */
import { withConnection, type Address, type Credentials } from './admin.ts';
import type { PidsByRole } from './cpu.ts';
import { findEngineTools } from './engine-tools.ts';
import { measure } from './measure.ts';
import { keyName, prefill } from './prefill.ts';
import type { Progress } from './progress.ts';
import { renderTable } from './report.ts';
import type { Cell, FailedRun, Sample } from './sample.ts';
import { cellsOf, median, sameCell } from './summary.ts';
import type { Target } from './targets/target.ts';

export const ENDPOINT_KEY_PREFIX = 'springtide-bench';
const REMOVE_BATCH = 500;

export interface EndpointBench {
  readonly address: Address;
  /** Speak TLS only; certificates are not checked. */
  readonly tls: boolean;
  readonly credentials: Credentials;
  readonly clients: readonly number[];
  readonly pipelines: readonly number[];
  readonly repetitions: number;
  readonly secondsPerRun: number;
  readonly keys: number;
  readonly valueBytes: number;
  /** Where the endpoint's processes are on this machine and known, their CPU is measured as well. */
  readonly pids?: () => PidsByRole | Promise<PidsByRole>;
}

export interface EndpointResults {
  readonly samples: readonly Sample[];
  readonly failures: readonly FailedRun[];
}

/** Measures GET and SET in every combination of clients and pipeline depth. */
export async function benchEndpoint(
  bench: EndpointBench,
  progress: Progress,
  signal: AbortSignal,
): Promise<EndpointResults> {
  const { benchmark } = await findEngineTools(() => progress.note('Installing Valkey 9.1 ...'));
  const target: Target = {
    name: 'endpoint',
    label: `${bench.address.host}:${bench.address.port}`,
    version: '',
    plain: bench.tls ? null : bench.address,
    tls: bench.tls ? bench.address : null,
    credentials: bench.credentials,
    cluster: false,
    nodes: [],
    descriptorsPerClient: 1,
    pids: bench.pids ?? (() => ({ proxy: [], node: [], other: [] })),
  };
  const cells: Cell[] = bench.pipelines.flatMap((pipeline) =>
    bench.clients.map((clients) => ({ clients, pipeline, tls: bench.tls })),
  );
  const plan = { ...bench, cells, keyPrefix: ENDPOINT_KEY_PREFIX };
  try {
    progress.show('filling the keyspace', target.label);
    await prefill(benchmark, target, plan, signal);
    return await measure([target], plan, { benchmark, progress, signal });
  } finally {
    progress.show('removing the keys', target.label);
    await removeKeys(bench);
    progress.end();
  }
}

async function removeKeys({ address, credentials, tls, keys }: EndpointBench): Promise<void> {
  await withConnection(
    address,
    async (client) => {
      for (let from = 0; from < keys; from += REMOVE_BATCH) {
        const count = Math.min(REMOVE_BATCH, keys - from);
        const names = Array.from({ length: count }, (_, at) =>
          keyName(from + at, ENDPOINT_KEY_PREFIX),
        );
        // One command a key, so that an endpoint that splits nothing takes it too.
        const batch = client.pipeline();
        for (const name of names) batch.unlink(name);
        for (const [error] of (await batch.exec()) ?? []) if (error !== null) throw error;
      }
    },
    { ...credentials, tls },
  );
}

/** The results as a table; CPU columns only where processes were known. */
export function renderEndpointReport({ samples, failures }: EndpointResults): string {
  const withCpu = samples.some(({ cpuSeconds }) => cpuSeconds.proxy + cpuSeconds.node > 0);
  const header = ['command', 'pipeline', 'clients', 'requests/s', 'p50 ms', 'p99 ms'];
  if (withCpu) header.push('CPU s per million, proxy', 'nodes');
  const rows = cellsOf(samples).flatMap((cell) =>
    (['get', 'set'] as const).flatMap((command) => {
      const runs = samples.filter((run) => run.command === command && sameCell(run, cell));
      if (runs.length === 0) return [];
      const over = (value: (run: Sample) => number): number => median(runs.map(value));
      const row = [command.toUpperCase(), String(cell.pipeline), String(cell.clients)];
      row.push(over((run) => run.requestsPerSecond).toFixed(0));
      row.push(over((run) => run.p50Ms).toFixed(2), over((run) => run.p99Ms).toFixed(2));
      if (withCpu) {
        row.push(over((run) => (run.cpuSeconds.proxy / run.requests) * 1e6).toFixed(1));
        row.push(over((run) => (run.cpuSeconds.node / run.requests) * 1e6).toFixed(1));
      }
      return [row];
    }),
  );
  const failed = failures.map(
    (run) =>
      `failed: ${run.command.toUpperCase()} pipeline ${run.pipeline}, ${run.clients} clients: ${run.error}`,
  );
  return `${[renderTable(header, rows), ...failed].join('\n')}\n`;
}
