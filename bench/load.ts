/**
 * The load: valkey-benchmark, one thread. A run with an error reply is an error here, never a figure: a proxy that
 * answers nonsense quickly must not look fast.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { BenchError } from './bench-error.ts';
import type { Credentials } from './admin.ts';
import type { Invocation } from './processes.ts';
import type { BenchCommand, Cell } from './sample.ts';

/** Hash tags that valkey-benchmark spreads its keys over with --cluster: one per slot. */
const CLUSTER_TAGS = 16_384;

export interface Load extends Cell, Credentials {
  readonly host: string;
  readonly port: number;
  /** Speak to each node of a cluster as a cluster-aware client does. */
  readonly cluster: boolean;
  readonly command: BenchCommand;
  readonly requests: number;
  readonly keys: number;
  readonly valueBytes: number;
  /** Keys are `<prefix>:000000000042`. Default `key`; not with `cluster`. */
  readonly keyPrefix?: string;
  /** Every key once, in order, instead of at random. */
  readonly sequential?: boolean;
}

export interface LoadResult {
  readonly requestsPerSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

/**
 * How many keys a load with --cluster really touches: valkey-benchmark takes `-r` per hash tag there, so the number is
 * divided first. 100,000 become 98,304.
 */
export function clusterKeys(keys: number): { readonly perTag: number; readonly total: number } {
  const perTag = Math.max(1, Math.round(keys / CLUSTER_TAGS));
  return { perTag, total: perTag * CLUSTER_TAGS };
}

/** The arguments of valkey-benchmark for this load. */
export function loadArguments(load: Load): string[] {
  const keyspace = load.cluster ? clusterKeys(load.keys).perTag : load.keys;
  const args = ['-h', load.host, '-p', String(load.port), '-c', String(load.clients)];
  args.push('-n', String(load.requests), '-P', String(load.pipeline), '-r', String(keyspace));
  args.push('-d', String(load.valueBytes), '--csv');
  // Said out loud: with --cluster the default is a thread for each node, and with more than one thread the end of a run
  // is only noticed every 250 ms.
  args.push('--threads', '1');
  if (load.cluster) args.push('--cluster');
  if (load.sequential === true) args.push('--sequential');
  if (load.tls) args.push('--tls', '--insecure');
  if (load.username !== undefined) args.push('--user', load.username);
  if (load.password !== undefined) args.push('-a', load.password);
  if (load.keyPrefix === undefined) return [...args, '-t', load.command];
  const key = `${load.keyPrefix}:__rand_int__`;
  return load.command === 'get'
    ? [...args, '--', 'GET', key]
    : [...args, '--', 'SET', key, '__data__'];
}

/** The one result line of `--csv` output. Throws when there is none, or not exactly one. */
export function parseBenchmarkCsv(text: string): LoadResult {
  const rows = text
    .split('\n')
    .filter((line) => line.startsWith('"'))
    .map((line) => line.slice(1, line.lastIndexOf('"')).split('","'));
  const header = rows.find((row) => row[0] === 'test');
  const lines = rows.filter((row) => row !== header);
  const only = lines[0];
  if (header === undefined || only === undefined || lines.length !== 1) {
    throw new BenchError(
      'BENCH_OUTPUT_UNREADABLE',
      `valkey-benchmark printed no result: ${lastLine(text)}`,
    );
  }
  const column = (name: string): number => {
    // Counted from the right: a custom command's text comes first and may hold anything.
    const value = Number(only.at(header.indexOf(name) - header.length));
    if (!header.includes(name) || !Number.isFinite(value)) {
      throw new BenchError(
        'BENCH_OUTPUT_UNREADABLE',
        `valkey-benchmark's CSV has no number for ${name}`,
      );
    }
    return value;
  };
  return {
    requestsPerSecond: column('rps'),
    p50Ms: column('p50_latency_ms'),
    p99Ms: column('p99_latency_ms'),
  };
}

/** The first error that a server replied or the tool met, or null. Warnings about CONFIG are not errors of the load. */
export function findLoadError(output: string): string | null {
  const line = output
    .split('\n')
    .find((text) =>
      /^(Error|ERROR|Could not connect|Server closed|All clients disconnected)/.test(text),
    );
  return line ?? null;
}

/**
 * Runs valkey-benchmark once.
 * @param timeoutMs after this the run has failed
 */
export async function runLoad(
  benchmark: Invocation,
  load: Load,
  { timeoutMs, signal }: { readonly timeoutMs: number; readonly signal?: AbortSignal },
): Promise<LoadResult> {
  const child = spawn(benchmark.file, [...benchmark.args, ...loadArguments(load)], {
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: timeoutMs,
    killSignal: 'SIGKILL',
    ...(benchmark.env === undefined ? {} : { env: benchmark.env }),
    ...(signal === undefined ? {} : { signal }),
  });
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  const [code, killedBy] = (await once(child, 'close')) as [number | null, NodeJS.Signals | null];
  const error = findLoadError(stdout) ?? findLoadError(stderr);
  if (error !== null) throw new BenchError('BENCH_RUN_FAILED', error);
  if (killedBy !== null) {
    throw new BenchError('BENCH_RUN_FAILED', `valkey-benchmark was stopped after ${timeoutMs} ms`);
  }
  if (code !== 0) {
    throw new BenchError(
      'BENCH_RUN_FAILED',
      `valkey-benchmark ended with ${code}: ${lastLine(stderr)}`,
    );
  }
  return parseBenchmarkCsv(stdout);
}

function lastLine(text: string): string {
  return text.trim().split('\n').at(-1) || 'no output';
}
