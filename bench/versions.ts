import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import { execFileSync, spawnSync } from 'node:child_process';
import { cpus, release, totalmem } from 'node:os';
import { fileURLToPath } from 'node:url';
import type { BenchMachine } from './sample.ts';

// Debian puts daemons where the PATH of ordinary users does not look.
const SYSTEM_DIRECTORIES = ['/usr/sbin', '/usr/local/sbin'];

/** Where a program is that is called by its name, or null. */
export function findProgram(name: string, path = process.env['PATH'] ?? ''): string | null {
  for (const directory of [...path.split(delimiter), ...SYSTEM_DIRECTORIES]) {
    if (directory === '') continue;
    const file = join(directory, name);
    try {
      accessSync(file, constants.X_OK);
      return file;
    } catch {
      // Not here.
    }
  }
  return null;
}

/** First line that `file ARGS` prints; some programs print their version to stderr. */
export function firstLine(file: string, args: readonly string[]): string {
  const { stdout, stderr } = spawnSync(file, args, { encoding: 'utf8', timeout: 5_000 });
  return `${stdout}\n${stderr}`.trim().split('\n')[0] ?? '';
}

/** The version number in a line such as `HAProxy version 2.6.12-1+deb12u4 2026/10/17` or `This is nutcracker-0.5.0`. */
export function versionIn(line: string): string {
  return /\d+\.\d+(?:\.\d+)?(?:[-+~.\w]*\w)?/.exec(line)?.[0] ?? 'unknown';
}

/** `git describe` of this checkout; `unknown` outside one. */
export function springtideVersion(): string {
  const here = fileURLToPath(new URL('.', import.meta.url));
  try {
    const args = ['-C', here, 'describe', '--always', '--tags', '--dirty'];
    return execFileSync('git', args, {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    }).trim();
  } catch {
    return 'unknown';
  }
}

export function describeMachine(): BenchMachine {
  const cores = cpus();
  return {
    kernel: release(),
    cpu: cores[0]?.model.trim() ?? 'unknown',
    cores: cores.length,
    memoryBytes: totalmem(),
  };
}
