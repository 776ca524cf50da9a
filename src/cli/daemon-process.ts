/**
 * Starts the daemon as a process of its own session: Ctrl-C on the terminal reaches only the CLI, which then asks the
 * daemon to stop in order, and a terminal that closes takes nothing with it.
 */
import { spawn } from 'node:child_process';
import { closeSync, fstatSync, mkdirSync, openSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { messageOf } from '../lib/errors.ts';
import type { SystemStatus } from '../model/admin-api.ts';
import { dataDirPaths, withCompiledCode } from '../model/data-dir.ts';
import type { ApiClient } from './api-client.ts';
import { CliError, type CliErrorCode } from './cli-error.ts';
import { cliErrorCodeOf } from './exit-code-of.ts';

const DAEMON_ENTRY = fileURLToPath(new URL('../daemon/daemon.ts', import.meta.url));
/** Opening the state and adopting nodes takes well under a second; a machine that swaps gets time. */
const START_TIMEOUT_MS = 60_000;
const POLL_MS = 50;
/** How long a daemon that somebody else started just now is waited for. */
const OTHERS_START_MS = 10_000;

export interface DaemonOptions {
  readonly engineDir?: string | undefined;
  readonly engineBinary?: string | undefined;
  readonly hosts?: string | undefined;
  readonly proxies?: number | undefined;
  readonly metricsPort?: number | undefined;
  readonly scaleInAfter?: number | undefined;
}

export interface StartedDaemon {
  readonly status: SystemStatus;
  /** False: somebody else's start was faster, and it is that one that answers. */
  readonly ours: boolean;
  /** Resolves when the process that was started has ended. */
  readonly ended: Promise<string>;
  /** Lets this process end while the daemon goes on. */
  release(): void;
}

/**
 * Starts a daemon and waits until it answers. Throws when it ends before that, with what it said last.
 *
 * @param signal gives up waiting. A daemon has proxies soon after its start and only it can stop them: to stop everything,
 *   wait for the answer and ask.
 */
export async function startDaemon(
  client: ApiClient,
  options: DaemonOptions,
  signal: AbortSignal,
): Promise<StartedDaemon> {
  const paths = dataDirPaths(client.dataDir);
  const logFile = join(paths.logs, 'daemon.log');
  let log: number;
  try {
    mkdirSync(paths.root, { recursive: true, mode: 0o700 });
    mkdirSync(paths.logs, { recursive: true, mode: 0o700 });
    log = openSync(logFile, 'a', 0o600);
  } catch (error) {
    throw directoryError(paths.root, error);
  }
  const logStart = fstatSync(log).size;
  const child = spawn(
    process.execPath,
    [DAEMON_ENTRY, ...daemonArguments(client.dataDir, options)],
    {
      detached: true,
      stdio: ['ignore', log, log],
      cwd: paths.root,
      env: withCompiledCode(),
    },
  );
  closeSync(log);
  let exit: string | null = null;
  const ended = new Promise<string>((resolve) => {
    const end = (how: string) => {
      exit = how;
      resolve(how);
    };
    child.once('error', (error) => end(messageOf(error)));
    child.once('exit', (code, killedBy) => end(killedBy === null ? `exit code ${code}` : killedBy));
  });

  try {
    const status = await firstAnswer();
    return { status, ours: status.pid === child.pid, ended, release: () => child.unref() };
  } catch (error) {
    // Ends the daemon alone, and no process ends while a child of it is waited for.
    child.kill('SIGTERM');
    child.unref();
    throw error;
  }

  async function firstAnswer(): Promise<SystemStatus> {
    const startedAtMs = Date.now();
    while (Date.now() < startedAtMs + START_TIMEOUT_MS) {
      const status = await client.statusOrNull();
      if (status) return status;
      if (exit !== null) {
        const said = readFileSync(logFile).subarray(logStart).toString();
        const failure = startFailure(said, exit, logFile);
        // Another start was faster: it is that daemon that will answer.
        if (failure.code !== 'CONFLICT' || Date.now() > startedAtMs + OTHERS_START_MS) {
          throw failure;
        }
      }
      await sleep(POLL_MS, undefined, { signal });
    }
    throw new CliError('FAILED', `The daemon did not answer within ${START_TIMEOUT_MS / 1000} s.`, {
      hint: `Its log may say why: ${logFile}`,
    });
  }
}

function daemonArguments(dataDir: string, options: DaemonOptions): string[] {
  const named: [string, string | number | undefined][] = [
    ['--data-dir', dataDir],
    // The daemon works elsewhere: what is relative is relative to here.
    ['--engine-dir', options.engineDir && resolve(options.engineDir)],
    ['--engine-binary', options.engineBinary && resolve(options.engineBinary)],
    ['--hosts', options.hosts && resolve(options.hosts)],
    ['--proxies', options.proxies],
    ['--metrics-port', options.metricsPort],
    ['--scale-in-after', options.scaleInAfter],
  ];
  return named.flatMap(([name, value]) => (value === undefined ? [] : [name, String(value)]));
}

function directoryError(root: string, error: unknown): CliError {
  const code = (error as NodeJS.ErrnoException).code;
  if (code === 'ENOSPC')
    return new CliError('DISK', `No space is left on the disk of ${root}.`, {
      hint: 'Free some, or choose another place with --data-dir.',
      cause: error,
    });
  return new CliError('DISK', `The data directory ${root} cannot be used (${messageOf(error)}).`, {
    hint: 'Choose another one with --data-dir.',
    cause: error,
  });
}

/** What a daemon that ended at once said last, as this command's error. */
export function startFailure(logText: string, exit: string, logFile: string): CliError {
  const lines = logText.split('\n').filter((line) => line.trim() !== '');
  let said: string | null = null;
  let failure: CliErrorCode = 'FAILED';
  for (const line of lines) {
    try {
      const entry = JSON.parse(line) as {
        level?: number;
        msg?: string;
        err?: { message?: string; code?: string };
      };
      // pino: 50 is error, 60 fatal.
      if (typeof entry.level === 'number' && entry.level >= 50) {
        said = entry.err?.message ?? entry.msg ?? null;
        failure = cliErrorCodeOf(entry.err?.code ?? '');
      }
    } catch {
      // Not pino's: what node itself prints when a program ends on an error.
      if (/^\w*Error\b.*:/.test(line) || said === null) said = line.trim();
    }
  }
  return new CliError(failure, `The daemon could not start (${said ?? exit}).`, {
    hint: `The whole log: ${logFile}`,
  });
}
