/** Waits for caches that a restarted daemon brings back: nodes online, proxies serving. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { CacheStatus, SystemStatus } from '../model/admin-api.ts';
import type { ApiClient } from './api-client.ts';
import { plural } from './cache-words.ts';
import type { Report } from './progress-view.ts';

const POLL_MS = 100;
const GIVE_UP_MS = 120_000;

/** Why a cache does not serve yet, or null when it does. */
function waitingFor(cache: CacheStatus, status: SystemStatus): string | null {
  if (cache.state === 'create-failed') return null;
  if (cache.state !== 'available') return `${cache.spec.name} is ${cache.state}`;
  const down = cache.nodes.filter((node) => node.state !== 'online').length;
  if (down > 0) return `${plural(down, 'node')} of ${cache.spec.name}`;
  if (!status.proxies.some((proxy) => proxy.state === 'serving')) return 'the first proxy';
  return null;
}

/** The status as soon as every cache serves, or what it is when patience ends: the caller shows what is missing. */
export async function waitUntilServing(
  client: ApiClient,
  report: Report,
  signal: AbortSignal,
): Promise<SystemStatus> {
  const giveUpAtMs = Date.now() + GIVE_UP_MS;
  for (;;) {
    const status = await client.call<SystemStatus>('GET', '/v1/status', { signal });
    const waiting = status.caches
      .map((cache) => waitingFor(cache, status))
      .filter((reason) => reason !== null);
    if (waiting.length === 0 || Date.now() > giveUpAtMs) return status;
    const total = status.caches.length;
    report(`waiting for ${waiting[0]}`, total === 0 ? 0 : (total - waiting.length) / total);
    await sleep(POLL_MS, undefined, { signal });
  }
}
