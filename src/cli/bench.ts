/** `springtide bench`: measures a cache that runs, beside direct connections to nodes of the bench's own. */
import { closeSync, openSync, writeFileSync } from 'node:fs';
import { Option, type Command } from 'commander';
import { messageOf } from '../lib/errors.ts';
import type { CacheStatus, SystemStatus } from '../model/admin-api.ts';
import { withBenchUser, type BenchUser } from './bench-user.ts';
import { keyCount, localAddress, shardCount } from './cache-words.ts';
import { CliError } from './cli-error.ts';
import {
  argument,
  clientOf,
  integer,
  withDataDir,
  withJson,
  type DataDirOption,
} from './command-options.ts';
import { formatCount } from '../lib/human-units.ts';
import { Interruption } from './interruption.ts';
import { ask } from './password-input.ts';
import type { Terminal } from './terminal.ts';

interface CliBenchOptions extends DataDirOption {
  readonly clients: readonly number[];
  readonly pipeline: readonly number[];
  readonly repetitions: number;
  readonly seconds: number;
  readonly direct: boolean;
  readonly svg?: string;
  readonly yes?: boolean;
  readonly json?: boolean;
}

const counts = argument((text: string) => text.split(',').map((part) => integer(1, 100_000)(part)));

export function registerBench(program: Command, terminal: Terminal): void {
  withJson(
    withDataDir(
      program
        .command('bench')
        .description('measure GET and SET on a cache: throughput, latency, CPU per request')
        .argument(
          '<name>',
          'cache; the bench writes 100,000 keys of its own into it, and removes them',
        )
        .addOption(
          new Option('--clients <counts>', 'numbers of clients')
            .argParser(counts)
            .default([10, 50, 200], '10,50,200'),
        )
        .addOption(
          new Option('--pipeline <depths>', 'requests under way per client')
            .argParser(counts)
            .default([1, 16], '1,16'),
        )
        .option('--repetitions <count>', 'medians are taken over so many runs', integer(1, 100), 1)
        .option('--seconds <count>', 'about how long one run lasts', integer(1, 600), 2)
        .option('--no-direct', 'leave out the comparison with direct connections')
        .option('--svg <file>', 'draw the results')
        .option('-y, --yes', 'do not ask before writing into a cache that holds keys'),
    ),
  ).action(async (name: string, options: CliBenchOptions) => {
    const client = clientOf(options, terminal);
    const status = await client.call<SystemStatus>('GET', '/v1/status');
    const cache = await client.call<CacheStatus>('GET', `/v1/caches/${encodeURIComponent(name)}`);
    if (options.svg !== undefined) requireWritable(options.svg);
    await confirm(cache, options, terminal);
    // From here on a signal ends the measurement, not the process: what the bench has made is removed first.
    const { signal } = new Interruption();
    // A terminal that was closed takes nothing more.
    process.stderr.on('error', () => {});
    try {
      await withBenchUser(
        client,
        name,
        (text) => terminal.err(text),
        (user) => measure(cache, status, user, options, terminal, signal),
      );
    } catch (error) {
      if (signal.aborted) throw new CliError('INTERRUPTED', 'The bench was stopped.');
      throw error;
    }
  });
}

/** Told before the run, not after minutes of it. */
function requireWritable(file: string): void {
  try {
    closeSync(openSync(file, 'a'));
  } catch (error) {
    throw new CliError('DISK', `${file} cannot be written (${messageOf(error)}).`, {
      cause: error,
    });
  }
}

async function confirm(
  cache: CacheStatus,
  options: CliBenchOptions,
  terminal: Terminal,
): Promise<void> {
  const keys = keyCount(cache);
  if (keys === 0 || options.yes) return;
  const { name } = cache.spec;
  const what = `The bench writes 100,000 keys of its own (springtide-bench:*) into cache ${name}, which holds ${formatCount(keys)}, and removes them at its end.`;
  if (!terminal.canAsk) throw new CliError('USAGE', what, { hint: 'Add --yes if that is wanted.' });
  if (!/^y(es)?$/i.test((await ask(`${what} Go on? [y/N] `)).trim()))
    throw new CliError('FAILED', 'Nothing was measured.');
}

async function measure(
  cache: CacheStatus,
  status: SystemStatus,
  user: BenchUser,
  options: CliBenchOptions,
  terminal: Terminal,
  signal: AbortSignal,
): Promise<void> {
  // Loaded only here: no other command needs the bench.
  const [{ runBench }, { chooseCells }, { Progress }, { renderReport }, { renderPlot }] =
    await Promise.all([
      import('../../bench/run.ts'),
      import('../../bench/options.ts'),
      import('../../bench/progress.ts'),
      import('../../bench/report.ts'),
      import('../../bench/plot.ts'),
    ]);
  const { tls } = cache.spec;
  const progress = new Progress(process.stderr);
  const pids = (list: readonly { readonly pid: number | null }[]) =>
    list.flatMap(({ pid }) => (pid === null ? [] : [pid]));
  try {
    const results = await runBench(
      {
        targets: options.direct ? ['direct', 'springtide'] : ['springtide'],
        proxies: [1],
        cells: chooseCells(
          options.clients,
          options.pipeline,
          tls === 'off' ? 'off' : tls === 'required' ? 'only' : 'on',
        ),
        repetitions: options.repetitions,
        secondsPerRun: options.seconds,
        idleConnections: 0,
        jsonFile: null,
        svgFile: null,
        fromFile: null,
        running: {
          address: localAddress(cache),
          tls,
          shards: shardCount(cache),
          credentials: user,
          pids: { proxy: pids(status.proxies), node: pids(cache.nodes), other: [] },
        },
      },
      progress,
      signal,
    );
    signal.throwIfAborted();
    progress.end();
    if (options.svg !== undefined) writeFileSync(options.svg, renderPlot(results));
    if (options.json) terminal.out(JSON.stringify(results, null, 2));
    else terminal.write(renderReport(results));
    if (results.failures.length > 0)
      throw new CliError('FAILED', `${results.failures.length} of the runs failed.`);
  } finally {
    progress.end();
  }
}
