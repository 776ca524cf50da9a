/** `springtide bench`: measures a cache that runs, beside direct connections to nodes of the bench's own. */
import { randomBytes } from 'node:crypto';
import { closeSync, openSync, writeFileSync } from 'node:fs';
import { Option, type Command } from 'commander';
import { messageOf } from '../lib/errors.ts';
import type { CacheStatus, SystemStatus } from '../model/admin-api.ts';
import type { ApiClient } from './api-client.ts';
import { keyCount, localAddress } from './cache-words.ts';
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
    const user = await createUser(client, name);
    try {
      await measure(cache, status, user, options, terminal);
    } finally {
      await client.call('DELETE', userPath(name, user.username));
    }
  });
}

interface BenchUser {
  readonly username: string;
  readonly password: string;
}

/**
 * valkey-benchmark takes a password on its command line only, where everybody on the machine can read it: so it gets one
 * that is good for the bench's own keys, until the bench ends.
 */
async function createUser(client: ApiClient, cacheName: string): Promise<BenchUser> {
  const user = {
    username: `springtide-bench-${randomBytes(4).toString('hex')}`,
    password: randomBytes(24).toString('base64url'),
  };
  await client.call('PUT', userPath(cacheName, user.username), {
    body: {
      enabled: true,
      passwords: [user.password],
      rules: '~springtide-bench:* +@all -@dangerous +info +config|get',
    },
  });
  return user;
}

function userPath(cacheName: string, user: string): string {
  return `/v1/caches/${encodeURIComponent(cacheName)}/users/${encodeURIComponent(user)}`;
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
  const interruption = new AbortController();
  process.once('SIGINT', () =>
    interruption.abort(new CliError('INTERRUPTED', 'The bench was stopped.')),
  );
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
          shards: cache.spec.shards,
          credentials: user,
          pids: { proxy: pids(status.proxies), node: pids(cache.nodes), other: [] },
        },
      },
      progress,
      interruption.signal,
    );
    progress.end();
    if (options.svg !== undefined) writeFileSync(options.svg, renderPlot(results));
    if (options.json) terminal.out(JSON.stringify(results, null, 2));
    else terminal.write(renderReport(results));
    if (results.failures.length > 0)
      throw new CliError('FAILED', `${results.failures.length} of the runs failed.`);
  } catch (error) {
    progress.end();
    throw interruption.signal.aborted ? interruption.signal.reason : error;
  }
}
