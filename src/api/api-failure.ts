/** How what went wrong inside is told outside: an HTTP status and an ApiFailure, never a stack or an unknown message. */
import { CONTROL_ERROR_STATUS, isControlError } from '../control/control-error.ts';
import { SpringtideError } from '../lib/errors.ts';
import type { ApiFailure } from '../model/admin-api.ts';

export interface Failure {
  readonly status: number;
  readonly body: ApiFailure;
}

/** What the one who asks can put right: name another engine, or install this one. */
const CALLERS_PART: ReadonlySet<string> = new Set([
  'ENGINE_VERSION_UNSUPPORTED',
  'ENGINE_NOT_INSTALLED',
  'ENGINE_BINARY_UNUSABLE',
]);

/** The machine has no room; what is there goes on. */
const FULL: ReadonlySet<string> = new Set(['STORE_UNWRITABLE', 'NODE_DIRECTORY_UNUSABLE']);

export function failureOf(error: unknown): Failure {
  if (isControlError(error)) {
    const { code, message } = error;
    return { status: CONTROL_ERROR_STATUS[code], body: { code, message } };
  }
  // Raised on purpose elsewhere (engine installation, a node's start): its sentence is for users, its code is stable.
  if (error instanceof SpringtideError) {
    const status = CALLERS_PART.has(error.code) ? 400 : FULL.has(error.code) ? 507 : 500;
    return { status, body: { code: error.code, message: error.message } };
  }
  // Fastify's own refusals: a body that is no JSON, or too large.
  const status = (error as { statusCode?: unknown }).statusCode;
  if (typeof status === 'number' && status >= 400 && status < 500) {
    return {
      status,
      body: { code: 'InvalidParameterValue', message: (error as Error).message },
    };
  }
  return {
    status: 500,
    body: { code: 'InternalFailure', message: 'an internal error; the daemon log has the details' },
  };
}
