import { EngineError } from './engine-error.ts';

/** A supported release line. Minor releases differ in commands and configuration; patch releases do not. */
export type EngineLine = '9.1' | '8.1' | '8.0';

export interface EngineLineInfo {
  readonly engine: 'valkey';
  readonly line: EngineLine;
  /** The Debian suite whose archive carries the line. */
  readonly suite: string;
  /**
   * Suites to read besides: those that the libraries come from where `suite` is only an overlay, and where Debian
   * publishes security updates of a released suite (used if the machine has a security mirror).
   */
  readonly baseSuite?: string;
  readonly securitySuite?: string;
  readonly packages: readonly string[];
}

/**
 * What Springtide runs, newest first; the first is the default. memcached 1.6 (Debian bookworm) gets its entries here
 * when its proxy exists: `engine` then becomes a union and `packages` names its package.
 */
export const ENGINE_LINES: readonly EngineLineInfo[] = [
  { engine: 'valkey', line: '9.1', suite: 'forky', packages: ['valkey-server', 'valkey-tools'] },
  {
    engine: 'valkey',
    line: '8.1',
    suite: 'trixie',
    securitySuite: 'trixie-security',
    packages: ['valkey-server', 'valkey-tools'],
  },
  {
    engine: 'valkey',
    line: '8.0',
    suite: 'bookworm-backports',
    baseSuite: 'bookworm',
    securitySuite: 'bookworm-security',
    packages: ['valkey-server', 'valkey-tools'],
  },
];

export const DEFAULT_ENGINE_LINE: EngineLine = '9.1';

/**
 * The line that a version, short or full, belongs to.
 *
 * @param version `9.1`, `9.1.2`, or with a prefix as users write it: `valkey-9.1`, `valkey 9.1`
 * @throws EngineError ENGINE_VERSION_UNSUPPORTED
 */
export function engineLineOf(version: string): EngineLineInfo {
  const match = /^(?:valkey[-_ ]?)?v?(\d+\.\d+)(?:\.\d+)?$/i.exec(version.trim());
  const info = ENGINE_LINES.find((candidate) => candidate.line === match?.[1]);
  if (info === undefined) {
    const supported = ENGINE_LINES.map((candidate) => candidate.line).join(', ');
    throw new EngineError(
      'ENGINE_VERSION_UNSUPPORTED',
      `Valkey ${version} is not supported; choose one of ${supported}.`,
    );
  }
  return info;
}

/**
 * Reads what `valkey-server --version` prints.
 *
 * @returns the full version (`9.1.2`), or undefined where the text is not Valkey's (a Redis server is not ours to run)
 */
export function parseServerVersion(output: string): string | undefined {
  return /^Valkey server v=(\d+\.\d+\.\d+)\b/m.exec(output)?.[1];
}
