/**
 * One daemon per data directory. The lock is an abstract unix socket named after the directory's device and inode: the
 * kernel drops it with the process, however it ends, so it is never stale. The pid file beside it is for people and for
 * this error message.
 */
import { createServer, type Server } from 'node:net';
import { readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { SpringtideError } from '../lib/errors.ts';

export class DataDirLockError extends SpringtideError<'DATA_DIR_IN_USE'> {}

export class DataDirLock {
  readonly #server: Server;
  readonly #pidFile: string;

  private constructor(server: Server, pidFile: string) {
    this.#server = server;
    this.#pidFile = pidFile;
  }

  /** @throws DataDirLockError DATA_DIR_IN_USE, naming the daemon that holds it */
  static async acquire(dataDir: string, pidFile: string): Promise<DataDirLock> {
    const { dev, ino } = statSync(dataDir);
    const server = createServer((socket) => socket.destroy());
    await new Promise<void>((resolve, reject) => {
      server.once('error', (cause) => {
        reject(
          new DataDirLockError(
            'DATA_DIR_IN_USE',
            `another daemon${holder(pidFile)} already serves ${dataDir}: stop it first, or use another --data-dir`,
            { cause },
          ),
        );
      });
      server.listen({ path: `\0springtide-data-${dev}-${ino}` }, resolve);
    });
    server.unref();
    try {
      writeFileSync(pidFile, `${process.pid}\n`, { mode: 0o600 });
    } catch {
      // A full disk: the socket is the lock, and what of the file is left must not name another process.
      rmSync(pidFile, { force: true });
    }
    return new DataDirLock(server, pidFile);
  }

  release(): void {
    rmSync(this.#pidFile, { force: true });
    this.#server.close();
  }
}

function holder(pidFile: string): string {
  try {
    return ` (process ${readFileSync(pidFile, 'utf8').trim()})`;
  } catch {
    return '';
  }
}
