/**
 * The control plane's state on disk: SQLite, one file, WAL. It is the truth about intent (which caches, which nodes,
 * which users should be there, which step is under way), never about slots: those belong to the engine.
 *
 * Every call is synchronous and survives a crash of the daemon when it returns. What users asked for (`durable`) survives
 * a power cut too; steps and roles need not, for the nodes they speak of would be gone with them, and a failover must not
 * wait for a disk. The file holds secrets and is 0600.
 */
import { closeSync, openSync } from 'node:fs';
import { DatabaseSync, type SQLInputValue, type SQLOutputValue } from 'node:sqlite';
import { SpringtideError } from '../lib/errors.ts';
import type { CacheState } from '../model/admin-api.ts';
import { cacheSpecSchema, type CacheSpec } from '../model/cache-spec.ts';
import type { CacheUser } from '../model/user.ts';
import { MIGRATIONS } from './store-schema.ts';
import type { Step } from './step.ts';

/** One cache as control keeps it: what was asked for, and what was chosen for it. */
export interface CacheRecord {
  readonly id: string;
  readonly name: string;
  readonly spec: CacheSpec;
  readonly state: CacheState;
  readonly reason: string | null;
  readonly createdAtMs: number;
  readonly port: number;
  readonly readerPort: number;
  readonly systemSecret: string;
  readonly virtualPrimaryId: string;
  readonly virtualReaderId: string;
  readonly engineFullVersion: string | null;
  /** Slots were handed out (sharded) or replicas attached once: from then on, what a lost node held is not given again. */
  readonly formed: boolean;
  /** Grows with every change of users; a node whose own is lower still has the old rules. */
  readonly aclVersion: number;
}

/**
 * Whether a node's cluster identity (nodes.conf) may be used when its process is started again. `stale`: it was a
 * primary that was replaced; started with it, it would come up empty and claim its slots, so it must join anew.
 */
export type NodeIdentity = 'none' | 'kept' | 'stale';

export interface NodeRecord {
  readonly id: string;
  readonly cacheId: string;
  readonly shard: number;
  readonly role: 'primary' | 'replica';
  readonly port: number;
  readonly busPort: number;
  readonly clusterNodeId: string | null;
  readonly identity: NodeIdentity;
  readonly restarts: number;
  readonly aclVersion: number;
}

export interface StepRecord {
  readonly id: number;
  readonly cacheId: string;
  readonly lane: string;
  readonly step: Step;
  readonly reason: string;
}

export interface EventRecord {
  readonly atMs: number;
  readonly cache: string | null;
  readonly kind: string;
  readonly message: string;
}

export type StoreErrorCode = 'STORE_TOO_NEW' | 'STORE_UNREADABLE';
export class StoreError extends SpringtideError<StoreErrorCode> {}

type Row = Record<string, SQLOutputValue>;
/** Columns that may be changed one by one, named as in the records. */
type CachePatch = Partial<
  Pick<CacheRecord, 'state' | 'reason' | 'port' | 'readerPort' | 'engineFullVersion' | 'formed'>
>;
type NodePatch = Partial<
  Pick<
    NodeRecord,
    'role' | 'port' | 'busPort' | 'clusterNodeId' | 'identity' | 'restarts' | 'aclVersion'
  >
>;

/** Events and finished steps kept: enough to explain the last days, bounded for good. */
const EVENTS_KEPT = 10_000;
const STEPS_KEPT = 2_000;

const CACHE_COLUMNS: Record<keyof CachePatch, string> = {
  state: 'state',
  reason: 'reason',
  port: 'port',
  readerPort: 'reader_port',
  engineFullVersion: 'engine_full_version',
  formed: 'formed',
};
const NODE_COLUMNS: Record<keyof NodePatch, string> = {
  role: 'role',
  port: 'port',
  busPort: 'bus_port',
  clusterNodeId: 'cluster_node_id',
  identity: 'identity',
  restarts: 'restarts',
  aclVersion: 'acl_version',
};

