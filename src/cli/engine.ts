/** `springtide engine list|install|remove`: through the daemon where one runs (it knows what is in use), else by itself. */
import type { Command } from 'commander';
import { installLocalEngine, localEngines, removeLocalEngine } from '../daemon/local-engines.ts';
import type { EngineStatus } from '../model/admin-api.ts';
import { DEFAULT_ENGINE_LINE, ENGINE_LINES } from '../model/cache-spec.ts';
import { CliError } from './cli-error.ts';
import { clientOf, oneOf, withDataDir, withJson, type DataDirOption } from './command-options.ts';
import { followProgress, runStep } from './progress-view.ts';
import { formatTable } from './table.ts';
import type { Terminal } from './terminal.ts';

interface EngineOptions extends DataDirOption {
  readonly json?: boolean;
  readonly engineDir?: string;
}

interface RemoveOptions extends EngineOptions {
  readonly force?: boolean;
}

const SOURCE_WORDS: Readonly<Record<string, string>> = {
  path: 'on the PATH',
  option: 'given by you',
};

export function registerEngine(program: Command, terminal: Terminal): void {
  const engine = program.command('engine').description('the Valkey versions that caches can run');
  const line = oneOf(ENGINE_LINES);

  withEngineDir(
    engine
      .command('list')
      .alias('ls')
      .description('versions, where they come from, which are in use'),
  ).action(async (options: EngineOptions) => {
    const engines = await currentEngines(options, terminal, { users: true });
    if (options.json) return terminal.out(JSON.stringify(engines, null, 2));
    terminal.out(engineTable(engines, terminal).join('\n'));
  });

  withEngineDir(
    engine
      .command('install')
      .description("install a version from Debian's archive, without root; signatures are checked")
      .argument('[line]', ENGINE_LINES.join(', '), line, DEFAULT_ENGINE_LINE),
  ).action((wanted: string, options: EngineOptions) => install(wanted, options, terminal));

  withEngineDir(
    engine
      .command('remove')
      .alias('rm')
      .description('remove an installed version that no cache uses')
      .argument('<line>', ENGINE_LINES.join(', '), line)
      .option('--force', 'also when caches that are stopped need it'),
  ).action((wanted: string, options: RemoveOptions) => remove(wanted, options, terminal));
}

function withEngineDir(command: Command): Command {
  return withJson(
    withDataDir(
      command.option('--engine-dir <dir>', 'where engines are installed, when no daemon runs'),
    ),
  );
}

/** @param users whether a state that cannot be read is an error, for nobody could say who needs an engine */
async function currentEngines(
  options: EngineOptions,
  terminal: Terminal,
  { users }: { readonly users: boolean },
): Promise<readonly EngineStatus[]> {
  const client = clientOf(options, terminal);
  if (await client.statusOrNull()) return client.call<EngineStatus[]>('GET', '/v1/engines');
  return localEngines(
    options.engineDir === undefined ? {} : { engineDir: options.engineDir },
    users ? client.dataDir : undefined,
  );
}

async function install(wanted: string, options: EngineOptions, terminal: Terminal): Promise<void> {
  const client = clientOf(options, terminal);
  const present = (await currentEngines(options, terminal, { users: false })).find(
    (engine) => engine.line === wanted && engine.installed,
  );
  const interruption = new AbortController();
  process.once('SIGINT', () => interruption.abort());
  if (!present)
    await runStep(
      terminal,
      `Valkey ${wanted}: installing`,
      async (report) => {
        const { signal } = interruption;
        if (await client.statusOrNull())
          await followProgress(client.stream('POST', `/v1/engines/${wanted}`, { signal }), report);
        else
          await installLocalEngine(
            wanted,
            (fraction, text) => report(text, fraction),
            signal,
            options.engineDir,
          );
        return `Valkey ${wanted} is installed`;
      },
      options.json === true,
    );
  const engine = (await currentEngines(options, terminal, { users: false })).find(
    (candidate) => candidate.line === wanted,
  );
  if (options.json) return terminal.out(JSON.stringify(engine ?? null, null, 2));
  if (engine)
    terminal.out(
      `Valkey ${engine.version ?? wanted} is ${present ? 'already here' : 'ready'} (${sourceWords(engine)}).`,
    );
}

async function remove(wanted: string, options: RemoveOptions, terminal: Terminal): Promise<void> {
  const client = clientOf(options, terminal);
  const engine = (await currentEngines(options, terminal, { users: !options.force })).find(
    (candidate) => candidate.line === wanted,
  );
  if (!engine?.installed) throw new CliError('NOT_FOUND', `Valkey ${wanted} is not installed.`);
  const running = (await client.statusOrNull()) !== null;
  const caches = engine.usedBy.join(', ');
  if (caches !== '' && running)
    throw new CliError('CONFLICT', `Valkey ${wanted} is used by ${caches}.`, {
      hint: 'Delete these caches first.',
    });
  if (caches !== '' && !options.force)
    throw new CliError(
      'CONFLICT',
      `Valkey ${wanted} is what ${caches} will start with again; no daemon runs on ${client.dataDir} now.`,
      {
        hint: `Delete these caches first, or add --force and install it again before the next "up".`,
      },
    );
  if (Object.hasOwn(SOURCE_WORDS, engine.source))
    throw new CliError(
      'CONFLICT',
      `Valkey ${wanted} is ${SOURCE_WORDS[engine.source]}; Springtide did not install it.`,
    );
  if (running) await client.call<void>('DELETE', `/v1/engines/${wanted}`);
  else await removeLocalEngine(wanted, options.engineDir);
  if (options.json) terminal.out(JSON.stringify({ removed: wanted }));
  else terminal.out(`Valkey ${wanted} is removed.`);
}

function engineTable(engines: readonly EngineStatus[], terminal: Terminal): string[] {
  return formatTable(
    [
      { title: 'ENGINE' },
      { title: 'LINE' },
      { title: 'VERSION' },
      { title: 'FROM' },
      { title: 'USED BY' },
    ],
    engines.map((engine) => [
      engine.engine,
      engine.line === DEFAULT_ENGINE_LINE ? `${engine.line} (default)` : engine.line,
      engine.installed ? (engine.version ?? 'unknown') : terminal.paint('dim', 'not installed'),
      sourceWords(engine),
      engine.usedBy.length === 0 ? '-' : engine.usedBy.join(', '),
    ]),
    (text) => terminal.paint('bold', text),
  );
}

function sourceWords(engine: EngineStatus): string {
  return SOURCE_WORDS[engine.source] ?? `Debian ${engine.source}`;
}
