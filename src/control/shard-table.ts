/** The shards of caches as they are meant to be. */
import { rangesText } from './slot-ranges.ts';
import type { StateFile } from './state-file.ts';
import { toShard, type ShardRecord } from './store-records.ts';

type ShardPatch = Partial<Omit<ShardRecord, 'cacheId' | 'shard'>>;

export class ShardTable {
  readonly #file: StateFile;

  constructor(file: StateFile) {
    this.#file = file;
  }

  insert(shard: ShardRecord): void {
    this.#file.run(
      'INSERT INTO shards VALUES (?, ?, ?, ?, ?, ?, ?)',
      shard.cacheId,
      shard.shard,
      shard.state,
      rangesText(shard.slots),
      shard.replicas,
      shard.ioThreads,
      shard.maxmemoryBytes,
    );
  }

  /** By number. */
  of(cacheId: string): ShardRecord[] {
    return this.#file
      .all('SELECT * FROM shards WHERE cache_id = ? ORDER BY shard', cacheId)
      .map(toShard);
  }

  /** Of all caches. */
  all(): ShardRecord[] {
    return this.#file.all('SELECT * FROM shards').map(toShard);
  }

  get(cacheId: string, shard: number): ShardRecord | undefined {
    const row = this.#file.one(
      'SELECT * FROM shards WHERE cache_id = ? AND shard = ?',
      cacheId,
      shard,
    );
    return row && toShard(row);
  }

  update(cacheId: string, shard: number, patch: ShardPatch): void {
    const now = this.get(cacheId, shard);
    if (now === undefined) return;
    const next = { ...now, ...patch };
    this.#file.run(
      'UPDATE shards SET state = ?, slots = ?, replicas = ?, io_threads = ?, maxmemory_bytes = ? WHERE cache_id = ? AND shard = ?',
      next.state,
      rangesText(next.slots),
      next.replicas,
      next.ioThreads,
      next.maxmemoryBytes,
      cacheId,
      shard,
    );
  }

  delete(cacheId: string, shard: number): void {
    this.#file.run('DELETE FROM shards WHERE cache_id = ? AND shard = ?', cacheId, shard);
  }
}
