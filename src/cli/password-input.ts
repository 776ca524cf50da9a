/**
 * Where passwords come from: a file, standard input, or the terminal without echo. Never the command line, which every
 * user of a machine can read.
 */
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline/promises';
import { Writable } from 'node:stream';
import { messageOf } from '../lib/errors.ts';
import { CliError } from './cli-error.ts';
import type { Terminal } from './terminal.ts';

/** The lines of `file` (`-`: standard input), the empty ones left out. */
export function readPasswordLines(file: string): string[] {
  let text: string;
  try {
    text = readFileSync(file === '-' ? 0 : file, 'utf8');
  } catch (error) {
    throw new CliError('USAGE', `Cannot read the passwords from ${file} (${messageOf(error)}).`, {
      cause: error,
    });
  }
  return text.split(/\r?\n/).filter((line) => line !== '');
}

/** Asks for a password without echo; twice, unless one that exists is asked for. */
export async function askPassword(
  question: string,
  terminal: Terminal,
  { again = true }: { again?: boolean } = {},
): Promise<string> {
  if (!terminal.canAsk)
    throw new CliError('USAGE', 'A password is needed, and there is no terminal to ask on.', {
      hint: 'Give it with --password-file FILE, or on standard input with --password-file -.',
    });
  const password = await askHidden(`${question}: `);
  if (password === '') throw new CliError('USAGE', 'A password must not be empty.');
  if (again && (await askHidden('Again: ')) !== password)
    throw new CliError('USAGE', 'The two passwords differ.');
  return password;
}

/** A question to be answered in the open. */
export async function ask(question: string): Promise<string> {
  const lines = createInterface({ input: process.stdin, output: process.stderr });
  try {
    return await answerOf(lines, question);
  } finally {
    lines.close();
  }
}

async function askHidden(question: string): Promise<string> {
  process.stderr.write(question);
  // readline in terminal mode turns the terminal's own echo off and writes what is typed here, where it is dropped.
  const nowhere = new Writable({ write: (_chunk, _encoding, done) => done() });
  const lines = createInterface({ input: process.stdin, output: nowhere, terminal: true });
  try {
    return await answerOf(lines, '');
  } finally {
    lines.close();
    process.stderr.write('\n');
  }
}

async function answerOf(
  lines: ReturnType<typeof createInterface>,
  question: string,
): Promise<string> {
  const gone = new AbortController();
  lines.once('SIGINT', () => gone.abort());
  lines.once('close', () => gone.abort());
  try {
    return await lines.question(question, { signal: gone.signal });
  } catch (error) {
    throw new CliError('INTERRUPTED', 'Nothing was changed.', { cause: error });
  }
}
