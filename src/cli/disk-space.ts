/** Whether the disk of a data directory has room: a full one shows itself in many ways, none of which says so. */
import { existsSync, statfsSync } from 'node:fs';
import { dirname } from 'node:path';
import { CliError } from './cli-error.ts';
import { formatBytes } from '../lib/human-units.ts';

/** State, logs, and what a node writes while a replica synchronizes; an engine's installer looks after its own space. */
const NEEDED_BYTES = 64 * 1024 ** 2;

/** Bytes that an ordinary user can still write where `path` is, or would be made. */
export function freeBytes(path: string): number {
  const { bavail, bsize } = statfsSync(nearestExisting(path));
  return bavail * bsize;
}

/** `path` itself, or the directory above it that exists. */
export function nearestExisting(path: string): string {
  let directory = path;
  while (!existsSync(directory)) directory = dirname(directory);
  return directory;
}

/** Throws DISK when too little is left. @param free for tests; default: what is there */
export function requireDiskSpace(dataDir: string, free: number = freeBytes(dataDir)): void {
  if (free >= NEEDED_BYTES) return;
  throw new CliError(
    'DISK',
    `The disk of ${dataDir} is full: ${formatBytes(free)} are left, and Springtide needs ${formatBytes(NEEDED_BYTES)}.`,
    { hint: 'Free some space, or choose another disk with --data-dir.' },
  );
}
