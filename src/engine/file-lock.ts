import { setTimeout as delay } from 'node:timers/promises';
import { DatabaseSync } from 'node:sqlite';

const RETRY_MS = 50;
const SQLITE_BUSY = 5;

/**
 * Takes a lock that all processes of this machine share and that the kernel drops when its holder dies: an exclusive
 * transaction on an otherwise empty SQLite file, since Node has no flock(2) of its own.
 *
 * @param file its directory must exist; the file stays behind, empty
 * @param signal gives up waiting
 * @returns to be disposed of when done
 */
export async function acquireFileLock(file: string, signal?: AbortSignal): Promise<Disposable> {
  const database = new DatabaseSync(file, { timeout: 0 });
  try {
    for (;;) {
      try {
        database.exec('BEGIN EXCLUSIVE');
        return { [Symbol.dispose]: () => database.close() };
      } catch (error) {
        if ((error as { errcode?: number }).errcode !== SQLITE_BUSY) throw error;
      }
      await delay(RETRY_MS, undefined, signal === undefined ? {} : { signal });
    }
  } catch (error) {
    database.close();
    throw error;
  }
}