export class Store {
  readonly #db: DatabaseSync;

  /**
   * Opens or makes the state file and brings its schema up to date.
   *
   * @throws StoreError STORE_TOO_NEW when a later Springtide wrote it, STORE_UNREADABLE when it is not a database
   */
  constructor(path: string) {
    // Made by hand first: SQLite would use the umask, and gives -wal and -shm the mode of the main file.
    closeSync(openSync(path, 'a', 0o600));
    try {
      this.#db = new DatabaseSync(path);
      this.#db.exec(
        'PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA foreign_keys = ON; PRAGMA busy_timeout = 2000;',
      );
      this.#migrate();
    } catch (error) {
      if (error instanceof StoreError) throw error;
      throw new StoreError('STORE_UNREADABLE', `the state file ${path} cannot be read`, {
        cause: error,
      });
    }
  }

  #migrate(): void {
    const version = Number(this.#one('PRAGMA user_version')?.['user_version'] ?? 0);
    if (version > MIGRATIONS.length) {
      throw new StoreError(
        'STORE_TOO_NEW',
        `the state file has schema ${version}, this Springtide knows up to ${MIGRATIONS.length}: use the newer version that wrote it`,
      );
    }
    for (let i = version; i < MIGRATIONS.length; i++) {
      this.transaction(() => {
        this.#db.exec(MIGRATIONS[i]!);
        this.#db.exec(`PRAGMA user_version = ${i + 1}`);
      });
    }
  }

  close(): void {
    this.#db.close();
  }

  /** Runs `body` in one transaction: all of its writes or none. Not reentrant. */
  transaction<T>(body: () => T): T {
    this.#db.exec('BEGIN IMMEDIATE');
    try {
      const result = body();
      this.#db.exec('COMMIT');
      return result;
    } catch (error) {
      this.#db.exec('ROLLBACK');
      throw error;
    }
  }

  /** A transaction that is on the disk itself when it returns. */
  durable<T>(body: () => T): T {
    this.#db.exec('PRAGMA synchronous = FULL');
    try {
      return this.transaction(body);
    } finally {
      this.#db.exec('PRAGMA synchronous = NORMAL');
    }
  }

  /**
   * The next topology version: larger than every one before, over restarts too. It begins at the clock, so that even a
   * state file that was lost and made anew goes on above what proxies keep on disk.
   */
  nextTopologyVersion(nowMs: number): number {
    const last = this.topologyVersion();
    const next = Math.max(last + 1, last === 0 ? nowMs : 0);
    this.#run(
      'INSERT INTO meta VALUES (?, ?) ON CONFLICT DO UPDATE SET value = excluded.value',
      'topology_version',
      next,
    );
    return next;
  }

  topologyVersion(): number {
    return Number(
      this.#one('SELECT value FROM meta WHERE key = ?', 'topology_version')?.['value'] ?? 0,
    );
  }

  // Caches

  insertCache(cache: CacheRecord): void {
    this.#run(
      'INSERT INTO caches VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)',
      cache.id,
      cache.name,
      JSON.stringify(cache.spec),
      cache.state,
      cache.reason,
      cache.createdAtMs,
      cache.port,
      cache.readerPort,
      cache.systemSecret,
      cache.virtualPrimaryId,
      cache.virtualReaderId,
      cache.engineFullVersion,
      cache.formed ? 1 : 0,
      cache.aclVersion,
    );
  }

  caches(): CacheRecord[] {
    return this.#all('SELECT * FROM caches ORDER BY created_at_ms, name').map(toCache);
  }

  cache(id: string): CacheRecord | undefined {
    const row = this.#one('SELECT * FROM caches WHERE id = ?', id);
    return row && toCache(row);
  }

  cacheByName(name: string): CacheRecord | undefined {
    const row = this.#one('SELECT * FROM caches WHERE name = ?', name);
    return row && toCache(row);
  }

  updateCache(id: string, patch: CachePatch): void {
    this.#patch('caches', CACHE_COLUMNS, id, patch);
  }

  /** Removes the cache with its nodes, users and steps. */
  deleteCache(id: string): void {
    this.#run('DELETE FROM caches WHERE id = ?', id);
  }

  // Nodes

  insertNode(node: NodeRecord): void {
    this.#run(
      'INSERT INTO nodes VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)',
      node.id,
      node.cacheId,
      node.shard,
      node.role,
      node.port,
      node.busPort,
      node.clusterNodeId,
      node.identity,
      node.restarts,
      node.aclVersion,
    );
  }

  nodes(cacheId?: string): NodeRecord[] {
    const rows =
      cacheId === undefined
        ? this.#all('SELECT * FROM nodes ORDER BY shard, id')
        : this.#all('SELECT * FROM nodes WHERE cache_id = ? ORDER BY shard, id', cacheId);
    return rows.map(toNode);
  }

  node(id: string): NodeRecord | undefined {
    const row = this.#one('SELECT * FROM nodes WHERE id = ?', id);
    return row && toNode(row);
  }

  updateNode(id: string, patch: NodePatch): void {
    this.#patch('nodes', NODE_COLUMNS, id, patch);
  }

  // Users

  users(cacheId: string): CacheUser[] {
    return this.#all('SELECT * FROM users WHERE cache_id = ? ORDER BY name', cacheId).map(toUser);
  }

  /** Inserts or replaces one user and marks every node of the cache as having old rules. */
  putUser(cacheId: string, user: CacheUser): void {
    this.#run(
      'INSERT OR REPLACE INTO users VALUES (?, ?, ?, ?, ?, ?, ?)',
      cacheId,
      user.name,
      user.enabled ? 1 : 0,
      user.nopass ? 1 : 0,
      JSON.stringify(user.passwordHashes),
      user.rules,
      user.upstreamSecret,
    );
    this.#run('UPDATE caches SET acl_version = acl_version + 1 WHERE id = ?', cacheId);
  }

  deleteUser(cacheId: string, name: string): void {
    this.#run('DELETE FROM users WHERE cache_id = ? AND name = ?', cacheId, name);
    this.#run('UPDATE caches SET acl_version = acl_version + 1 WHERE id = ?', cacheId);
  }

  // Proxies

  proxyRestarts(index: number): number {
    return Number(
      this.#one('SELECT restarts FROM proxies WHERE idx = ?', index)?.['restarts'] ?? 0,
    );
  }

  countProxyRestart(index: number): void {
    this.#run(
      'INSERT INTO proxies VALUES (?, 1) ON CONFLICT DO UPDATE SET restarts = restarts + 1',
      index,
    );
  }

  // Steps

  beginStep(cacheId: string, lane: string, step: Step, reason: string, nowMs: number): number {
    const result = this.#db
      .prepare(
        "INSERT INTO steps (cache_id, lane, step, reason, state, started_at_ms) VALUES (?, ?, ?, ?, 'running', ?)",
      )
      .run(cacheId, lane, JSON.stringify(step), reason, nowMs);
    return Number(result.lastInsertRowid);
  }

  endStep(id: number, state: 'done' | 'failed', error: string | null, nowMs: number): void {
    this.#run(
      'UPDATE steps SET state = ?, error = ?, finished_at_ms = ? WHERE id = ?',
      state,
      error,
      nowMs,
      id,
    );
    this.#run("DELETE FROM steps WHERE state != 'running' AND id <= ?", id - STEPS_KEPT);
  }

  /** Steps that were begun and not ended, oldest first: after a crash, where to go on. */
  openSteps(cacheId: string, lane: string): StepRecord[] {
    return this.#all(
      "SELECT * FROM steps WHERE cache_id = ? AND lane = ? AND state = 'running' ORDER BY id",
      cacheId,
      lane,
    ).map((row) => ({
      id: Number(row['id']),
      cacheId: String(row['cache_id']),
      lane: String(row['lane']),
      step: JSON.parse(String(row['step'])) as Step,
      reason: String(row['reason']),
    }));
  }

  // Events

  addEvent(event: EventRecord): void {
    const result = this.#db
      .prepare('INSERT INTO events (at_ms, cache, kind, message) VALUES (?, ?, ?, ?)')
      .run(event.atMs, event.cache, event.kind, event.message);
    this.#run('DELETE FROM events WHERE id <= ?', Number(result.lastInsertRowid) - EVENTS_KEPT);
  }

  /** Newest first. */
  events(cache: string | null, limit: number): EventRecord[] {
    const rows =
      cache === null
        ? this.#all('SELECT * FROM events ORDER BY id DESC LIMIT ?', limit)
        : this.#all('SELECT * FROM events WHERE cache = ? ORDER BY id DESC LIMIT ?', cache, limit);
    return rows.map((row) => ({
      atMs: Number(row['at_ms']),
      cache: nullable(row['cache']),
      kind: String(row['kind']),
      message: String(row['message']),
    }));
  }

  #patch(
    table: 'caches' | 'nodes',
    columns: Readonly<Record<string, string>>,
    id: string,
    patch: object,
  ): void {
    const entries = Object.entries(patch) as [string, string | number | boolean | null][];
    if (entries.length === 0) return;
    const set = entries.map(([key]) => `${columns[key]!} = ?`).join(', ');
    const values = entries.map(([, value]) =>
      typeof value === 'boolean' ? (value ? 1 : 0) : value,
    );
    this.#run(`UPDATE ${table} SET ${set} WHERE id = ?`, ...values, id);
  }

  #run(sql: string, ...values: SQLInputValue[]): void {
    this.#db.prepare(sql).run(...values);
  }

  #one(sql: string, ...values: SQLInputValue[]): Row | undefined {
    return this.#db.prepare(sql).get(...values);
  }

  #all(sql: string, ...values: SQLInputValue[]): Row[] {
    return this.#db.prepare(sql).all(...values);
  }
}

