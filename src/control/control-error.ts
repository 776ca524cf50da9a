/**
 * What control refuses, under the codes AWS uses for the same refusal (ElastiCache API, botocore's error shapes: the
 * `Fault` suffixes are irregular there and are copied as they are). `PortInUse`, `DiskFull`, `HostNotFound` and
 * `InvalidHostState` are ours: a service without ports, disks and machines of its user has no words for them. The API turns a code into an HTTP status.
 */
import { SpringtideError } from '../lib/errors.ts';

export const CONTROL_ERROR_STATUS = {
  ServerlessCacheNotFoundFault: 404,
  UserNotFound: 404,
  HostNotFound: 404,
  ServerlessCacheAlreadyExistsFault: 400,
  InvalidServerlessCacheStateFault: 409,
  InvalidParameterValue: 400,
  InvalidParameterCombination: 400,
  UserAlreadyExists: 400,
  InvalidUserStateFault: 409,
  InvalidHostState: 409,
  PortInUse: 409,
  DiskFull: 507,
  ServiceUnavailable: 503,
  InternalFailure: 500,
} as const;

export type ControlErrorCode = keyof typeof CONTROL_ERROR_STATUS;

export class ControlError extends SpringtideError<ControlErrorCode> {}

/** True for an error that control raised on purpose, so that its words may be shown to a user. */
export function isControlError(error: unknown): error is ControlError {
  return error instanceof ControlError;
}
