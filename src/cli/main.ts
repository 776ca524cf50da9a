#!/usr/bin/env node
/** The `springtide` command: declares the subcommands, turns what they throw into one sentence and an exit code. */
import { readFileSync } from 'node:fs';
import { Command, CommanderError } from 'commander';
import { messageOf, SpringtideError } from '../lib/errors.ts';
import { CliError, EXIT_CODE_MEANINGS, EXIT_CODES } from './cli-error.ts';
import { registerBench } from './bench.ts';
import { registerConnect } from './connect.ts';
import { registerCreate } from './create.ts';
import { cliErrorCodeOf } from './exit-code-of.ts';
import { registerDelete } from './delete.ts';
import { registerDoctor } from './doctor.ts';
import { registerDown } from './down.ts';
import { registerEngine } from './engine.ts';
import { registerEvents } from './events.ts';
import { registerExplain } from './explain.ts';
import { registerFailover } from './failover.ts';
import { registerHeat } from './heat.ts';
import { registerHost } from './host.ts';
import { registerList } from './list.ts';
import { registerLogs } from './logs.ts';
import { asSentence } from './sentence.ts';
import { registerModify } from './modify.ts';
import { registerReplace } from './replace.ts';
import { registerRestart } from './restart.ts';
import { registerStatus } from './status.ts';
import { processTerminal, type Terminal } from './terminal.ts';
import { registerUp } from './up.ts';
import { registerUpgrade } from './upgrade.ts';
import { registerUser } from './user.ts';

/** In the order in which help shows them. */
const COMMANDS = [
  registerUp,
  registerDown,
  registerCreate,
  registerList,
  registerStatus,
  registerHeat,
  registerConnect,
  registerModify,
  registerExplain,
  registerDelete,
  registerUser,
  registerFailover,
  registerUpgrade,
  registerReplace,
  registerRestart,
  registerHost,
  registerEvents,
  registerLogs,
  registerEngine,
  registerBench,
  registerDoctor,
];

function buildProgram(terminal: Terminal): Command {
  const { version } = JSON.parse(
    readFileSync(new URL('../../package.json', import.meta.url), 'utf8'),
  ) as { version: string };
  const program = new Command('springtide')
    .description('A self-hosted serverless cache: one endpoint over a fleet of real Valkey nodes.')
    .version(version)
    .exitOverride()
    .configureOutput({
      outputError: (text, write) => write(text.replace(/^error:/, terminal.paint('red', 'Error:'))),
    });
  for (const register of COMMANDS) register(program, terminal);
  nameInHelp(program, terminal.program);
  program.addHelpText(
    'after',
    `\n${exitCodeHelp()}\n\nSPRINGTIDE_DEBUG=1 shows where an error came from.`,
  );
  return program;
}

/** After a mistake each command points to its own help. */
function nameInHelp(command: Command, name: string): void {
  command.showHelpAfterError(`(${name} --help shows how)`);
  for (const each of command.commands) nameInHelp(each, `${name} ${each.name()}`);
}

function exitCodeHelp(): string {
  const lines = Object.entries(EXIT_CODES).map(
    ([name, code]) =>
      `  ${String(code).padStart(3)}  ${EXIT_CODE_MEANINGS[name as keyof typeof EXIT_CODES]}`,
  );
  return ['Exit codes:', ...lines].join('\n');
}

/** Prints an error for a person and returns the exit code for a script. */
function reportError(error: unknown, terminal: Terminal): number {
  if (error instanceof CommanderError)
    return error.exitCode === 0 ? EXIT_CODES.OK : EXIT_CODES.USAGE;
  if (terminal.env['SPRINGTIDE_DEBUG'] && error instanceof Error) console.error(error);
  const label = terminal.paint('red', 'Error:');
  if (!(error instanceof SpringtideError)) {
    terminal.err(
      `${label} ${messageOf(error)} (unexpected: a defect; SPRINGTIDE_DEBUG=1 shows where).`,
    );
    return EXIT_CODES.FAILED;
  }
  terminal.err(`${label} ${asSentence(error.message)}`);
  if (error instanceof CliError && error.hint !== null) terminal.err(error.hint);
  return EXIT_CODES[cliErrorCodeOf(error.code)];
}

const terminal = processTerminal();
// A reader that went away (`springtide list | head -1`) is no error.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(EXIT_CODES.OK);
  throw error;
});
try {
  const program = buildProgram(terminal);
  if (process.argv.length <= 2) {
    program.outputHelp();
    process.exitCode = EXIT_CODES.USAGE;
  } else {
    await program.parseAsync();
  }
} catch (error) {
  process.exitCode = reportError(error, terminal);
}
