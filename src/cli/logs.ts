/** `springtide logs`: what the daemon, the proxies and the nodes wrote. Reads the files: no daemon is needed. */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Command } from 'commander';
import { dataDirPaths } from '../model/data-dir.ts';
import { CliError } from './cli-error.ts';
import { dataDirOf, integer, withDataDir, type DataDirOption } from './command-options.ts';
import { LogTail } from './log-tail.ts';
import { readableLogLine } from './log-line.ts';
import type { Terminal } from './terminal.ts';

const POLL_MS = 200;
const DEFAULT_LINES = 100;

interface LogOptions extends DataDirOption {
  readonly follow?: boolean;
  readonly lines: number;
  readonly json?: boolean;
}

interface LogSource {
  readonly name: string;
  readonly file: string;
}

export function registerLogs(program: Command, terminal: Terminal): void {
  withDataDir(
    program
      .command('logs')
      .description('show what the daemon, the proxies or a node wrote')
      .argument('[what]', 'daemon, proxy or node', 'daemon')
      .argument('[id]', 'number of the proxy, or id of the node as "status NAME" shows it')
      .option('-f, --follow', 'go on with what is written from now on')
      .option('-n, --lines <count>', 'last lines of each', integer(0, 1_000_000), DEFAULT_LINES)
      .option('--json', 'lines as they are in the file'),
  ).action(async (what: string, id: string | undefined, options: LogOptions) => {
    const sources = logSources(dataDirOf(options, terminal.env), what, id);
    const print = (source: LogSource, line: string) => {
      const text = options.json ? line : readableLogLine(line, terminal);
      terminal.out(
        sources.length > 1 && !options.json
          ? `${terminal.paint('cyan', source.name)} ${text}`
          : text,
      );
    };
    const tails = sources.map((source) => ({ source, tail: new LogTail(source.file) }));
    for (const { source, tail } of tails)
      for (const line of tail.last(options.lines)) print(source, line);
    while (options.follow) {
      await sleep(POLL_MS);
      for (const { source, tail } of tails) for (const line of tail.next()) print(source, line);
    }
  });
}

/** The files that `what` and `id` name. Throws NOT_FOUND with what there is. */
function logSources(dataDir: string, what: string, id: string | undefined): LogSource[] {
  const paths = dataDirPaths(dataDir);
  if (what === 'node') {
    const known = namesIn(paths.nodes);
    const wanted = id === undefined ? known : known.filter((name) => name === id);
    if (wanted.length === 0)
      throw new CliError(
        'NOT_FOUND',
        id === undefined
          ? `No node has run in ${dataDir}.`
          : `There is no node ${id} in ${dataDir}.`,
        known.length > 0 ? { hint: `There are: ${known.join(', ')}` } : {},
      );
    return wanted.map((name) => ({ name, file: join(paths.nodes, name, 'valkey.log') }));
  }
  if (what !== 'daemon' && what !== 'proxy')
    throw new CliError('USAGE', `"${what}" has no log; there are daemon, proxy and node.`);
  const pattern = what === 'daemon' ? /^daemon\.log$/ : /^proxy-(\d+)\.log$/;
  const files = namesIn(paths.logs).filter((name) => {
    const match = pattern.exec(name);
    return match !== null && (id === undefined || what === 'daemon' || match[1] === id);
  });
  if (files.length === 0)
    throw new CliError(
      'NOT_FOUND',
      `There is no log of ${what}${id === undefined ? '' : ` ${id}`} in ${paths.logs}.`,
    );
  return files.map((name) => ({ name: name.replace('.log', ''), file: join(paths.logs, name) }));
}

function namesIn(directory: string): string[] {
  return existsSync(directory) ? readdirSync(directory).sort() : [];
}
