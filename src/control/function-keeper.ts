/**
 * Keeps a copy of each cache's function libraries, for the day on which no node has them any more: a primary that died
 * without a replica starts with this copy. Functions are not data; their owner loads them once and expects them to stay.
 */
import type { Logger } from 'pino';
import type { Fleet } from './fleet.ts';
import type { CacheRecord } from './store-records.ts';
import type { Store } from './store.ts';

const LOOK_MS = 2_000;
/** What a node says of its libraries (number, functions, memory) does not change with every replacement of one. */
const DUMP_AGAIN_MS = 10_000;
/** The whole state stays small. */
const KEPT_MAX_BYTES = 4 * 1024 ** 2;

interface Seen {
  readonly mark: string;
  readonly atMs: number;
}

export class FunctionKeeper {
  readonly #store: Store;
  readonly #fleet: Fleet;
  readonly #log: Logger;
  readonly #seen = new Map<string, Seen>();
  #timer: NodeJS.Timeout | null = null;

  constructor(store: Store, fleet: Fleet, log: Logger) {
    this.#store = store;
    this.#fleet = fleet;
    this.#log = log;
  }

  start(): void {
    this.#timer = setInterval(() => {
      for (const cache of this.#store.caches()) void this.#look(cache);
    }, LOOK_MS);
    this.#timer.unref();
  }

  stop(): void {
    if (this.#timer !== null) clearInterval(this.#timer);
  }

  async #look(cache: CacheRecord): Promise<void> {
    const node = this.#store
      .nodes(cache.id)
      .find(({ id, role }) => role === 'primary' && this.#fleet.state(id, role) === 'online');
    const functions = node && this.#fleet.observation(node.id)?.functions;
    if (node === undefined || functions === undefined || !cache.formed) return;
    const mark = `${node.id} ${this.#fleet.pid(node.id)} ${functions.mark}`;
    const seen = this.#seen.get(cache.id);
    const due = functions.libraries > 0 && Date.now() - (seen?.atMs ?? 0) > DUMP_AGAIN_MS;
    if (seen?.mark === mark && !due) return;
    try {
      const dump = functions.libraries === 0 ? null : await this.#fleet.dumpFunctions(node.id);
      this.#seen.set(cache.id, { mark, atMs: Date.now() });
      this.#keep(cache, dump);
    } catch (error) {
      this.#log.warn({ cache: cache.name, err: error }, 'the functions cannot be read');
    }
  }

  #keep(cache: CacheRecord, dump: Buffer | null): void {
    if (this.#store.cache(cache.id) === undefined) return;
    const kept = this.#store.functions(cache.id);
    if (dump !== null && dump.length > KEPT_MAX_BYTES) {
      this.#log.warn(
        { cache: cache.name, sizeBytes: dump.length },
        'the functions are too large to be kept; a shard that is lost with all its replicas comes back without them',
      );
      return;
    }
    if (dump === null ? kept === null : kept !== null && dump.equals(kept)) return;
    this.#store.putFunctions(cache.id, dump);
  }
}
