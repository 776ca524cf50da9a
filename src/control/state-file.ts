/**
 * The state file: SQLite on disk, and the same in memory. Everything is read from memory; what is written goes to both.
 *
 *   write -> memory -> disk --full, gone, read-only--> unsaved: memory goes on alone --every second--> all of it to the
 *   disk in one transaction -> saved
 *
 * So a failover on a machine whose disk is full is as quick as any other, and what it wrote down is on the disk as soon as
 * there is room. Only `durable` insists on the disk: it does all or nothing, and says so.
 */
import { closeSync, openSync } from 'node:fs';
import { DatabaseSync, type SQLInputValue, type StatementSync } from 'node:sqlite';
import { messageOf, SpringtideError } from '../lib/errors.ts';
import type { Row } from './store-records.ts';
import { MIGRATIONS } from './store-schema.ts';

export type StoreErrorCode = 'STORE_TOO_NEW' | 'STORE_UNREADABLE' | 'STORE_UNWRITABLE';
export class StoreError extends SpringtideError<StoreErrorCode> {}

interface Write {
  readonly sql: string;
  readonly values: readonly SQLInputValue[];
}

const RETRY_MS = 1_000;

export class StateFile {
  readonly #path: string;
  readonly #disk: DatabaseSync;
  readonly #memory = new DatabaseSync(':memory:');
  /** Of memory, by their text: there are only so many, and each is run many times a second. */
  readonly #statements = new Map<string, StatementSync>();
  readonly #onSaved: (cause: unknown) => void;
  /** What the transaction under way has written so far. */
  #writes: Write[] | null = null;
  #retry: NodeJS.Timeout | null = null;

