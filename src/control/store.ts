/**
 * The control plane's state: SQLite, one file, WAL. It is the truth about intent (which caches, which nodes, which users
 * should be there, which step is under way), never about slots: those belong to the engine.
 *
 * Every call is synchronous and survives a crash of the daemon when it returns, as long as the disk takes writes; while it
 * does not, what is written is kept in memory (state-file.ts). What users asked for (`durable`) survives a power cut too;
 * steps and roles need not, for the nodes they speak of would be gone with them, and a failover must not wait for a disk.
 * The file holds secrets and is 0600.
 */
import type { CacheUser } from '../model/user.ts';
import { DrainTable } from './drain-table.ts';
import { EventLog } from './event-log.ts';
import { ReplacementTable } from './replacement-table.ts';
import { ShardTable } from './shard-table.ts';
import { StateFile } from './state-file.ts';
import { StepLog } from './step-log.ts';
import { toCache, toNode, toUser, type CacheRecord, type NodeRecord } from './store-records.ts';
import { WarmTable } from './warm-table.ts';

/** Columns that may be changed one by one, named as in the records. */
type CachePatch = Partial<
  Pick<
    CacheRecord,
    'spec' | 'state' | 'reason' | 'port' | 'readerPort' | 'engineFullVersion' | 'formed'
  >
>;
type NodePatch = Partial<
  Pick<
    NodeRecord,
    | 'role'
    | 'port'
    | 'busPort'
    | 'clusterNodeId'
    | 'identity'
    | 'restarts'
    | 'aclVersion'
    | 'stopped'
    | 'engineLine'
    | 'leaving'
    | 'hostId'
  >
>;

const CACHE_COLUMNS: Record<keyof CachePatch, string> = {
  spec: 'spec',
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
  stopped: 'stopped',
  engineLine: 'engine_line',
  leaving: 'leaving',
  hostId: 'host_id',
};

export class Store {
  readonly steps: StepLog;
  readonly events: EventLog;
  readonly shards: ShardTable;
  readonly warm: WarmTable;
  readonly replacements: ReplacementTable;
  readonly drains: DrainTable;
  readonly #file: StateFile;

