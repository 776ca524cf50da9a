/** Hosts that are to have no nodes, as it is written down: asked for, and under way or done. */
import type { StateFile } from './state-file.ts';
import type { Row } from './store-records.ts';

export interface DrainRecord {
  readonly hostId: string;
  /** Whoever runs it says that the machine is off for good: its nodes are not asked. */
  readonly dead: boolean;
  /** How many nodes it had, for a progress bar. */
  readonly nodes: number;
  readonly startedAtMs: number;
  /** When its last node had left; null until then. */
  readonly drainedAtMs: number | null;
}

export class DrainTable {
  readonly #file: StateFile;

  constructor(file: StateFile) {
    this.#file = file;
  }

  /** In the place of one that the host may have already. */
  put(record: DrainRecord): void {
    this.#file.run(
      'INSERT OR REPLACE INTO host_drains VALUES (?, ?, ?, ?, ?)',
      record.hostId,
      record.dead ? 1 : 0,
      record.nodes,
      record.startedAtMs,
      record.drainedAtMs,
    );
  }

  get(hostId: string): DrainRecord | undefined {
    const row = this.#file.one('SELECT * FROM host_drains WHERE host_id = ?', hostId);
    return row && toDrain(row);
  }

  all(): DrainRecord[] {
    return this.#file.all('SELECT * FROM host_drains ORDER BY host_id').map(toDrain);
  }

  /** Whether a host takes no nodes: it is being emptied, or was. */
  has(hostId: string): boolean {
    return this.get(hostId) !== undefined;
  }

  delete(hostId: string): void {
    this.#file.run('DELETE FROM host_drains WHERE host_id = ?', hostId);
  }
}

function toDrain(row: Row): DrainRecord {
  return {
    hostId: String(row['host_id']),
    dead: Number(row['dead']) === 1,
    nodes: Number(row['nodes']),
    startedAtMs: Number(row['started_at_ms']),
    drainedAtMs: row['drained_at_ms'] === null ? null : Number(row['drained_at_ms']),
  };
}
