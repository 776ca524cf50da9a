/**
 * From what somebody wrote to a CacheSpec, or to all that is wrong with it in words. The command line and the daemon
 * both read here, so that they refuse the same things with the same sentences. The schema says what a specification
 * looks like; the rules here say what may be asked for today, and are not put to what is stored already.
 */
import type { z } from 'zod';
import { formatBytes } from '../lib/human-units.ts';
import { cacheSpecSchema, type CacheSpec } from './cache-spec.ts';

const MIB = 1024 ** 2;
const GIB = 1024 ** 3;

/**
 * What may be asked for, beyond the schema's own bounds. The largest are AWS's (5,000 GiB and 15,000,000 ECPU a second
 * for a cache, 1,000 ECPU a second at least; ElastiCache reference, section 1). AWS's smallest memory is 1 GB; here it
 * is what an engine can work in: an empty node has 1 to 3 MiB in use, and a quarter goes to the replication backlog.
 */
export const SPEC_BOUNDS = {
  memoryPerShardMinimumBytes: 16 * MIB,
  memoryMaximumBytes: 5_000 * GIB,
  ecpuPerSecondMinimum: 1_000,
  ecpuPerSecondMaximum: 15_000_000,
  connectionsMaximum: 1_000_000,
} as const;

export interface SpecProblem {
  /** Dotted, e.g. `limits.memoryMaximumBytes`; empty: the specification as a whole. */
  readonly field: string;
  /** `value`: wrong by itself. `combination`: contradicts another field. */
  readonly kind: 'value' | 'combination';
  /** What is wrong, without the field's name and without a full stop. */
  readonly message: string;
}

export type ReadSpec =
  | { readonly spec: CacheSpec }
  | { readonly problems: readonly [SpecProblem, ...SpecProblem[]] };

/** @param input a CacheSpecInput, unchecked */
export function readSpec(input: unknown): ReadSpec {
  const parsed = cacheSpecSchema.safeParse(input, { error: sentenceOf });
  const problems = parsed.success
    ? problemsOf(parsed.data)
    : parsed.error.issues.map((issue): SpecProblem => ({
        field: issue.path.join('.'),
        kind: 'value',
        message: issue.message,
      }));
  const [first, ...more] = problems;
  if (first !== undefined) return { problems: [first, ...more] };
  const spec = parsed.data!;
  // The default of `shards` belongs to sharded caches.
  return { spec: spec.sharding || isWritten(input, 'shards') ? spec : { ...spec, shards: 1 } };

  function problemsOf(spec: CacheSpec): SpecProblem[] {
    const shardsWritten = isWritten(input, 'shards');
    return [
      ...(!spec.sharding && shardsWritten && spec.shards !== 1
        ? [
            combination(
              'shards',
              `a cache without sharding has one shard, not ${spec.shards}: leave it out, or turn sharding on`,
            ),
          ]
        : []),
      ...shardProblems(spec),
      ...hostProblems(spec),
      ...portProblems(spec),
      ...certificateProblems(spec),
      ...memoryProblems(spec.limits, spec.sharding ? spec.shards : 1),
      ...ecpuProblems(spec.limits),
      ...sizeProblems(spec.limits),
    ];
  }
}

function isWritten(input: unknown, field: string): boolean {
  return (input as Readonly<Record<string, unknown>>)[field] !== undefined;
}

function value(field: string, message: string): SpecProblem {
  return { field, kind: 'value', message };
}

function combination(field: string, message: string): SpecProblem {
  return { field, kind: 'combination', message };
}

/** Whether an address is this machine's is found out where it is listened on; here, whether it can be one at all. */
function hostProblems(spec: CacheSpec): SpecProblem[] {
  return (['bind', 'announceHost'] as const).flatMap((field) => {
    const host = spec[field];
    if (host === undefined || /^[A-Za-z0-9._:%-]{1,253}$/.test(host)) return [];
    return [value(field, `${quote(host)} is neither a host name nor an address`)];
  });
}

function portProblems({ port, readerPort }: CacheSpec): SpecProblem[] {
  if (port !== 0 && port === readerPort)
    return [combination('readerPort', `${readerPort} is the port of the endpoint already`)];
  if (port === 65_535 && readerPort === 0)
    return [
      combination(
        'readerPort',
        'the port after 65535 is none: choose one for the reader endpoint, or a lower port',
      ),
    ];
  return [];
}

function shardProblems({ sharding, shards, shardsMaximum }: CacheSpec): SpecProblem[] {
  if (shardsMaximum === 0) return [];
  if (!sharding)
    return shardsMaximum === 1
      ? []
      : [combination('shardsMaximum', 'a cache without sharding has one shard: leave it out')];
  return shardsMaximum < shards
    ? [
        combination(
          'shardsMaximum',
          `${shardsMaximum} is below shards, ${shards}, which it never has fewer of`,
        ),
      ]
    : [];
}

function certificateProblems({ tls, tlsCertFile, tlsKeyFile }: CacheSpec): SpecProblem[] {
  if ((tlsCertFile === undefined) !== (tlsKeyFile === undefined)) {
    const [missing, given] =
      tlsCertFile === undefined ? ['tlsCertFile', 'key'] : ['tlsKeyFile', 'certificate'];
    return [
      combination(
        missing,
        `a ${given} was given without its ${given === 'key' ? 'certificate' : 'key'}: both are needed`,
      ),
    ];
  }
  if (tlsCertFile !== undefined && tls === 'off')
    return [
      combination('tls', 'a certificate was given, but TLS is off: say preferred, or required'),
    ];
  return [];
}

