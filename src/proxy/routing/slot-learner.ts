/** Keeps a NodeMap true by asking the nodes: when somebody has a reason to, and every few seconds without one. */
import type { Logger } from 'pino';
import type { TopologyCache } from '../../model/topology.ts';
import type { RespValue } from '../../protocol/resp-value.ts';
import type { NodeMap } from './node-map.ts';
import { readSlotMap } from './slot-refresh.ts';

/** Asked at least this often: replicas come and go without a MOVED to tell of it. */
const REFRESH_MS = 5000;
const AGAIN_MS = 2;
const NOT_READY_MS = 20;

export interface SlotLearnerParts {
  readonly map: NodeMap;
  readonly log: Logger;
  readonly cache: () => TopologyCache;
  /** Asks one node, once; null when it does not answer in time. */
  readonly question: (node: number, args: readonly string[]) => Promise<RespValue>;
  /** After each look at the map; false: look again soon (not everything that is needed is known). */
  readonly onLearned: () => Promise<boolean>;
}

export class SlotLearner {
  readonly #parts: SlotLearnerParts;
  #asking = false;
  #again = false;
  #askedAtMs = 0;
  #timer: NodeJS.Timeout | null = null;
  #closed = false;

  constructor(parts: SlotLearnerParts) {
    this.#parts = parts;
  }

  /** Asks soon; many calls make one question. */
  refresh(): void {
    if (this.#closed) return;
    if (this.#asking) {
      this.#again = true;
      return;
    }
    this.#asking = true;
    this.#askedAtMs = performance.now();
    void this.#ask();
  }

  /** Called about once a second. */
  keepFresh(): void {
    if (performance.now() - this.#askedAtMs > REFRESH_MS) this.refresh();
  }

  close(): void {
    this.#closed = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
  }

  async #ask(): Promise<void> {
    const { log, cache } = this.#parts;
    let complete = false;
    try {
      await this.#learn();
      complete = await this.#parts.onLearned();
    } catch (error) {
      log.error({ cache: cache().name, err: error }, 'could not learn the slot map');
    }
    this.#asking = false;
    if (this.#closed || (complete && !this.#again)) return;
    this.#again = false;
    this.#timer = setTimeout(() => this.refresh(), complete ? AGAIN_MS : NOT_READY_MS);
    this.#timer.unref();
  }

  async #learn(): Promise<void> {
    const { map, log, question } = this.#parts;
    const cache = this.#parts.cache();
    const seeds = map.nodes.filter(
      (node) => node.known || cache.nodes.some((seed) => seed.id === node.id),
    );
    const slots = await readSlotMap(cache, seeds, question);
    if (slots !== null && map.apply(slots)) {
      log.info(
        { cache: cache.name, epoch: map.epoch, nodes: slots.nodes.length },
        'slot map changed',
      );
    }
  }
}
