import { EngineError, BRING_YOUR_OWN_BINARY } from './engine-error.ts';

/** What Debian calls an architecture, in package names, library directories and the loader's file name. */
export interface DebianArch {
  readonly name: 'amd64' | 'arm64';
  readonly triplet: string;
  readonly loader: string;
}

/**
 * @param arch as `process.arch` says it
 * @throws EngineError ENGINE_ARCHITECTURE_UNSUPPORTED
 */
export function debianArch(arch: string = process.arch): DebianArch {
  if (arch === 'x64') {
    return { name: 'amd64', triplet: 'x86_64-linux-gnu', loader: 'ld-linux-x86-64.so.2' };
  }
  if (arch === 'arm64') {
    return { name: 'arm64', triplet: 'aarch64-linux-gnu', loader: 'ld-linux-aarch64.so.1' };
  }
  throw new EngineError(
    'ENGINE_ARCHITECTURE_UNSUPPORTED',
    `Engines can be installed on x64 and arm64, not on ${arch}; ${BRING_YOUR_OWN_BINARY}.`,
  );
}
