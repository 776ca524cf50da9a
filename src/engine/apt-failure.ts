/** What apt-get's words on stderr mean: it has one exit status, 100, for everything. */
import { messageOf } from '../lib/errors.ts';
import { BRING_YOUR_OWN_BINARY, EngineError } from './engine-error.ts';
import type { EngineLineInfo } from './engine-line.ts';

/** @param stderr what apt-get wrote there, in the C locale */
export function classifyAptFailure(
  stderr: string,
  line: EngineLineInfo,
  engineDir: string,
): EngineError {
  const lines = stderr.split('\n').filter((text) => /^[EW]: /.test(text));
  const said = (
    lines.find((text) => text.startsWith('E: ')) ??
    stderr.trim().split('\n').at(-1) ??
    ''
  )
    .replace(/^E: /, '')
    .slice(0, 300);
  const options = { cause: new Error(stderr.trim()) };
  if (/No space left on device|enough free space|Disk quota exceeded/i.test(stderr)) {
    return diskFull(engineDir, options);
  }
  if (
    /NO_PUBKEY|EXPKEYSIG|BADSIG|REVKEYSIG|is not signed|GPG error|not verified|cannot be authenticated|Hash Sum mismatch/i.test(
      stderr,
    )
  ) {
    return new EngineError(
      'ENGINE_SIGNATURE_INVALID',
      `Debian's signature on ${line.suite} could not be verified (${said}); upgrade the package debian-archive-keyring, or ${BRING_YOUR_OWN_BINARY}.`,
      options,
    );
  }
  if (
    /Unable to locate package|no installation candidate|does not have a Release file|unmet dependencies|held broken packages/i.test(
      stderr,
    )
  ) {
    return new EngineError(
      'ENGINE_PACKAGE_MISSING',
      `The Debian mirror does not carry Valkey ${line.line} in ${line.suite} (${said}); use a complete mirror, or ${BRING_YOUR_OWN_BINARY}.`,
      options,
    );
  }
  if (
    /Failed to fetch|Could not resolve|Could not connect|Unable to connect|Connection (failed|refused|timed out)|Temporary failure|unreachable/i.test(
      stderr,
    )
  ) {
    return new EngineError(
      'ENGINE_MIRROR_UNREACHABLE',
      `The Debian mirror could not be reached (${said}); check the network and the proxy settings of apt, or ${BRING_YOUR_OWN_BINARY}.`,
      options,
    );
  }
  return new EngineError(
    'ENGINE_INSTALL_FAILED',
    `apt-get could not fetch Valkey ${line.line} (${said}); try again, or ${BRING_YOUR_OWN_BINARY}.`,
    options,
  );
}

/** Gives anything thrown during an installation its code. */
export function installFailure(
  error: unknown,
  engineDir: string,
  signal: AbortSignal | undefined,
): EngineError {
  if (error instanceof EngineError) return error;
  const options = { cause: error };
  if (signal?.aborted === true) {
    return new EngineError(
      'ENGINE_INSTALL_ABORTED',
      'The installation was stopped; start it again to go on.',
      options,
    );
  }
  const { code } = error as NodeJS.ErrnoException;
  if (code === 'ENOSPC' || code === 'EDQUOT') return diskFull(engineDir, options);
  if (code === 'EACCES' || code === 'EPERM' || code === 'EROFS' || code === 'ENOTDIR') {
    return new EngineError(
      'ENGINE_DIRECTORY_UNWRITABLE',
      `${engineDir} cannot be written to (${code}); name another engine directory with SPRINGTIDE_ENGINE_DIR.`,
      options,
    );
  }
  return new EngineError(
    'ENGINE_INSTALL_FAILED',
    `The engine could not be installed: ${messageOf(error)}.`,
    options,
  );
}

/** The disk is full, whoever noticed it: Node, apt-get or dpkg-deb. */
export function diskFull(engineDir: string, options?: { cause?: unknown }): EngineError {
  return new EngineError(
    'ENGINE_DISK_FULL',
    `The disk is full; make 150 MB of room for ${engineDir}, or name another engine directory with SPRINGTIDE_ENGINE_DIR.`,
    options,
  );
}
