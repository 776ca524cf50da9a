/**
 * From options and a specification file to the CacheSpecInput that is sent. Options win over the file; both are checked
 * here with the model's own schema, so that a mistake is told with the name the user knows it by.
 */
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import type { z } from 'zod';
import { messageOf } from '../lib/errors.ts';
import {
  cacheSpecSchema,
  type CacheSpecInput,
  type EngineLine,
  type TlsMode,
} from '../model/cache-spec.ts';
import { CliError } from './cli-error.ts';

/** The options of `create`, named as commander names them. */
export interface SpecOptions {
  readonly file?: string;
  readonly engineVersion?: EngineLine;
  readonly sharding?: 'on' | 'off';
  readonly shards?: number;
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
  const limits = present({
    memoryMinimumBytes: options.memoryMin,
    memoryMaximumBytes: options.memoryMax,
    ecpuPerSecondMinimum: options.ecpuMin,
    ecpuPerSecondMaximum: options.ecpuMax,
    connectionsMaximum: options.connectionsMax,
  });
  const unsharded = (options.sharding ?? (file['sharding'] === false ? 'off' : 'on')) === 'off';
  const input: SpecFields = {
    // An unsharded cache is one shard: asking for `--sharding off` should not need `--shards 1` too.
    ...(unsharded ? { shards: 1 } : {}),
    ...file,
    ...present({
      name,
      engineVersion: options.engineVersion,
      sharding: options.sharding === undefined ? undefined : options.sharding === 'on',
      shards: options.shards,
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
      databases: options.databases,
    }),
    limits: { ...(file['limits'] as SpecFields | undefined), ...limits },
  };
  const checked = cacheSpecSchema.safeParse(input);
  if (!checked.success) throw usageErrorOf(checked.error, options.file);
  checkCombinations(checked.data);
  return input as unknown as CacheSpecInput;
}

function checkCombinations(spec: z.output<typeof cacheSpecSchema>): void {
  if (!spec.sharding && spec.shards !== 1)
    throw new CliError('USAGE', `A cache with --sharding off has one shard, not ${spec.shards}.`, {
      hint: 'Leave out --shards, or use --sharding on.',
    });
  if ((spec.tlsCertFile === undefined) !== (spec.tlsKeyFile === undefined))
    throw new CliError('USAGE', 'A certificate needs its key: give both --tls-cert and --tls-key.');
  if (spec.tlsCertFile !== undefined && spec.tls === 'off')
    throw new CliError('USAGE', 'A certificate was given, but TLS is off.', {
      hint: 'Add --tls required, or --tls preferred for one port that takes both.',
    });
  for (const [what, minimum, maximum] of [
    ['memory', spec.limits.memoryMinimumBytes, spec.limits.memoryMaximumBytes],
    ['ECPU', spec.limits.ecpuPerSecondMinimum, spec.limits.ecpuPerSecondMaximum],
  ] as const)
    if (maximum > 0 && minimum > maximum)
      throw new CliError(
        'USAGE',
        `The minimum of ${what} (${minimum}) is above its maximum (${maximum}).`,
      );
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
  return value as SpecFields;
}

const OPTION_OF_FIELD: Readonly<Record<string, string>> = {
  name: 'NAME',
  engineVersion: '--engine-version',
  sharding: '--sharding',
  shards: '--shards',
  replicas: '--replicas',
  port: '--port',
  readerPort: '--reader-port',
  bind: '--bind',
  tls: '--tls',
  deadlineMs: '--deadline',
  databases: '--databases',
  'limits.memoryMinimumBytes': '--memory-min',
  'limits.memoryMaximumBytes': '--memory-max',
  'limits.ecpuPerSecondMinimum': '--ecpu-min',
  'limits.ecpuPerSecondMaximum': '--ecpu-max',
  'limits.connectionsMaximum': '--connections-max',
};

function usageErrorOf(error: z.ZodError, file: string | undefined): CliError {
  const issues = error.issues.map((issue) => {
    const field = issue.path.join('.');
    const option = OPTION_OF_FIELD[field];
    const where =
      file === undefined ? (option ?? field) : option && field ? `${field} (${option})` : field;
    return where === '' ? issue.message : `${where}: ${issue.message}`;
  });
  return new CliError('USAGE', `The specification is wrong: ${issues.join('; ')}.`, {
    ...(file === undefined ? {} : { hint: `It was read from ${file}.` }),
    cause: error,
  });
}

/** Without the fields that are undefined. */
function present(fields: SpecFields): SpecFields {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));
}