  /**
   * Opens or makes the state file.
   *
   * @param onSaved told once with the cause when the disk stops taking writes, and once with null when it has all again
   * @throws StoreError
   */
  constructor(path: string, onSaved: (cause: unknown) => void = () => undefined) {
    this.#file = new StateFile(path, onSaved);
    this.steps = new StepLog(this.#file);
    this.events = new EventLog(this.#file);
    this.shards = new ShardTable(this.#file);
    this.warm = new WarmTable(this.#file);
    this.replacements = new ReplacementTable(this.#file);
    this.drains = new DrainTable(this.#file);
  }

  close(): void {
    this.#file.close();
  }

  /** Runs `body` in one transaction: all of its writes or none. Not reentrant. */
  transaction<T>(body: () => T): T {
    return this.#file.transaction(body);
  }

  /**
   * A transaction that is on the disk itself when it returns.
   *
   * @throws StoreError STORE_UNWRITABLE when the disk does not take it; then none of it is written
   */
  durable<T>(body: () => T): T {
    return this.#file.durable(body);
  }

  /** On the disk itself when it returns, or, while that takes nothing, kept in memory: for what makes room. */
  durableIfPossible<T>(body: () => T): T {
    return this.#file.durableIfPossible(body);
  }

  /**
   * The next topology version: larger than every one before, over restarts too. It begins at the clock, so that even a
   * state file that was lost and made anew goes on above what proxies keep on disk.
   */
  nextTopologyVersion(nowMs: number): number {
    const last = this.topologyVersion();
    const next = Math.max(last + 1, last === 0 ? nowMs : 0);
    this.#file.run(
      'INSERT INTO meta VALUES (?, ?) ON CONFLICT DO UPDATE SET value = excluded.value',
      'topology_version',
      next,
    );
    return next;
  }

  topologyVersion(): number {
    return Number(
      this.#file.one('SELECT value FROM meta WHERE key = ?', 'topology_version')?.['value'] ?? 0,
    );
  }

  // Caches

  insertCache(cache: CacheRecord): void {
    this.#file.run(
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
    return this.#file.all('SELECT * FROM caches ORDER BY created_at_ms, name').map(toCache);
  }

  cache(id: string): CacheRecord | undefined {
    const row = this.#file.one('SELECT * FROM caches WHERE id = ?', id);
    return row && toCache(row);
  }

  cacheByName(name: string): CacheRecord | undefined {
    const row = this.#file.one('SELECT * FROM caches WHERE name = ?', name);
    return row && toCache(row);
  }

  updateCache(id: string, patch: CachePatch): void {
    this.#patch('caches', CACHE_COLUMNS, id, patch);
  }

  /** Removes the cache with its nodes, users and steps. */
  deleteCache(id: string): void {
    this.#file.run('DELETE FROM caches WHERE id = ?', id);
  }

  // Nodes

  insertNode(node: NodeRecord): void {
    this.#file.run(
      'INSERT INTO nodes VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)',
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
      node.stopped ? 1 : 0,
      node.hostId,
      node.engineLine,
      node.leaving ? 1 : 0,
      node.askedAs,
    );
  }

  deleteNode(id: string): void {
    this.#file.run('DELETE FROM nodes WHERE id = ?', id);
  }

  nodes(cacheId?: string): NodeRecord[] {
    const rows =
      cacheId === undefined
        ? this.#file.all('SELECT * FROM nodes ORDER BY shard, id')
        : this.#file.all('SELECT * FROM nodes WHERE cache_id = ? ORDER BY shard, id', cacheId);
    return rows.map(toNode);
  }

  node(id: string): NodeRecord | undefined {
    const row = this.#file.one('SELECT * FROM nodes WHERE id = ?', id);
    return row && toNode(row);
  }

  updateNode(id: string, patch: NodePatch): void {
    this.#patch('nodes', NODE_COLUMNS, id, patch);
  }

  // Users

  users(cacheId: string): CacheUser[] {
    return this.#file
      .all('SELECT * FROM users WHERE cache_id = ? ORDER BY name', cacheId)
      .map(toUser);
  }

  /** Inserts or replaces one user and marks every node of the cache as having old rules. */
  putUser(cacheId: string, user: CacheUser): void {
    this.#file.run(
      'INSERT OR REPLACE INTO users VALUES (?, ?, ?, ?, ?, ?, ?)',
      cacheId,
      user.name,
      user.enabled ? 1 : 0,
      user.nopass ? 1 : 0,
      JSON.stringify(user.passwordHashes),
      user.rules,
      user.upstreamSecret,
    );
    this.#file.run('UPDATE caches SET acl_version = acl_version + 1 WHERE id = ?', cacheId);
  }

  deleteUser(cacheId: string, name: string): void {
    this.#file.run('DELETE FROM users WHERE cache_id = ? AND name = ?', cacheId, name);
    this.#file.run('UPDATE caches SET acl_version = acl_version + 1 WHERE id = ?', cacheId);
  }

  // Functions

  /** The cache's function libraries as FUNCTION DUMP gave them last; null when it has none. */
  functions(cacheId: string): Uint8Array | null {
    const row = this.#file.one('SELECT dump FROM functions WHERE cache_id = ?', cacheId);
    return row === undefined ? null : (row['dump'] as Uint8Array);
  }

  putFunctions(cacheId: string, dump: Uint8Array | null): void {
    if (dump === null) this.#file.run('DELETE FROM functions WHERE cache_id = ?', cacheId);
    else this.#file.run('INSERT OR REPLACE INTO functions VALUES (?, ?)', cacheId, dump);
  }

  // What all nodes of this data directory share

  /** A secret by its name, made on first use. */
  secret(name: string, make: () => string): string {
    const row = this.#file.one('SELECT value FROM secrets WHERE name = ?', name);
    if (row !== undefined) return String(row['value']);
    const value = make();
    this.#file.run('INSERT INTO secrets VALUES (?, ?)', name, value);
    return value;
  }

  // What the planner remembers of a cache, JSON

  scalingState(cacheId: string): string | null {
    const row = this.#file.one('SELECT state FROM scaling WHERE cache_id = ?', cacheId);
    return row === undefined ? null : String(row['state']);
  }

  putScalingState(cacheId: string, state: string): void {
    this.#file.run('INSERT OR REPLACE INTO scaling VALUES (?, ?)', cacheId, state);
  }

  // Proxies

  proxyRestarts(index: number): number {
    return Number(
      this.#file.one('SELECT restarts FROM proxies WHERE idx = ?', index)?.['restarts'] ?? 0,
    );
  }

  countProxyRestart(index: number): void {
    this.#file.run(
      'INSERT INTO proxies VALUES (?, 1) ON CONFLICT DO UPDATE SET restarts = restarts + 1',
      index,
    );
  }

  #patch(
    table: 'caches' | 'nodes',
    columns: Readonly<Record<string, string>>,
    id: string,
    patch: object,
  ): void {
    const entries = Object.entries(patch) as [string, PatchValue][];
    if (entries.length === 0) return;
    const set = entries.map(([key]) => `${columns[key]!} = ?`).join(', ');
    const values = entries.map(([, value]) => columnValue(value));
    this.#file.run(`UPDATE ${table} SET ${set} WHERE id = ?`, ...values, id);
  }
}

type PatchValue = string | number | boolean | null | CacheRecord['spec'];

function columnValue(value: PatchValue): string | number | null {
  if (typeof value === 'boolean') return value ? 1 : 0;
  return typeof value === 'object' && value !== null ? JSON.stringify(value) : value;
}
