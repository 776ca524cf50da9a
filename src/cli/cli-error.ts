/**
 * Exit codes and the error that carries one. The codes are stable: scripts decide on them, `springtide --help` lists
 * them, and a new meaning gets a new number.
 */
import { SpringtideError } from '../lib/errors.ts';

export const EXIT_CODES = {
  OK: 0,
  FAILED: 1,
  USAGE: 2,
  NOT_FOUND: 3,
  NOT_RUNNING: 4,
  CONFLICT: 5,
  ENGINE_MISSING: 6,
  NETWORK: 7,
  DISK: 8,
  INTERRUPTED: 130,
} as const;

export type CliErrorCode = Exclude<keyof typeof EXIT_CODES, 'OK'>;

/** What `--help` says of each code. */
export const EXIT_CODE_MEANINGS: Readonly<Record<keyof typeof EXIT_CODES, string>> = {
  OK: 'done',
  FAILED: 'failed, for a reason the message gives',
  USAGE: 'the command line or the specification is wrong',
  NOT_FOUND: 'no such cache, user, shard, node, host or engine',
  NOT_RUNNING: 'no daemon runs on this data directory (springtide up)',
  CONFLICT: 'already exists, or in use (a name, a port, an engine)',
  ENGINE_MISSING: 'the engine or one of its tools is not installed',
  NETWORK: 'a download failed',
  DISK: 'no space, or no permission to write',
  INTERRUPTED: 'stopped by Ctrl-C',
};

/** An error that ends the command: one sentence, what to do next, and the exit code. */
export class CliError extends SpringtideError<CliErrorCode> {
  /** What to do next: a sentence or a command; null when there is nothing to add. */
  readonly hint: string | null;

  constructor(
    code: CliErrorCode,
    message: string,
    options: { hint?: string; cause?: unknown } = {},
  ) {
    super(code, message, options.cause === undefined ? {} : { cause: options.cause });
    this.hint = options.hint ?? null;
  }
}
