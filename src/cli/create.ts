/** `springtide create`: one more cache. */
import { fileURLToPath } from 'node:url';
import { Option, type Command } from 'commander';
import type { CacheStatus, SystemStatus, UserStatus } from '../model/admin-api.ts';
import { ENGINE_LINES, TLS_MODES } from '../model/cache-spec.ts';
import { readSpec } from '../model/read-spec.ts';
import {
  argument,
  clientOf,
  dataDirSuffix,
  integer,
  oneOf,
  port,
  withDataDir,
  withJson,
  type DataDirOption,
} from './command-options.ts';
import { CliError } from './cli-error.ts';
import { splitEndpoint } from './cache-words.ts';
import { connectGuide } from './connect-guide.ts';
import { createUsers, parseUserOption, type NewUser } from './new-users.ts';
import { caFileOf } from './ca-file.ts';
import { ensureEngine } from './engine-step.ts';
import { parseBytes, parseCount, parseDurationMs } from '../lib/human-units.ts';
import { requireFreePorts } from './ports.ts';
import { followProgress, runStep } from './progress-view.ts';
import { specInput, type SpecOptions } from './spec-input.ts';
import { formatFields } from './table.ts';
import type { Terminal } from './terminal.ts';

interface CreateOptions extends SpecOptions, DataDirOption {
  readonly json?: boolean;
  readonly user?: NewUser[];
  readonly passwordFile?: string;
  readonly printSpec?: boolean;
}

const REFERENCE = fileURLToPath(new URL('../../docs/specification.md', import.meta.url));

export function registerCreate(program: Command, terminal: Terminal): void {
  const bytes = argument(parseBytes);
  const count = argument(parseCount);
  withJson(
    withDataDir(
      program
        .command('create')
        .description('create a cache and wait until it serves')
        .argument(
          '[name]',
          'letters, digits and single hyphens, at most 40; may stand in the file instead',
        )
        .option('-f, --file <spec.json>', 'specification as JSON; options given beside it win')
        .option('--print-spec', 'print the whole specification as JSON, and make nothing')
        .option(
          '--engine-version <line>',
          `Valkey ${ENGINE_LINES.join(', ')} (default: ${ENGINE_LINES[0]})`,
          oneOf(ENGINE_LINES),
        )
        .option(
          '--sharding <on|off>',
          'on: spread over shards; off: one plain server (default: on)',
          oneOf(['on', 'off']),
        )
        .option(
          '--shards <count>',
          'shards to begin with, and never fewer (default: 3)',
          integer(1, 500),
        )
        .option(
          '--shards-max <count>',
          'shards that load or data may make of it (default: as many as the hosts hold)',
          integer(0, 500),
        )
        .option('--replicas <count>', 'replicas of each shard (default: 0)', integer(0, 5))
        .option('-p, --port <port>', 'port of the endpoint (default: auto)', port)
        .option('--reader-port <port>', 'port of the reader endpoint (default: the next one)', port)
        .option('--bind <address>', 'address to listen on (default: 127.0.0.1)')
        .option(
          '--announce-host <host>',
          'host shown to cluster-aware clients (default: the address)',
        )
        .option('--insecure', 'allow an address that is not loopback without TLS and users')
        .option('--tls <mode>', `${TLS_MODES.join(', ')} (default: off)`, oneOf(TLS_MODES))
        .option('--tls-cert <file>', 'certificate chain, PEM (default: a development certificate)')
        .option('--tls-key <file>', 'its private key, PEM')
        .option(
          '--memory-max <size>',
          'limit of data, e.g. 512mb or 2gb, at least 16mb a shard (default: none)',
          bytes,
        )
        .option('--memory-min <size>', 'data to be ready for (default: none)', bytes)
        .option(
          '--ecpu-max <count>',
          'limit of ECPU per second, e.g. 5000 or 10k; above it requests wait (default: none)',
          count,
        )
        .option('--ecpu-min <count>', 'ECPU per second to be ready for (default: none)', count)
        .option('--connections-max <count>', 'limit of client connections (default: 65000)', count)
        .option(
          '--deadline <duration>',
          'how long a request may be held while shards fail over or move (default: 5s)',
          argument(parseDurationMs),
        )
        .option(
          '--near-cache <on|off>',
          'on: proxies answer reads of hot keys themselves, at most 100 ms behind (default: off)',
          oneOf(['on', 'off']),
        )
        .option('--databases <count>', 'databases for SELECT (default: 16)', integer(1, 10_000))
        .addOption(
          new Option(
            '-u, --user <name:rules>',
            "a user and its ACL rules, e.g. 'app:~app:* +@all'; may be repeated",
          ).argParser((text, users: NewUser[] = []) => [...users, argument(parseUserOption)(text)]),
        )
        .option(
          '--password-file <file>',
          "the users' passwords, one a line, in their order; - is standard input (default: asked)",
        ),
    ),
  )
    .addHelpText(
      'after',
      `\nThe keys of a specification, with their units and bounds: ${REFERENCE}`,
    )
    .action((name: string | undefined, options: CreateOptions) => create(name, options, terminal));
}

