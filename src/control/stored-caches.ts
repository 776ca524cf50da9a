/** What a state file says of its caches, for a look while no daemon has it open. Writes nothing. */
import { existsSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { messageOf } from '../lib/errors.ts';
import { StoreError } from './state-file.ts';

export interface StoredCache {
  readonly name: string;
  /** Its engine line. */
  readonly engineVersion: string;
}

/**
 * The caches of a state file, by name; none where there is no such file.
 *
 * @throws StoreError STORE_UNREADABLE when it is there and cannot be read
 */
export function storedCaches(stateFile: string): StoredCache[] {
  if (!existsSync(stateFile)) return [];
  try {
    using db = new DatabaseSync(stateFile, { readOnly: true });
    return db
      .prepare(
        "SELECT name, spec ->> '$.engineVersion' AS line FROM caches WHERE state != 'create-failed' ORDER BY name",
      )
      .all()
      .map((row) => ({ name: String(row['name']), engineVersion: String(row['line']) }));
  } catch (error) {
    throw new StoreError(
      'STORE_UNREADABLE',
      `the state file ${stateFile} cannot be read (${messageOf(error)})`,
      { cause: error },
    );
  }
}
