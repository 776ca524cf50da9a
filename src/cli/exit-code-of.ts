/** The exit code for each stable code that control, the API and the engine catalogue raise. */
import { EXIT_CODES, type CliErrorCode } from './cli-error.ts';

const BY_CODE: Readonly<Record<string, CliErrorCode>> = {
  ServerlessCacheNotFoundFault: 'NOT_FOUND',
  UserNotFound: 'NOT_FOUND',
  HostNotFound: 'NOT_FOUND',
  ShardNotFound: 'NOT_FOUND',
  ServerlessCacheAlreadyExistsFault: 'CONFLICT',
  UserAlreadyExists: 'CONFLICT',
  InvalidServerlessCacheStateFault: 'CONFLICT',
  InvalidUserStateFault: 'CONFLICT',
  InvalidHostState: 'CONFLICT',
  PortInUse: 'CONFLICT',
  DiskFull: 'DISK',
  InvalidParameterValue: 'USAGE',
  InvalidParameterCombination: 'USAGE',
  ENGINE_VERSION_UNSUPPORTED: 'USAGE',
  ENGINE_NOT_INSTALLED: 'ENGINE_MISSING',
  ENGINE_BINARY_UNUSABLE: 'ENGINE_MISSING',
  ENGINE_ARCHITECTURE_UNSUPPORTED: 'ENGINE_MISSING',
  ENGINE_APT_MISSING: 'ENGINE_MISSING',
  ENGINE_DPKG_MISSING: 'ENGINE_MISSING',
  ENGINE_KEYRING_MISSING: 'ENGINE_MISSING',
  ENGINE_PACKAGE_MISSING: 'ENGINE_MISSING',
  ENGINE_SIGNATURE_INVALID: 'NETWORK',
  ENGINE_MIRROR_UNREACHABLE: 'NETWORK',
  ENGINE_DISK_FULL: 'DISK',
  ENGINE_DIRECTORY_UNWRITABLE: 'DISK',
  ENGINE_INSTALL_ABORTED: 'INTERRUPTED',
  DATA_DIR_IN_USE: 'CONFLICT',
  EADDRINUSE: 'CONFLICT',
  STORE_UNWRITABLE: 'DISK',
  NODE_DIRECTORY_UNUSABLE: 'DISK',
  ENOSPC: 'DISK',
};

const BY_STATUS: Readonly<Record<number, CliErrorCode>> = {
  400: 'USAGE',
  404: 'NOT_FOUND',
  409: 'CONFLICT',
};

/**
 * @param code of an ApiFailure or a SpringtideError
 * @param status the HTTP status that came with it, for codes this version does not know; 0 = none
 */
export function cliErrorCodeOf(code: string, status = 0): CliErrorCode {
  if (Object.hasOwn(BY_CODE, code)) return BY_CODE[code]!;
  // The CLI's own codes: what was thrown here, or by a function that was called with them.
  if (Object.hasOwn(EXIT_CODES, code) && code !== 'OK') return code as CliErrorCode;
  return BY_STATUS[status] ?? 'FAILED';
}
