/** What happened: for users as events, for whoever looks after the machine in the log. */
import type { Logger } from 'pino';
import type { EventLog } from './event-log.ts';

export class Journal {
  readonly #events: EventLog;
  readonly #log: Logger;

  constructor(events: EventLog, log: Logger) {
    this.#events = events;
    this.#log = log;
  }

  /** @param cache its name; null for what concerns none */
  event(cache: string | null, kind: string, message: string): void {
    this.#log.info({ cache, event: kind }, message);
    this.#events.add({ atMs: Date.now(), cache, kind, message });
  }
}

/** For the store: told in the log alone, for the events cannot be written down, and then all of them are. */
export function logStateSaved(log: Logger): (cause: unknown) => void {
  return (cause) => {
    if (cause === null) log.warn('the state is on the disk again, all of it');
    else {
      log.error(
        { err: cause },
        'the state cannot be written to the disk; it is kept in memory and written when there is room',
      );
    }
  };
}
