/** `springtide connect`: opens valkey-cli, the engine's own, on a cache. */
import { spawn } from 'node:child_process';
import type { Command } from 'commander';
import { valkeyCliOf } from '../daemon/local-engines.ts';
import { messageOf } from '../lib/errors.ts';
import type { CacheStatus, EngineStatus, SystemStatus } from '../model/admin-api.ts';
import type { ApiClient } from './api-client.ts';
import { localAddress } from './cache-words.ts';
import { CliError, EXIT_CODES } from './cli-error.ts';
import { clientOf, dataDirSuffix, withDataDir, type DataDirOption } from './command-options.ts';
import { valkeyCliTls } from './connect-guide.ts';
import { caFileOf } from './ca-file.ts';
import type { Terminal } from './terminal.ts';

interface ConnectOptions extends DataDirOption {
  readonly reader?: boolean;
  readonly user?: string;
  readonly cacert?: string;
  readonly engineDir?: string;
}

export function registerConnect(program: Command, terminal: Terminal): void {
  withDataDir(
    program
      .command('connect')
      .description('open valkey-cli on a cache; arguments after -- are passed on')
      .argument('<name>', 'cache')
      .argument('[args...]', 'for valkey-cli, e.g. -- --scan, or a command to run')
      .option('--reader', 'connect to the reader endpoint')
      .option(
        '-u, --user <user>',
        'log in as this user; valkey-cli asks for the password, or takes $VALKEYCLI_AUTH',
      )
      .option(
        '--cacert <file>',
        "who signed the cache's certificate, PEM (default: the development authority, or the certificate itself)",
      )
      .option('--engine-dir <dir>', 'where engines are installed'),
  ).action(async (name: string, args: string[], options: ConnectOptions) => {
    const client = clientOf(options, terminal);
    const cache = await client.call<CacheStatus>('GET', `/v1/caches/${encodeURIComponent(name)}`);
    const { dataDir } = await client.call<SystemStatus>('GET', '/v1/status');
    // The daemon knows the engine it was started with; what this shell would find may be another one, or none.
    const tool =
      options.engineDir === undefined
        ? await daemonsTool(client, cache.spec.engineVersion)
        : await valkeyCliOf(cache.spec.engineVersion, {
            env: terminal.env,
            engineDir: options.engineDir,
          });
    if (tool === null)
      throw new CliError(
        'ENGINE_MISSING',
        `The Valkey ${cache.spec.engineVersion} here came without valkey-cli.`,
        {
          hint: `Install one that has it: ${terminal.program} engine install ${cache.spec.engineVersion}${dataDirSuffix(options)}`,
        },
      );
    const caFile = options.cacert ?? caFileOf(dataDir, cache.spec);
    process.exitCode = await runInForeground([
      ...tool,
      ...connectArguments(cache, caFile, options),
      ...args,
    ]);
    // valkey-cli writes to the terminal itself, and ends like this for other reasons too.
    if (process.exitCode === EXIT_CODES.FAILED && cache.spec.tls !== 'off' && caFile === null)
      terminal.err(
        `If it does not trust the certificate, name who signed ${cache.spec.tlsCertFile}: --cacert FILE (PEM).`,
      );
  });
}

async function daemonsTool(client: ApiClient, line: string): Promise<readonly string[] | null> {
  const engines = await client.call<EngineStatus[]>('GET', '/v1/engines');
  return engines.find((engine) => engine.line === line)?.cli ?? null;
}

/** valkey-cli's options for a cache. */
export function connectArguments(
  cache: CacheStatus,
  caFile: string | null,
  options: { readonly reader?: boolean; readonly user?: string },
): string[] {
  const { host, port } = localAddress(cache, options);
  return [
    '-h',
    host,
    '-p',
    String(port),
    ...valkeyCliTls(cache, caFile),
    ...(options.user === undefined ? [] : ['--user', options.user, '--askpass']),
  ];
}

/** Gives the terminal to `command` and returns its exit code. Ctrl-C is the command's business while it runs. */
function runInForeground(command: readonly string[]): Promise<number> {
  return new Promise((resolve, reject) => {
    const ignore = (): void => undefined;
    process.on('SIGINT', ignore);
    const child = spawn(command[0]!, command.slice(1), { stdio: 'inherit' });
    child.once('error', (error) =>
      reject(
        new CliError('ENGINE_MISSING', `valkey-cli could not be started (${messageOf(error)}).`, {
          cause: error,
        }),
      ),
    );
    child.once('exit', (code, signal) => {
      process.off('SIGINT', ignore);
      resolve(code ?? (signal === 'SIGINT' ? EXIT_CODES.INTERRUPTED : EXIT_CODES.FAILED));
    });
  });
}