/** `cache NAME` when one of ours has the port. */
function cacheWithPort(caches: readonly CacheStatus[], port: number): string | undefined {
  const owner = caches.find((cache) =>
    [cache.endpoint, cache.readerEndpoint].some(
      (endpoint) => splitEndpoint(endpoint).port === port,
    ),
  );
  return owner && `cache ${owner.spec.name}`;
}

async function create(
  name: string | undefined,
  options: CreateOptions,
  terminal: Terminal,
): Promise<void> {
  if (name === undefined && options.file === undefined)
    throw new CliError('USAGE', 'A cache needs a name.', {
      hint: `${terminal.program} create NAME`,
    });
  const spec = specInput(name, options, process.cwd());
  if (options.printSpec) {
    const read = readSpec(spec);
    if ('spec' in read) terminal.out(JSON.stringify(read.spec, null, 2));
    return;
  }
  const client = clientOf(options, terminal);
  const plain = options.json === true;
  const interruption = new AbortController();
  process.once('SIGINT', () => interruption.abort());

  // Asked first: nobody likes a question after a minute's wait, nor a cache without its users.
  const before = await client.call<SystemStatus>('GET', '/v1/status');
  if (before.caches.some((cache) => cache.spec.name === spec.name.toLowerCase()))
    throw new CliError('CONFLICT', `A cache named ${spec.name} exists already.`, {
      hint: `Look at it: ${terminal.program} status ${spec.name}${dataDirSuffix(options)}`,
    });
  await requireFreePorts(
    { port: spec.port ?? 0, readerPort: spec.readerPort || (spec.port ? spec.port + 1 : 0) },
    spec.bind ?? '127.0.0.1',
    'Choose another one with --port, or let one be chosen with --port auto.',
    (wanted) => cacheWithPort(before.caches, wanted),
  );
  const addUsers = await createUsers(options.user ?? [], options.passwordFile, terminal);
  await ensureEngine(
    client,
    spec.engineVersion ?? ENGINE_LINES[0],
    terminal,
    interruption.signal,
    plain,
  );
  await runStep(
    terminal,
    `Cache ${spec.name}: creating`,
    async (report) => {
      try {
        await followProgress(
          client.stream('POST', '/v1/caches', { body: spec, signal: interruption.signal }),
          report,
        );
      } catch (error) {
        if (!interruption.signal.aborted) throw error;
        throw new CliError(
          'INTERRUPTED',
          `Not waiting any longer; the daemon goes on creating ${spec.name}.`,
          {
            hint: `Follow it: ${terminal.program} status ${spec.name}${dataDirSuffix(options)}`,
          },
        );
      }
      try {
        await addUsers(client, spec.name, report);
      } catch (error) {
        if (!(error instanceof CliError)) throw error;
        const [user, remove] = ['user create', 'delete'].map(
          (command) => `${terminal.program} ${command} ${spec.name}${dataDirSuffix(options)}`,
        );
        throw new CliError(error.code, error.message, {
          hint: `The cache is there, its users are not all. Go on with: ${user} USER --rules RULES, or start over: ${remove}`,
          cause: error,
        });
      }
      return `Cache ${spec.name} is available`;
    },
    plain,
  );
  const status = await client.call<SystemStatus>('GET', '/v1/status');
  const cache = status.caches.find((candidate) => candidate.spec.name === spec.name.toLowerCase());
  if (!cache)
    throw new CliError(
      'NOT_FOUND',
      `Cache ${spec.name} was made, and deleted again by somebody else.`,
    );
  if (options.json) return terminal.out(JSON.stringify(cache, null, 2));
  terminal.out('');
  const context = {
    dataDirSuffix: dataDirSuffix(options),
    caFile: caFileOf(status.dataDir, cache.spec),
  };
  const guide = connectGuide(cache, status, terminal, context);
  terminal.out(formatFields(guide, (text) => terminal.paint('dim', text)).join('\n'));
  const users = await client.call<UserStatus[]>('GET', `/v1/caches/${spec.name}/users`);
  if (!users.some((user) => user.enabled))
    terminal.out(
      `\nNobody can log in yet. Let somebody: ${terminal.program} user create ${spec.name} USER --rules RULES${dataDirSuffix(options)}`,
    );
}
