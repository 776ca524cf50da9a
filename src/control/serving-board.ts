/** Whether the proxies serve what was published, from what they say on the plane link. */
import { setTimeout as delay } from 'node:timers/promises';
import type { LinkedProxy } from './plane-link-server.ts';

/** Of one cache. */
export interface Serving {
  /** Every live proxy has the topology of now. */
  readonly all: boolean;
  /** What proxies that cannot serve the cache said. */
  readonly failures: readonly string[];
}

export interface ServingBoard {
  /** Waits until all live proxies have the topology of now, not longer than that; what is so then. */
  settled(cacheName: string, timeoutMs: number, signal?: AbortSignal): Promise<Serving>;
  /**
   * Waits until no live proxy has anything under way any more at the cache's nodes that leave, by the topology of now, not
   * longer than that.
   *
   * @returns whether it is so
   */
  left(cacheName: string, timeoutMs: number): Promise<boolean>;
}

const POLL_MS = 5;

/**
 * @param alive indexes of the proxies whose process is there
 * @param linked what linked proxies said
 * @param version of the topology that was published last
 */
export function servingBoard(
  alive: () => readonly number[],
  linked: () => readonly LinkedProxy[],
  version: () => number,
): ServingBoard {
  /** Each live proxy; undefined for one that has not said anything yet. */
  const said = () => {
    const byIndex = new Map(linked().map((proxy) => [proxy.index, proxy]));
    return alive().map((index) => byIndex.get(index));
  };
  const serving = (cacheName: string, wanted: number): Serving => {
    const proxies = said();
    return {
      all:
        proxies.length > 0 && proxies.every((p) => p !== undefined && p.servingVersion >= wanted),
      failures: proxies.flatMap((p) => {
        const failure = p?.failures[cacheName];
        return failure === undefined ? [] : [`proxy ${p!.index}: ${failure}`];
      }),
    };
  };
  return {
    async settled(cacheName, timeoutMs, signal) {
      const wanted = version();
      const deadline = performance.now() + timeoutMs;
      for (;;) {
        const now = serving(cacheName, wanted);
        if (now.all || performance.now() > deadline) return now;
        await delay(POLL_MS, undefined, signal && { signal });
      }
    },
    async left(cacheName, timeoutMs) {
      const wanted = version();
      const deadline = performance.now() + timeoutMs;
      const hasLeft = (proxy: LinkedProxy | undefined) =>
        proxy !== undefined && proxy.servingVersion >= wanted && !proxy.leaving.includes(cacheName);
      while (!said().every(hasLeft)) {
        if (performance.now() > deadline) return false;
        await delay(POLL_MS);
      }
      return true;
    },
  };
}
