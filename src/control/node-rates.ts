/** Rates of one node, from what it said of itself at two moments about a second apart. */
import type { NodeObservation } from './node-observation.ts';

/** Per second; null: not known. */
export interface NodeRates {
  /** 0..1 */
  readonly utilisation: number | null;
  readonly networkInPerSecond: number | null;
  readonly networkOutPerSecond: number | null;
  readonly evictedKeysPerSecond: number | null;
}

/** Closer together, the two say little; further apart, little about now. */
const APART_MINIMUM_MS = 800;
const APART_MAXIMUM_MS = 10_000;

const UNKNOWN: NodeRates = {
  utilisation: null,
  networkInPerSecond: null,
  networkOutPerSecond: null,
  evictedKeysPerSecond: null,
};

export class NodeRateMeter {
  #last: NodeObservation | null = null;
  #rates: NodeRates = UNKNOWN;

  /** Takes what the node said last (null: it does not answer), and returns the rates as they are then. */
  take(seen: NodeObservation | null): NodeRates {
    if (seen === null) {
      this.#last = null;
      this.#rates = UNKNOWN;
      return this.#rates;
    }
    const last = this.#last;
    const apartMs = last === null ? 0 : seen.atMs - last.atMs;
    if (last !== null && apartMs < APART_MINIMUM_MS) return this.#rates;
    this.#last = seen;
    // Counters that have gone back are another process's.
    const continues =
      last !== null && apartMs <= APART_MAXIMUM_MS && seen.activeUs >= last.activeUs;
    if (!continues) {
      this.#rates = UNKNOWN;
      return this.#rates;
    }
    const perSecond = (now: number, before: number) => (Math.max(0, now - before) * 1000) / apartMs;
    this.#rates = {
      utilisation: Math.min(1, perSecond(seen.activeUs, last.activeUs) / 1e6),
      networkInPerSecond: perSecond(seen.networkInBytes, last.networkInBytes),
      networkOutPerSecond: perSecond(seen.networkOutBytes, last.networkOutBytes),
      evictedKeysPerSecond: perSecond(seen.evictedKeys, last.evictedKeys),
    };
    return this.#rates;
  }
}