  /**
   * Opens or makes the file and brings its schema up to date.
   *
   * @param onSaved told once with the cause when the disk stops taking writes, and once with null when it has all again
   * @throws StoreError STORE_TOO_NEW when a later Springtide wrote it, STORE_UNREADABLE when it is not a database or cannot
   *   be opened
   */
  constructor(path: string, onSaved: (cause: unknown) => void) {
    this.#path = path;
    this.#onSaved = onSaved;
    try {
      // Made by hand first: SQLite would use the umask, and gives -wal and -shm the mode of the main file.
      closeSync(openSync(path, 'a', 0o600));
      this.#disk = openDisk(path);
      migrate(this.#disk);
      this.#memory.exec('PRAGMA foreign_keys = ON');
      migrate(this.#memory);
      copy(this.#disk, this.#memory);
    } catch (error) {
      if (error instanceof StoreError) throw error;
      throw new StoreError(
        'STORE_UNREADABLE',
        `the state file ${path} cannot be used (${messageOf(error)})`,
        { cause: error },
      );
    }
  }

  /** False while the disk does not have all that memory has. */
  get isSaved(): boolean {
    return this.#retry === null;
  }

  close(): void {
    if (this.#retry !== null) clearInterval(this.#retry);
    this.#memory.close();
    this.#disk.close();
  }

  one(sql: string, ...values: SQLInputValue[]): Row | undefined {
    return this.#prepared(sql).get(...values);
  }

  all(sql: string, ...values: SQLInputValue[]): Row[] {
    return this.#prepared(sql).all(...values);
  }

  /** Said rather than left to SQLite, so that the copy on the disk has the same. */
  nextId(table: 'steps' | 'events'): number {
    return Number(this.one(`SELECT coalesce(max(id), 0) + 1 AS id FROM ${table}`)!['id']);
  }

  /** One write, alone or in the transaction that is under way. */
  run(sql: string, ...values: SQLInputValue[]): void {
    this.#prepared(sql).run(...values);
    if (this.#writes === null) this.#save([{ sql, values }]);
    else this.#writes.push({ sql, values });
  }

  #prepared(sql: string): StatementSync {
    let statement = this.#statements.get(sql);
    if (statement === undefined) {
      statement = this.#memory.prepare(sql);
      this.#statements.set(sql, statement);
    }
    return statement;
  }

  /** Runs `body` in one transaction: all of its writes or none. Not reentrant. */
  transaction<T>(body: () => T): T {
    const { result, writes } = this.#inMemory(body);
    this.#memory.exec('COMMIT');
    this.#save(writes);
    return result;
  }

  /**
   * A transaction that is on the disk itself when it returns.
   *
   * @throws StoreError STORE_UNWRITABLE when the disk does not take it; then none of it is written anywhere
   */
  durable<T>(body: () => T): T {
    const { result, writes } = this.#inMemory(body);
    try {
      this.#disk.exec('PRAGMA synchronous = FULL');
      if (this.isSaved) write(this.#disk, writes);
      else copy(this.#memory, this.#disk);
    } catch (error) {
      this.#memory.exec('ROLLBACK');
      throw this.#unwritable(error);
    } finally {
      this.#disk.exec('PRAGMA synchronous = NORMAL');
    }
    this.#memory.exec('COMMIT');
    this.#saved();
    return result;
  }

  /**
   * A transaction that is on the disk itself when it returns, unless the disk takes nothing: then it is kept in memory like
   * any other. For what makes room, and does no harm if a power cut undoes it.
   */
  durableIfPossible<T>(body: () => T): T {
    try {
      return this.durable(body);
    } catch (error) {
      if (!(error instanceof StoreError) || error.code !== 'STORE_UNWRITABLE') throw error;
      return this.transaction(body);
    }
  }

  /** Leaves the transaction in memory open. */
  #inMemory<T>(body: () => T): { result: T; writes: readonly Write[] } {
    this.#memory.exec('BEGIN');
    const writes: Write[] = [];
    this.#writes = writes;
    try {
      return { result: body(), writes };
    } catch (error) {
      this.#memory.exec('ROLLBACK');
      throw error;
    } finally {
      this.#writes = null;
    }
  }

  #save(writes: readonly Write[]): void {
    if (!this.isSaved) return;
    try {
      write(this.#disk, writes);
    } catch (error) {
      // Memory took it, so it is the disk's fault, whatever it says.
      this.#retry = setInterval(() => this.#saveAll(), RETRY_MS);
      this.#retry.unref();
      this.#onSaved(error);
    }
  }

  #saveAll(): void {
    try {
      copy(this.#memory, this.#disk);
    } catch {
      return;
    }
    this.#saved();
  }

  #saved(): void {
    if (this.#retry === null) return;
    clearInterval(this.#retry);
    this.#retry = null;
    this.#onSaved(null);
  }

  #unwritable(cause: unknown): StoreError {
    return new StoreError(
      'STORE_UNWRITABLE',
      `${isDiskFull(cause) ? 'no space is left on the disk of' : 'the disk does not take writes to'} ${this.#path}, so that nothing can be made or changed; caches that are there go on`,
      { cause },
    );
  }
}

/**
 * On a full disk the file of memory that SQLite shares between processes cannot be made. Nobody shares it with us: the
 * data directory is locked. But only then is the file locked against readers, who are people looking for what is wrong.
 */
function openDisk(path: string): DatabaseSync {
  try {
    return open('NORMAL');
  } catch (error) {
    if (!isDiskFull(error) && !isIoError(error)) throw error;
    return open('EXCLUSIVE');
  }

  function open(lockingMode: 'NORMAL' | 'EXCLUSIVE'): DatabaseSync {
    const db = new DatabaseSync(path);
    try {
      db.exec(
        `PRAGMA locking_mode = ${lockingMode}; PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA foreign_keys = ON; PRAGMA busy_timeout = 2000;`,
      );
      return db;
    } catch (error) {
      db.close();
      throw error;
    }
  }
}

/** SQLITE_FULL, or an I/O error that is the same on a file system that allocates late. */
function isDiskFull(error: unknown): boolean {
  return (error as { errcode?: number }).errcode === 13 || /ENOSPC|full/.test(messageOf(error));
}

/** SQLITE_IOERR, which is also what a file of shared memory that cannot grow ends in (SQLITE_IOERR_SHMSIZE). */
function isIoError(error: unknown): boolean {
  return ((error as { errcode?: number }).errcode ?? 0) % 256 === 10;
}

function migrate(db: DatabaseSync): void {
  const version = Number(db.prepare('PRAGMA user_version').get()?.['user_version'] ?? 0);
  if (version > MIGRATIONS.length) {
    throw new StoreError(
      'STORE_TOO_NEW',
      `the state file has schema ${version}, this Springtide knows up to ${MIGRATIONS.length}: use the newer version that wrote it`,
    );
  }
  for (let i = version; i < MIGRATIONS.length; i++) {
    inTransaction(db, () => {
      db.exec(MIGRATIONS[i]!);
      db.exec(`PRAGMA user_version = ${i + 1}`);
    });
  }
}

function write(db: DatabaseSync, writes: readonly Write[]): void {
  inTransaction(db, () => {
    for (const { sql, values } of writes) db.prepare(sql).run(...values);
  });
}

/** Makes all tables of `to` those of `from`, which has the same schema. */
function copy(from: DatabaseSync, to: DatabaseSync): void {
  const tables = from
    .prepare("SELECT name FROM sqlite_schema WHERE type = 'table'")
    .all()
    .map((row) => String(row['name']));
  inTransaction(to, () => {
    to.exec('PRAGMA defer_foreign_keys = ON');
    for (const table of tables) to.exec(`DELETE FROM ${table}`);
    for (const table of tables) {
      const rows = from.prepare(`SELECT * FROM ${table}`).all();
      const [first] = rows;
      if (first === undefined) continue;
      const places = Object.keys(first).map(() => '?');
      const insert = to.prepare(`INSERT INTO ${table} VALUES (${places.join(', ')})`);
      for (const row of rows) insert.run(...(Object.values(row) as SQLInputValue[]));
    }
  });
}

function inTransaction(db: DatabaseSync, body: () => void): void {
  db.exec('BEGIN IMMEDIATE');
  try {
    body();
    db.exec('COMMIT');
  } catch (error) {
    // A full disk makes SQLite roll back by itself.
    if (db.isTransaction) db.exec('ROLLBACK');
    throw error;
  }
}
