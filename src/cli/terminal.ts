/**
 * Where a command writes: data to standard output, progress and errors to standard error, colour only on a terminal and
 * never with NO_COLOR (https://no-color.org). Commands get it as an argument, so tests can read what they wrote.
 */
import { styleText } from 'node:util';

export type Style = 'bold' | 'dim' | 'red' | 'green' | 'yellow' | 'cyan';

export interface Terminal {
  /** One or more lines to standard output. */
  out(text: string): void;
  /** One or more lines to standard error. */
  err(text: string): void;
  /** Standard output as it is, without a newline (live views). */
  write(text: string): void;
  /** Colours `text`, or leaves it where colour is off. */
  paint(style: Style, text: string): string;
  /** Whether a person watches standard output. */
  readonly interactive: boolean;
  /** Whether a person can be asked. */
  readonly canAsk: boolean;
  readonly columns: number;
  readonly rows: number;
  /** How the user calls this program, for hints that can be pasted. */
  readonly program: string;
  readonly env: NodeJS.ProcessEnv;
}

/** The terminal of this process. */
export function processTerminal(env: NodeJS.ProcessEnv = process.env): Terminal {
  const interactive = process.stdout.isTTY === true;
  const colour = interactive && !env['NO_COLOR'] && env['TERM'] !== 'dumb';
  return {
    out: (text) => void process.stdout.write(`${text}\n`),
    err: (text) => void process.stderr.write(`${text}\n`),
    write: (text) => void process.stdout.write(text),
    paint: (style, text) => (colour ? styleText(style, text, { validateStream: false }) : text),
    interactive,
    canAsk: process.stdin.isTTY === true && process.stderr.isTTY === true,
    get columns() {
      return process.stdout.columns ?? 100;
    },
    get rows() {
      return process.stdout.rows ?? 40;
    },
    program: env['SPRINGTIDE_PROGRAM'] ?? 'bin/springtide',
    env,
  };
}
