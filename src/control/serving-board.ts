/** Whether the proxies serve what was published, from what they say on the plane link. */
import type { ServingBoard } from './cache-lifecycle.ts';
import type { LinkedProxy } from './plane-link-server.ts';

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
  return {
    serving(cacheName) {
      const byIndex = new Map(linked().map((proxy) => [proxy.index, proxy]));
      const indexes = alive();
      const now = version();
      const proxies = indexes.map((index) => byIndex.get(index));
      return {
        all: indexes.length > 0 && proxies.every((p) => p !== undefined && p.servingVersion >= now),
        failures: proxies.flatMap((p) => {
          const failure = p?.failures[cacheName];
          return failure === undefined ? [] : [`proxy ${p!.index}: ${failure}`];
        }),
      };
    },
  };
}
