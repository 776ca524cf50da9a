/** Changes of nodes that are under way, one a cache at most: what was asked for, as it is written down. */
import type { EngineLine } from '../model/cache-spec.ts';
import type { StateFile } from './state-file.ts';
import type { Row } from './store-records.ts';

export type ReplacementKind = 'upgrade' | 'replace' | 'restart' | 'drain';

export interface ReplacementRecord {
  readonly cacheId: string;
  readonly kind: ReplacementKind;
  /** Line of the cache before, and of its new nodes; the same one unless it is an upgrade. */
  readonly fromLine: EngineLine;
  readonly toLine: EngineLine;
  /** The nodes that go. */
  readonly nodeIds: readonly string[];
  readonly parallelShards: number;
  readonly surgeNodes: number;
  /** Why it was given up; null while it was not. */
  readonly failure: string | null;
  readonly startedAtMs: number;
}

export class ReplacementTable {
  readonly #file: StateFile;

  constructor(file: StateFile) {
    this.#file = file;
  }

  insert(record: ReplacementRecord): void {
    this.#file.run(
      'INSERT INTO replacements VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)',
      record.cacheId,
      record.kind,
      record.fromLine,
      record.toLine,
      JSON.stringify(record.nodeIds),
      record.parallelShards,
      record.surgeNodes,
      record.failure,
      record.startedAtMs,
    );
  }

  get(cacheId: string): ReplacementRecord | undefined {
    const row = this.#file.one('SELECT * FROM replacements WHERE cache_id = ?', cacheId);
    return row && toReplacement(row);
  }

  giveUp(cacheId: string, failure: string): void {
    this.#file.run('UPDATE replacements SET failure = ? WHERE cache_id = ?', failure, cacheId);
  }

  delete(cacheId: string): void {
    this.#file.run('DELETE FROM replacements WHERE cache_id = ?', cacheId);
  }
}

function toReplacement(row: Row): ReplacementRecord {
  return {
    cacheId: String(row['cache_id']),
    kind: String(row['kind']) as ReplacementKind,
    fromLine: String(row['from_line']) as EngineLine,
    toLine: String(row['to_line']) as EngineLine,
    nodeIds: JSON.parse(String(row['node_ids'])) as string[],
    parallelShards: Number(row['parallel_shards']),
    surgeNodes: Number(row['surge_nodes']),
    failure: row['failure'] === null ? null : String(row['failure']),
    startedAtMs: Number(row['started_at_ms']),
  };
}
