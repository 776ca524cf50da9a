/**
 * Looks at the room on the disk of the data directory, and tells when it is gone and when it is back. Nothing else depends
 * on it: what a full disk breaks is kept in memory where it breaks (state-file.ts, the log).
 */
import { statfsSync } from 'node:fs';
import { seconds } from './seconds.ts';

export interface DiskWatchParts {
  readonly dataDir: string;
  event(kind: string, message: string): void;
  /** For tests; default: what is there. */
  freeBytes?(): number;
}

const LOOK_MS = 2_000;
const MIB = 1024 ** 2;
/** Below this a new cache is refused (disk-space.ts); the state and the log need it. */
const FULL_BYTES = 16 * MIB;
/** More than that, so that a disk at the edge is not told of again and again. */
const ROOM_BYTES = 17 * MIB;

export class DiskWatch {
  readonly #parts: DiskWatchParts;
  #timer: NodeJS.Timeout | null = null;
  #fullSinceMs: number | null = null;

  constructor(parts: DiskWatchParts) {
    this.#parts = parts;
  }

  start(): void {
    this.look();
    this.#timer = setInterval(() => this.look(), LOOK_MS);
    this.#timer.unref();
  }

  stop(): void {
    if (this.#timer !== null) clearInterval(this.#timer);
  }

  /** Called every two seconds. */
  look(): void {
    const { dataDir } = this.#parts;
    const freeBytes = this.#parts.freeBytes?.() ?? freeBytesOf(dataDir);
    if (this.#fullSinceMs === null && freeBytes < FULL_BYTES) {
      this.#fullSinceMs = Date.now();
      this.#parts.event(
        'disk-full',
        `the disk of ${dataDir} has ${Math.floor(freeBytes / MIB)} MiB left: caches serve on, state and log are kept in memory where they cannot be written; new caches and changes of users are refused`,
      );
    } else if (this.#fullSinceMs !== null && freeBytes >= ROOM_BYTES) {
      const fullForMs = Date.now() - this.#fullSinceMs;
      this.#fullSinceMs = null;
      this.#parts.event(
        'disk-has-room',
        `the disk of ${dataDir} has ${Math.floor(freeBytes / MIB)} MiB again, after ${seconds(fullForMs)}`,
      );
    }
  }
}

/** A directory that cannot be looked at is another trouble than a full one. */
function freeBytesOf(path: string): number {
  try {
    const { bavail, bsize } = statfsSync(path);
    return bavail * bsize;
  } catch {
    return Number.POSITIVE_INFINITY;
  }
}
