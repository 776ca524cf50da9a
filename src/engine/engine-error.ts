import { SpringtideError } from '../lib/errors.ts';

/** What can go wrong with finding, installing and removing an engine. */
export type EngineErrorCode =
  | 'ENGINE_VERSION_UNSUPPORTED'
  | 'ENGINE_NOT_INSTALLED'
  | 'ENGINE_BINARY_UNUSABLE'
  | 'ENGINE_ARCHITECTURE_UNSUPPORTED'
  | 'ENGINE_APT_MISSING'
  | 'ENGINE_DPKG_MISSING'
  | 'ENGINE_KEYRING_MISSING'
  | 'ENGINE_SIGNATURE_INVALID'
  | 'ENGINE_MIRROR_UNREACHABLE'
  | 'ENGINE_PACKAGE_MISSING'
  | 'ENGINE_DISK_FULL'
  | 'ENGINE_DIRECTORY_UNWRITABLE'
  | 'ENGINE_INSTALL_FAILED'
  | 'ENGINE_INSTALL_ABORTED';

/** Raised by the catalogue and the installer. The message says in one sentence what to do. */
export class EngineError extends SpringtideError<EngineErrorCode> {}

/** The environment variable that names a valkey-server to use instead of an installed one. */
export const ENGINE_BINARY_ENV = 'SPRINGTIDE_VALKEY_SERVER';

/** The command line option that does the same; the CLI owns it, error messages name it. */
export const ENGINE_BINARY_OPTION = '--engine-binary';

/** The end of every error that the user can get round by bringing a binary. */
export const BRING_YOUR_OWN_BINARY = `give one with ${ENGINE_BINARY_OPTION} /path/to/valkey-server or ${ENGINE_BINARY_ENV}=/path/to/valkey-server`;