function nullable(value: SQLOutputValue | undefined): string | null {
  return value === null || value === undefined ? null : String(value);
}

function toCache(row: Row): CacheRecord {
  return {
    id: String(row['id']),
    name: String(row['name']),
    spec: cacheSpecSchema.parse(JSON.parse(String(row['spec']))),
    state: String(row['state']) as CacheState,
    reason: nullable(row['reason']),
    createdAtMs: Number(row['created_at_ms']),
    port: Number(row['port']),
    readerPort: Number(row['reader_port']),
    systemSecret: String(row['system_secret']),
    virtualPrimaryId: String(row['virtual_primary_id']),
    virtualReaderId: String(row['virtual_reader_id']),
    engineFullVersion: nullable(row['engine_full_version']),
    formed: Number(row['formed']) === 1,
    aclVersion: Number(row['acl_version']),
  };
}

function toNode(row: Row): NodeRecord {
  return {
    id: String(row['id']),
    cacheId: String(row['cache_id']),
    shard: Number(row['shard']),
    role: String(row['role']) as NodeRecord['role'],
    port: Number(row['port']),
    busPort: Number(row['bus_port']),
    clusterNodeId: nullable(row['cluster_node_id']),
    identity: String(row['identity']) as NodeIdentity,
    restarts: Number(row['restarts']),
    aclVersion: Number(row['acl_version']),
  };
}

function toUser(row: Row): CacheUser {
  return {
    name: String(row['name']),
    enabled: Number(row['enabled']) === 1,
    nopass: Number(row['nopass']) === 1,
    passwordHashes: JSON.parse(String(row['password_hashes'])) as string[],
    rules: String(row['rules']),
    upstreamSecret: String(row['upstream_secret']),
  };
}
