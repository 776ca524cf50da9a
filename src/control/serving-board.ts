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
  const serving = (cacheName: string, wanted: number): Serving => {
    const byIndex = new Map(linked().map((proxy) => [proxy.index, proxy]));
    const indexes = alive();
    const proxies = indexes.map((index) => byIndex.get(index));
    return {
      all:
        indexes.length > 0 && proxies.every((p) => p !== undefined && p.servingVersion >= wanted),
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
  };
}
