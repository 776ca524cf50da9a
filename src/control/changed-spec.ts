/** From a specification and what somebody wants changed in it to the new one, or to why not. */
import { z } from 'zod';
import { cacheLimitsSchema, cacheSpecSchema, type CacheSpec } from '../model/cache-spec.ts';
import { checkSpec } from './admit-cache.ts';
import { ControlError } from './control-error.ts';

const CHANGEABLE = {
  shards: true,
  shardsMaximum: true,
  replicas: true,
  deadlineMs: true,
  nearCache: true,
} as const;

/** A CacheChange as it comes in. Values are checked by the specification's own rules afterwards. */
const changeSchema = z.strictObject({
  ...Object.fromEntries(Object.keys(CHANGEABLE).map((key) => [key, z.unknown().optional()])),
  limits: z.record(z.string(), z.unknown()).optional(),
});

/** What is other in `now`, for people: `shards 3 to 4, limits.ecpuPerSecondMinimum 0 to 5000`. Empty: nothing. */
export function changeWords(before: CacheSpec, now: CacheSpec): string {
  const limits = Object.keys(before.limits) as (keyof CacheSpec['limits'])[];
  return [
    ...(Object.keys(CHANGEABLE) as (keyof typeof CHANGEABLE)[]).map(
      (key) => [key, before[key], now[key]] as const,
    ),
    ...limits.map((key) => [`limits.${key}`, before.limits[key], now.limits[key]] as const),
  ]
    .filter(([, was, is]) => was !== is)
    .map(([key, was, is]) => `${key} ${was} to ${is}`)
    .join(', ');
}

/** @throws ControlError InvalidParameterValue, InvalidParameterCombination */
export function changedSpec(spec: CacheSpec, input: unknown): CacheSpec {
  const parsed = changeSchema.safeParse(input);
  if (!parsed.success) {
    const unknown = parsed.error.issues.flatMap((issue) =>
      issue.code === 'unrecognized_keys' ? issue.keys : [],
    );
    const [key] = unknown;
    throw new ControlError(
      'InvalidParameterValue',
      key !== undefined && key in cacheSpecSchema.shape
        ? `${key} cannot be changed while a cache runs; ${Object.keys(CHANGEABLE).join(', ')} and limits can`
        : `there is no ${key ?? 'such thing'} to be changed in a cache`,
    );
  }
  const { limits, ...fields } = parsed.data;
  if (limits === undefined && Object.keys(fields).length === 0) {
    throw new ControlError('InvalidParameterCombination', 'nothing was given that should change');
  }
  for (const key of Object.keys(limits ?? {})) {
    if (!(key in cacheLimitsSchema.unwrap().shape)) {
      throw new ControlError('InvalidParameterValue', `there is no limits.${key}`);
    }
  }
  return checkSpec({ ...spec, ...fields, limits: { ...spec.limits, ...limits } });
}
