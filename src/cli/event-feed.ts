/** Events of the daemon as they come: each one once, in order, over restarts of the daemon too. */
import type { CacheEvent } from '../model/admin-api.ts';
import type { ApiClient } from './api-client.ts';
import type { Terminal } from './terminal.ts';

export class EventFeed {
  readonly #client: ApiClient;
  readonly #cache: string | undefined;
  #lastId = 0;

  /** @param cache undefined for all, and what belongs to none */
  constructor(client: ApiClient, cache: string | undefined) {
    this.#client = client;
    this.#cache = cache;
  }

  /** What happened since the last call, at most the newest `limit`; the first time, what happened last. */
  async next(limit: number): Promise<CacheEvent[]> {
    const query = new URLSearchParams({ limit: String(limit), after: String(this.#lastId) });
    if (this.#cache !== undefined) query.set('cache', this.#cache);
    const events = await this.#client.call<CacheEvent[]>('GET', `/v1/events?${query}`);
    this.#lastId = events.at(-1)?.id ?? this.#lastId;
    return events;
  }
}

/** One line for a person: when, which cache, what. */
export function eventLine(event: CacheEvent, terminal: Terminal): string {
  const time = new Date(event.atMs);
  const day = [time.getFullYear(), time.getMonth() + 1, time.getDate()]
    .map((part) => String(part).padStart(2, '0'))
    .join('-');
  const when = terminal.paint('dim', `${day} ${time.toTimeString().slice(0, 8)}`);
  const what = terminal.paint(isBad(event.kind) ? 'red' : 'bold', event.kind);
  return `${when}  ${event.cache === null ? '' : `${event.cache}: `}${what}  ${event.message}`;
}

/** Somebody should know of it even though it was repaired. */
function isBad(kind: string): boolean {
  return /lost|hung|fenced|failed|crash|reclaimed/.test(kind);
}
