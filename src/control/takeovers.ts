/**
 * Keeps a takeover of a shard and the giving away of its slots apart. Each makes a claim newer than all others: a new primary
 * that has not heard of a slot that is being given to another shard at that moment claims it too, its new owner gives way, and
 * drops its keys.
 */
import { setTimeout as delay } from 'node:timers/promises';

interface Shard {
  /** Takeovers that have begun. */
  turn: number;
  /** Of those, under way. */
  takingOver: number;
  readonly giving: Set<Promise<unknown>>;
}

/** A slot is given in milliseconds, and the engine gives up waiting for a replica after 2 s. */
const GIVING_TIMEOUT_MS = 2_500;

export class Takeovers {
  readonly #shards = new Map<string, Shard>();

  /** To be asked before one looks at who owns what, and told to `give`. */
  turnOf(cacheId: string, shard: number): number {
    return this.#of(cacheId, shard).turn;
  }

  /**
   * Does what gives slots of a shard to another one.
   *
   * @throws Error when the shard has been taken over since that turn, or is now: what was seen then is not so any more
   */
  async give<T>(cacheId: string, shard: number, turn: number, work: () => Promise<T>): Promise<T> {
    const one = this.#of(cacheId, shard);
    if (one.turn !== turn || one.takingOver > 0)
      throw new Error(`shard ${shard} got another primary: its slots are looked at again`);
    const given = work();
    one.giving.add(given);
    try {
      return await given;
    } finally {
      one.giving.delete(given);
    }
  }

  /** Does what gives a shard another primary, when nothing of it is being given away any more. */
  async takeOver<T>(cacheId: string, shard: number, work: () => Promise<T>): Promise<T> {
    const one = this.#of(cacheId, shard);
    one.turn++;
    one.takingOver++;
    try {
      if (one.giving.size > 0) {
        const patience = new AbortController();
        await Promise.race([
          Promise.allSettled(one.giving),
          delay(GIVING_TIMEOUT_MS, undefined, { signal: patience.signal }).catch(() => undefined),
        ]);
        patience.abort();
      }
      return await work();
    } finally {
      one.takingOver--;
    }
  }

  #of(cacheId: string, shard: number): Shard {
    const key = `${cacheId} ${shard}`;
    let one = this.#shards.get(key);
    if (one === undefined)
      this.#shards.set(key, (one = { turn: 0, takingOver: 0, giving: new Set() }));
    return one;
  }
}
