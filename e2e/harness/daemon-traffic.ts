/** Value-checked traffic on a cache of a real daemon, while something happens to it; and what the daemon told of that. */
import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { eventually, type TestDaemon } from '../../src/daemon/fixtures/test-daemon.ts';
import type { CacheEvent } from '../../src/model/admin-api.ts';
import { CheckedTraffic } from './checked-traffic.ts';
import { RawClient } from './raw-client.ts';

/** For TestDaemon: real proxies. */
export const REAL_PROXIES = `--proxy-script=${fileURLToPath(new URL('../../src/daemon/proxy.ts', import.meta.url))}`;

const CONNECTIONS = 12;
/** What a primary acknowledged in this time before its end may not have left its socket: asynchronous replication. */
const REPLICATION_WINDOW_MS = 500;

/** @param allowed kinds of errors that clients may see; INDOUBT is what a request under way gets when its node ends */
export async function underTraffic(
  t: TestContext,
  daemon: TestDaemon,
  cache: string,
  disturb: () => Promise<void>,
  allowed: readonly string[] = ['INDOUBT'],
): Promise<CheckedTraffic> {
  const { port } = daemon.topologyCache(cache);
  const traffic = new CheckedTraffic(
    { connect: (options) => RawClient.connect(port, options) },
    `traffic-${Date.now()}`,
    CONNECTIONS,
  );
  traffic.start();
  await delay(300);
  const disturbedMs = performance.now();
  await disturb();
  await delay(300);
  await traffic.stop();
  t.diagnostic(traffic.report);
  assert.deepEqual(traffic.wrong, []);
  for (const lost of traffic.lost) {
    assert.ok(Math.abs(lost.acknowledgedMs - disturbedMs) < REPLICATION_WINDOW_MS);
  }
  if (traffic.lost.length === 0) assert.equal(traffic.lostIncrements, 0);
  for (const kind of traffic.errors.keys()) assert.ok(allowed.includes(kind), kind);
  return traffic;
}

/** The id of the daemon's newest event. */
export async function lastEvent(daemon: TestDaemon): Promise<number> {
  return (await daemon.json<CacheEvent[]>('GET', '/v1/events')).at(-1)!.id;
}

/** All events after one of them. */
export function eventsAfter(daemon: TestDaemon, after: number): Promise<CacheEvent[]> {
  return daemon.json('GET', `/v1/events?limit=1000&after=${after}`);
}

/** The first event of each kind after another one, once all are there. */
export async function firstEvents(
  daemon: TestDaemon,
  after: number,
  kinds: readonly string[],
): Promise<CacheEvent[]> {
  let found: (CacheEvent | undefined)[] = [];
  await eventually(`events ${kinds.join()}`, async () => {
    const all = await eventsAfter(daemon, after);
    found = kinds.map((kind) => all.find((event) => event.kind === kind));
    return found.every((event) => event !== undefined);
  });
  return found.map((event) => event!);
}
