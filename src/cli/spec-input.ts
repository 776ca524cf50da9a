/**
 * From options and a specification file to the CacheSpecInput that is sent. Options win over the file; both are checked
 * here with the model's own schema, so that a mistake is told with the name the user knows it by.
 */
import { readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { messageOf } from '../lib/errors.ts';
import type { CacheChange } from '../model/admin-api.ts';
import type { CacheSpec, CacheSpecInput, EngineLine, TlsMode } from '../model/cache-spec.ts';
import { readSpec, type SpecProblem } from '../model/read-spec.ts';
import { CliError } from './cli-error.ts';

/** The options of `create`, named as commander names them. */
export interface SpecOptions {
  readonly file?: string;
  readonly engineVersion?: EngineLine;
  readonly sharding?: 'on' | 'off';
  readonly shards?: number;
  readonly shardsMax?: number;
  readonly replicas?: number;
  readonly port?: number;
  readonly readerPort?: number;
  readonly bind?: string;
  readonly announceHost?: string;
  readonly insecure?: boolean;
  readonly tls?: TlsMode;
  readonly tlsCert?: string;
  readonly tlsKey?: string;
  readonly deadline?: number;
  readonly nearCache?: 'on' | 'off';
  readonly databases?: number;
  readonly memoryMin?: number;
  readonly memoryMax?: number;
  readonly ecpuMin?: number;
  readonly ecpuMax?: number;
  readonly connectionsMax?: number;
}

type SpecFields = Record<string, unknown>;

/**
 * @param name the name from the command line; may be absent when the file has one
 * @param cwd what relative paths in options are relative to
 */
export function specInput(
  name: string | undefined,
  options: SpecOptions,
  cwd: string,
): CacheSpecInput {
  const file = options.file === undefined ? {} : readSpecFile(resolve(cwd, options.file));
  const unsharded = (options.sharding ?? (file['sharding'] === false ? 'off' : 'on')) === 'off';
  const limits = present({
    memoryMinimumBytes: options.memoryMin,
    memoryMaximumBytes: options.memoryMax,
    ecpuPerSecondMinimum: options.ecpuMin,
    ecpuPerSecondMaximum: options.ecpuMax,
    connectionsMaximum: options.connectionsMax,
  });
  const input: SpecFields = {
    // An unsharded cache is one shard: asking for `--sharding off` should not need `--shards 1` too.
    ...(unsharded ? { shards: 1 } : {}),
    ...file,
    ...present({
      name,
      engineVersion: options.engineVersion,
      sharding: options.sharding === undefined ? undefined : options.sharding === 'on',
      shards: options.shards,
      shardsMaximum: options.shardsMax,
      replicas: options.replicas,
      port: options.port,
      readerPort: options.readerPort,
      bind: options.bind,
      announceHost: options.announceHost,
      insecure: options.insecure,
      tls: options.tls,
      tlsCertFile: options.tlsCert === undefined ? undefined : resolve(cwd, options.tlsCert),
      tlsKeyFile: options.tlsKey === undefined ? undefined : resolve(cwd, options.tlsKey),
      deadlineMs: options.deadline,
      nearCache: options.nearCache === undefined ? undefined : options.nearCache === 'on',
      databases: options.databases,
    }),
    ...limitsOf(file['limits'], limits),
  };
  const read = readSpec(input);
  if ('problems' in read) throw usageErrorOf(read.problems, options.file);
  return input as unknown as CacheSpecInput;
}

/** What is no object is left to be refused as it stands. */
function limitsOf(file: unknown, options: SpecFields): { readonly limits?: unknown } {
  if (typeof file === 'object' && file !== null && !Array.isArray(file))
    return { limits: { ...file, ...options } };
  if (file !== undefined) return { limits: file };
  return Object.keys(options).length === 0 ? {} : { limits: options };
}

function readSpecFile(path: string): SpecFields {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    throw new CliError('USAGE', `Cannot read the specification ${path} (${messageOf(error)}).`, {
      cause: error,
    });
  }
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new CliError(
      'USAGE',
      `The specification ${path} is not valid JSON (${messageOf(error)}).`,
      { cause: error },
    );
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new CliError('USAGE', `The specification ${path} is not a JSON object.`);
  return withAbsolutePaths(value as SpecFields, dirname(path));
}

/** Files that a specification names lie where it does: the daemon that reads them may run anywhere. */
function withAbsolutePaths(spec: SpecFields, directory: string): SpecFields {
  const paths = Object.fromEntries(
    ['tlsCertFile', 'tlsKeyFile'].flatMap((field) =>
      typeof spec[field] === 'string' ? [[field, resolve(directory, spec[field])]] : [],
    ),
  );
  return { ...spec, ...paths };
}

const OPTION_OF_FIELD: Readonly<Record<string, string>> = {
  name: 'NAME',
  engineVersion: '--engine-version',
  sharding: '--sharding',
  shards: '--shards',
  shardsMaximum: '--shards-max',
  replicas: '--replicas',
  port: '--port',
  readerPort: '--reader-port',
  bind: '--bind',
  announceHost: '--announce-host',
  insecure: '--insecure',
  tls: '--tls',
  tlsCertFile: '--tls-cert',
  tlsKeyFile: '--tls-key',
  deadlineMs: '--deadline',
  nearCache: '--near-cache',
  databases: '--databases',
  'limits.memoryMinimumBytes': '--memory-min',
  'limits.memoryMaximumBytes': '--memory-max',
  'limits.ecpuPerSecondMinimum': '--ecpu-min',
  'limits.ecpuPerSecondMaximum': '--ecpu-max',
  'limits.connectionsMaximum': '--connections-max',
};

/**
 * A change of a cache put to the rules that its specification must keep, so that what is wrong has the names of options.
 *
 * @throws CliError
 */
export function requireChangeable(spec: CacheSpec, change: CacheChange): void {
  const read = readSpec({ ...spec, ...change, limits: { ...spec.limits, ...change.limits } });
  if ('problems' in read)
    throw new CliError('USAGE', `${sentencesOf(read.problems, undefined).join('; ')}.`);
}

function sentencesOf(problems: readonly SpecProblem[], file: string | undefined): string[] {
  return problems.map(({ field, message }) => {
    const option = OPTION_OF_FIELD[field] ?? field;
    const where = file === undefined || option === field ? option : `${field} (${option})`;
    return where === '' ? message : `${where}: ${message}`;
  });
}

/** The field as its option on the command line, or as the file has it; both where both could be meant. */
function usageErrorOf(problems: readonly SpecProblem[], file: string | undefined): CliError {
  return new CliError(
    'USAGE',
    `The specification is wrong: ${sentencesOf(problems, file).join('; ')}.`,
    file === undefined
      ? {}
      : { hint: `It was read from ${file}; docs/specification.md has all keys.` },
  );
}

/** Without the fields that are undefined. */
function present(fields: SpecFields): SpecFields {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));
}