type Limits = CacheSpec['limits'];

function memoryProblems(limits: Limits, shards: number): SpecProblem[] {
  const { memoryPerShardMinimumBytes: perShard, memoryMaximumBytes: largest } = SPEC_BOUNDS;
  const { memoryMinimumBytes: minimum, memoryMaximumBytes: maximum } = limits;
  const problems: SpecProblem[] = [];
  for (const field of ['memoryMinimumBytes', 'memoryMaximumBytes'] as const) {
    const bytes = limits[field];
    if (bytes > largest)
      problems.push(value(`limits.${field}`, `${size(bytes)} is above the most, ${size(largest)}`));
    else if (bytes !== 0 && bytes < perShard)
      problems.push(
        value(
          `limits.${field}`,
          `${size(bytes)} is below the least, ${size(perShard)} (or 0: not set)`,
        ),
      );
  }
  if (problems.length > 0 || maximum === 0) return problems;
  if (maximum < shards * perShard)
    return [
      combination(
        'limits.memoryMaximumBytes',
        `${size(maximum)} over ${shards} shards is ${size(Math.floor(maximum / shards))} each, below the least, ${size(perShard)}: ask for ${size(shards * perShard)} or more, or for fewer shards`,
      ),
    ];
  if (minimum > maximum)
    return [
      combination(
        'limits.memoryMinimumBytes',
        `${size(minimum)} is above the maximum, ${size(maximum)}`,
      ),
    ];
  return [];
}

function ecpuProblems(limits: Limits): SpecProblem[] {
  const { ecpuPerSecondMinimum: least, ecpuPerSecondMaximum: most } = SPEC_BOUNDS;
  const { ecpuPerSecondMinimum: minimum, ecpuPerSecondMaximum: maximum } = limits;
  const problems: SpecProblem[] = [];
  for (const field of ['ecpuPerSecondMinimum', 'ecpuPerSecondMaximum'] as const) {
    const count = limits[field];
    if (count > most)
      problems.push(value(`limits.${field}`, `${count} is above the most, ${most}`));
    else if (count !== 0 && count < least)
      problems.push(
        value(`limits.${field}`, `${count} is below the least, ${least} (or 0: not set)`),
      );
  }
  if (problems.length === 0 && maximum !== 0 && minimum > maximum)
    problems.push(
      combination('limits.ecpuPerSecondMinimum', `${minimum} is above the maximum, ${maximum}`),
    );
  return problems;
}

/** A limit inside another one that is smaller can never be reached: somebody mistook the one for the other. */
function sizeProblems(limits: Limits): SpecProblem[] {
  const problems: SpecProblem[] = [];
  if (limits.connectionsMaximum > SPEC_BOUNDS.connectionsMaximum)
    problems.push(
      value(
        'limits.connectionsMaximum',
        `${limits.connectionsMaximum} is above the most, ${SPEC_BOUNDS.connectionsMaximum}`,
      ),
    );
  for (const [inner, outer] of [
    ['keyMaximumBytes', 'bulkMaximumBytes'],
    ['bulkMaximumBytes', 'requestMaximumBytes'],
    ['pubsubOutputSoftBytes', 'pubsubOutputHardBytes'],
  ] as const)
    if (limits[inner] > limits[outer])
      problems.push(
        combination(
          `limits.${inner}`,
          `${size(limits[inner])} is above ${outer}, ${size(limits[outer])}`,
        ),
      );
  return problems;
}

/** `3 MB (3145728)`; exact where the short form is: `16 MB`, `5 B`. */
function size(bytes: number): string {
  const short = formatBytes(bytes);
  const [number, unit] = short.split(' ') as [string, string];
  const exact =
    Number(number) * 1024 ** ['B', 'KB', 'MB', 'GB', 'TB', 'PB'].indexOf(unit) === bytes;
  return exact ? short : `${short} (${bytes} bytes)`;
}

/** Zod's issues in words: the value, and what it should be. Undefined: the schema has its own words. */
function sentenceOf(issue: z.core.$ZodRawIssue): string | undefined {
  switch (issue.code) {
    case 'invalid_type':
      if (issue.input === undefined) return 'it is missing';
      return `${quote(issue.input)} is not ${KIND_WORDS[issue.expected] ?? issue.expected}`;
    case 'too_small':
      return `${quantity(issue, issue.input)} is below the least, ${quantity(issue, issue.minimum)}`;
    case 'too_big':
      return `${quantity(issue, issue.input)} is above the most, ${quantity(issue, issue.maximum)}`;
    case 'invalid_value':
      return `${quote(issue.input)} is not ${issue.values.length === 1 ? '' : 'one of '}${issue.values.join(', ')}`;
    case 'unrecognized_keys':
      return `there is no ${issue.keys.map((key) => JSON.stringify(key)).join(', ')} in a specification`;
    default:
      return undefined;
  }
}

const KIND_WORDS: Readonly<Record<string, string>> = {
  int: 'a whole number',
  number: 'a number',
  string: 'text in quotation marks',
  boolean: 'true or false',
  object: 'an object in braces',
};

/** With the unit that the field's name ends in. */
function quantity(issue: z.core.$ZodRawIssue, number: unknown): string {
  const field = String(issue.path?.at(-1) ?? '');
  if (field.endsWith('Bytes')) return size(Number(number));
  if (field.endsWith('Ms')) return `${Number(number)} ms`;
  return field.endsWith('Seconds') ? `${Number(number)} s` : String(number);
}

function quote(input: unknown): string {
  return JSON.stringify(input) ?? String(input);
}
