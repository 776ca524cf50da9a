/**
 * `springtide up`: from nothing to a cache that serves.
 *
 *   daemon runs already? -> say so, show it
 *   ports of the first cache free? -> start the daemon -> caches of last time back, or engine + first cache -> guide
 *   foreground: wait for Ctrl-C or the daemon's end; Ctrl-C stops everything, a second one stops the waiting
 */
import { resolve } from 'node:path';
import type { Command } from 'commander';
import { formatAge, parseDurationMs } from '../lib/human-units.ts';
import type { SystemStatus } from '../model/admin-api.ts';
import { DEFAULT_ENGINE_LINE } from '../model/cache-spec.ts';
import type { ApiClient } from './api-client.ts';
import { plural } from './cache-words.ts';
import { CliError, EXIT_CODES } from './cli-error.ts';
import {
  argument,
  clientOf,
  dataDirSuffix,
  integer,
  port,
  withDataDir,
  withJson,
  type DataDirOption,
} from './command-options.ts';
import { connectGuide } from './connect-guide.ts';
import { startDaemon, type StartedDaemon } from './daemon-process.ts';
import { caFileOf } from './ca-file.ts';
import { requireDiskSpace } from './disk-space.ts';
import { ensureEngine } from './engine-step.ts';
import { requireHostsFile } from './hosts-file.ts';
import {
  createFirstCache,
  FIRST_CACHE_HOST,
  FIRST_CACHE_PORT,
  firstCacheSpec,
  hasState,
} from './first-cache.ts';
import { Interruption } from './interruption.ts';
import { cacheTable } from './list.ts';
import { leftoverProcesses } from './leftover-processes.ts';
import { requireFreePorts } from './ports.ts';
import { runStep } from './progress-view.ts';
import { shellWord } from './shell-word.ts';
import { shutDown } from './shutdown.ts';
import { formatFields, type Field } from './table.ts';
import type { Terminal } from './terminal.ts';
import { waitUntilServing } from './wait-until-serving.ts';

interface UpOptions extends DataDirOption {
  readonly detach?: boolean;
  readonly json?: boolean;
  readonly port?: number;
  readonly cache: boolean;
  readonly proxies?: number;
  readonly metricsPort?: number;
  readonly engineDir?: string;
  readonly engineBinary?: string;
  readonly hosts?: string;
  readonly scaleInAfter?: number;
}

/** As the daemon takes it. */
const scaleInAfter = argument((text) => {
  const ms = parseDurationMs(text);
  if (ms < 1000 || ms > 86_400_000)
    throw new RangeError(`"${text}" is not between 1s and 24h; write for example 30s or 5m`);
  return ms;
});

/** What only a daemon that starts can take. */
const START_OPTIONS = {
  proxies: '--proxies',
  metricsPort: '--metrics-port',
  engineBinary: '--engine-binary',
  engineDir: '--engine-dir',
  hosts: '--hosts',
  scaleInAfter: '--scale-in-after',
} as const;

export function registerUp(program: Command, terminal: Terminal): void {
  withJson(
    withDataDir(
      program
        .command('up')
        .description('start Springtide; the first time, with a cache named "main"')
        .option('-d, --detach', 'return when it serves; stop it later with "down"')
        .option(
          '-p, --port <port>',
          `port of the first cache (default: ${FIRST_CACHE_PORT}; auto: a free one)`,
          port,
        )
        .option('--no-cache', 'do not make a first cache')
        .option('--proxies <count>', 'proxy processes (default: one per core)', integer(1, 256))
        .option('--metrics-port <port>', 'port of /metrics', port)
        .option('--engine-binary <path>', 'a valkey-server to use instead of installing one')
        .option('--engine-dir <dir>', 'where engines are installed')
        .option('--hosts <file>', 'JSON: the hosts, with their zones, that nodes are spread over')
        .option(
          '--scale-in-after <duration>',
          'how long a cache must need fewer shards before it gets them, 1s to 24h (default: 5m)',
          scaleInAfter,
        ),
    ),
  ).action(async (options: UpOptions) => {
    process.exitCode = await up(options, terminal);
  });
}

