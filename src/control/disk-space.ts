/** Whether there is room for another cache. A node on a full disk fails in many ways, none of which says why. */
import { statfsSync } from 'node:fs';
import { ControlError } from './control-error.ts';

/** A cache's own files are small (configuration, logs); this is what the state and the logs of a while need with them. */
const NEEDED_BYTES = 16 * 1024 ** 2;

/** @throws ControlError DiskFull. @param freeBytes for tests; default: what is there */
export function requireSpace(dataDir: string, freeBytes: number = freeBytesOf(dataDir)): void {
  if (freeBytes >= NEEDED_BYTES) return;
  throw new ControlError(
    'DiskFull',
    `the disk of ${dataDir} is full: ${mebibytes(freeBytes)} MiB are left, and a new cache needs ${mebibytes(NEEDED_BYTES)} MiB: free some space first`,
  );
}

function freeBytesOf(path: string): number {
  const { bavail, bsize } = statfsSync(path);
  return bavail * bsize;
}

function mebibytes(bytes: number): string {
  return String(Math.floor(bytes / 1024 ** 2));
}
