/** What happened, as users see it. Of caches that are no more, too. */
import type { StateFile } from './state-file.ts';
import { toEvent, type EventRecord } from './store-records.ts';

/** Enough to explain the last days, bounded for good. */
const EVENTS_KEPT = 10_000;

export class EventLog {
  readonly #file: StateFile;

  constructor(file: StateFile) {
    this.#file = file;
  }

  add(event: Omit<EventRecord, 'id'>): void {
    const id = this.#file.nextId('events');
    this.#file.run(
      'INSERT INTO events (id, at_ms, cache, kind, message) VALUES (?, ?, ?, ?, ?)',
      id,
      event.atMs,
      event.cache,
      event.kind,
      event.message,
    );
    this.#file.run('DELETE FROM events WHERE id <= ?', id - EVENTS_KEPT);
  }

  /**
   * Newest first.
   *
   * @param cache null for all, and those of none
   * @param afterId only events later than this one
   */
  latest(cache: string | null, limit: number, afterId = 0): EventRecord[] {
    const rows =
      cache === null
        ? this.#file.all(
            'SELECT * FROM events WHERE id > ? ORDER BY id DESC LIMIT ?',
            afterId,
            limit,
          )
        : this.#file.all(
            'SELECT * FROM events WHERE cache = ? AND id > ? ORDER BY id DESC LIMIT ?',
            cache,
            afterId,
            limit,
          );
    return rows.map(toEvent);
  }
}