async function up(options: UpOptions, terminal: Terminal): Promise<number> {
  const client = clientOf(options, terminal);
  const plain = options.json === true;
  const running = await client.statusOrNull();
  if (running) return attach(running, options, terminal);

  if (options.hosts !== undefined) requireHostsFile(resolve(options.hosts));
  const interruption = new Interruption();
  let daemon: StartedDaemon | null = null;
  try {
    const spec = firstCacheSpec(options.port ?? FIRST_CACHE_PORT);
    // What runs without a daemon needs one now, the more so on a full disk: to fail over, and to delete what fills it.
    const adopting = leftoverProcesses(client.dataDir).length > 0;
    if (!adopting) requireDiskSpace(client.dataDir);
    const retry = retryWithPort(options, terminal);
    if (options.cache && !hasState(client.dataDir))
      await requireFreePorts(spec, FIRST_CACHE_HOST, retry);
    daemon = await runStep(
      terminal,
      'Starting the daemon',
      async () => startDaemon(client, options, interruption.second),
      plain,
    );
    interruption.signal.throwIfAborted();
    if (!daemon.ours) return attach(daemon.status, options, terminal);
    if (options.cache && daemon.status.caches.length === 0) {
      await requireFreePorts(spec, FIRST_CACHE_HOST, retry);
      await ensureEngine(client, DEFAULT_ENGINE_LINE, terminal, interruption.signal, plain);
      await createFirstCache(client, spec, terminal, interruption.signal, plain);
    }
    const status = await bringBack(client, terminal, interruption.signal, plain);
    show(status, options, terminal);
    if (options.detach) {
      daemon.release();
      return exitCodeOf(status);
    }
  } catch (error) {
    const stopped = interruption.signal.aborted;
    const reason = stopped ? new CliError('INTERRUPTED', 'Stopped before it was ready.') : error;
    daemon?.release();
    // A first start that failed leaves nothing running; caches that were there before are never stopped by an error.
    if (daemon?.ours && (stopped || daemon.status.caches.length === 0))
      await stopAfterFailure(client, daemon.status.pid, terminal, interruption.second, plain);
    if (!stopped) requireDiskSpace(client.dataDir);
    throw reason;
  }

  const end = await Promise.race([daemon.ended, interruption.happened]);
  if (end !== null)
    throw new CliError(
      'FAILED',
      `The daemon ended unexpectedly (${end}); caches go on serving without it.`,
      {
        hint: `Start it again: ${terminal.program} up${dataDirSuffix(options)}`,
      },
    );
  await shutDown(client, daemon.status.pid, terminal, interruption.second, plain);
  return EXIT_CODES.OK;
}

/** What went wrong first is what the user must read: that the stop failed too is told beside it. */
async function stopAfterFailure(
  client: ApiClient,
  daemonPid: number,
  terminal: Terminal,
  signal: AbortSignal,
  plain: boolean,
): Promise<void> {
  try {
    await shutDown(client, daemonPid, terminal, signal, plain);
  } catch {
    const down = `${terminal.program} down --data-dir ${shellWord(client.dataDir)}`;
    terminal.err(`What was started could not be stopped in order; stop it: ${down}`);
  }
}

async function bringBack(
  client: ApiClient,
  terminal: Terminal,
  signal: AbortSignal,
  plain: boolean,
): Promise<SystemStatus> {
  let status: SystemStatus | null = null;
  await runStep(
    terminal,
    'Waiting for the caches',
    async (report) => {
      status = await waitUntilServing(client, report, signal);
      return status.caches.length === 0
        ? 'Ready, without a cache'
        : `${plural(status.caches.length, 'cache')} ready`;
    },
    plain,
  );
  return status!;
}

function attach(status: SystemStatus, options: UpOptions, terminal: Terminal): number {
  const late = Object.entries(START_OPTIONS).flatMap(([key, name]) =>
    options[key as keyof typeof START_OPTIONS] === undefined ? [] : [name],
  );
  if (late.length > 0)
    terminal.err(
      `Not taken: ${late.join(', ')}. The daemon that runs has its own; caches go on serving while you end it (kill ${status.pid}) and start another.`,
    );
  if (options.json) {
    terminal.out(JSON.stringify(status, null, 2));
    return exitCodeOf(status);
  }
  terminal.out(
    `Springtide already runs here (pid ${status.pid}, for ${formatAge(Date.now() - status.startedAtMs)}); this is it:`,
  );
  show(status, { ...options, detach: true }, terminal);
  return exitCodeOf(status);
}

function show(status: SystemStatus, options: UpOptions, terminal: Terminal): void {
  if (options.json) return terminal.out(JSON.stringify(status, null, 2));
  const suffix = dataDirSuffix(options);
  const only = status.caches.length === 1 ? status.caches[0]! : null;
  terminal.out('');
  if (status.caches.length > 1) terminal.out(`${cacheTable(status.caches, terminal).join('\n')}\n`);
  if (status.caches.length === 0)
    terminal.out(`There is no cache yet. Make one: ${terminal.program} create NAME${suffix}\n`);
  const caFile = only ? caFileOf(status.dataDir, only.spec) : null;
  const fields: Field[] = only
    ? [...connectGuide(only, status, terminal, { dataDirSuffix: suffix, caFile }), null]
    : [['Metrics', status.metricsUrl ?? 'none: no port could be listened on']];
  fields.push(['Watch', `${terminal.program} status --watch${suffix}`]);
  fields.push(['Stop', options.detach ? `${terminal.program} down${suffix}` : 'Ctrl-C']);
  terminal.out(formatFields(fields, (text) => terminal.paint('dim', text)).join('\n'));
  for (const cache of status.caches)
    if (cache.reason !== null)
      terminal.out(terminal.paint('yellow', `\n${cache.spec.name}: ${cache.reason}`));
}

function exitCodeOf(status: SystemStatus): number {
  return status.caches.some((cache) => cache.state === 'create-failed')
    ? EXIT_CODES.FAILED
    : EXIT_CODES.OK;
}

function retryWithPort(options: UpOptions, terminal: Terminal): string {
  const throughNpm = terminal.env['npm_lifecycle_event'] === 'start';
  const start = throughNpm
    ? 'npm start --'
    : `${terminal.program} up${options.detach ? ' --detach' : ''}${dataDirSuffix(options)}`;
  return `Choose another one: ${start} --port 6390 (or --port auto)`;
}
