/** Options that many commands share, and commander's way of saying that a value is wrong. */
import { resolve } from 'node:path';
import { InvalidArgumentError, type Command } from 'commander';
import { defaultDataDir } from '../model/data-dir.ts';
import { ApiClient } from './api-client.ts';
import { shellWord } from './shell-word.ts';
import type { Terminal } from './terminal.ts';

export interface DataDirOption {
  readonly dataDir?: string;
}

/** Adds `--data-dir`. */
export function withDataDir(command: Command): Command {
  return command.option(
    '--data-dir <dir>',
    'data directory (default: $SPRINGTIDE_DATA_DIR, else springtide in your data home)',
  );
}

/** Adds `--json`. */
export function withJson(command: Command): Command {
  return command.option('--json', 'print JSON instead of text');
}

/** The data directory a command works on, absolute. */
export function dataDirOf(options: DataDirOption, env: NodeJS.ProcessEnv): string {
  return resolve(options.dataDir ?? defaultDataDir(env));
}

/** ` --data-dir X` where the user named one, for hints that can be pasted. */
export function dataDirSuffix(options: DataDirOption): string {
  return options.dataDir === undefined ? '' : ` --data-dir ${shellWord(options.dataDir)}`;
}

/** The client of the daemon that these options name. */
export function clientOf(options: DataDirOption, terminal: Terminal): ApiClient {
  return new ApiClient(
    dataDirOf(options, terminal.env),
    `${terminal.program} up --detach${dataDirSuffix(options)}`,
  );
}

/** Turns a parser that throws RangeError into one that commander reports as a usage error. */
export function argument<Value>(parse: (text: string) => Value): (text: string) => Value {
  return (text) => {
    try {
      return parse(text);
    } catch (error) {
      throw error instanceof RangeError ? new InvalidArgumentError(error.message) : error;
    }
  };
}

/** An integer of a range, both ends included. */
export function integer(minimum: number, maximum: number): (text: string) => number {
  return argument((text) => {
    const value = Number(text);
    if (!/^\d+$/.test(text) || value < minimum || value > maximum)
      throw new RangeError(`"${text}" is not a whole number from ${minimum} to ${maximum}`);
    return value;
  });
}

/** A port to listen on; `auto` or 0 chooses a free one. */
export const port = argument((text) => {
  if (text === 'auto') return 0;
  const value = Number(text);
  if (!/^\d+$/.test(text) || value > 65_535)
    throw new RangeError(`"${text}" is not a port (1 to 65535, or auto)`);
  return value;
});

/** One of a few words. */
export function oneOf<Word extends string>(words: readonly Word[]): (text: string) => Word {
  return argument((text) => {
    const word = words.find((candidate) => candidate === text.toLowerCase());
    if (word === undefined) throw new RangeError(`"${text}" is not one of ${words.join(', ')}`);
    return word;
  });
}
