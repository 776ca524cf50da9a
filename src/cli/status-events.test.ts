import assert from 'node:assert/strict';
import { test } from 'node:test';
import { cacheSpecSchema } from '../model/cache-spec.ts';
import type { CacheStatus, SystemStatus } from '../model/admin-api.ts';
import { fakeCache } from './fake-api-server.ts';
import { eventsBetween } from './status-events.ts';

const cache = fakeCache(cacheSpecSchema.parse({ name: 'main', shards: 1, replicas: 1 }));

function system(caches: CacheStatus[], proxy = {}): SystemStatus {
  return {
    version: '0.1.0',
    pid: 1,
    startedAtMs: 0,
    dataDir: '/d',
    metricsUrl: null,
    proxies: [
      {
        index: 0,
        pid: 9,
        state: 'serving',
        restarts: 0,
        topologyVersion: 1,
        cpuSeconds: 0,
        memoryBytes: 0,
        ...proxy,
      },
    ],
    caches,
  };
}

test('traffic is no event', () => {
  assert.deepEqual(eventsBetween(system([cache]), system([{ ...cache, traffic: null }])), []);
});

test('a failover tells who died and who took over', () => {
  const [primary, replica] = cache.nodes;
  const later = {
    ...cache,
    nodes: [
      { ...primary!, role: 'replica' as const, state: 'starting' as const, restarts: 1, pid: 77 },
      { ...replica!, role: 'primary' as const },
    ],
  };
  assert.deepEqual(eventsBetween(system([cache]), system([later])), [
    'main: node main-0-0 (shard 0) restarted (pid 77)',
    'main: node main-0-0 (shard 0) online -> starting',
    'main: node main-0-0 (shard 0) is replica now',
    'main: node main-0-1 (shard 0) is primary now',
  ]);
});

test('caches, nodes, proxies and the daemon come and go', () => {
  assert.deepEqual(eventsBetween(system([cache]), system([])), ['main: deleted']);
  assert.deepEqual(eventsBetween(system([]), system([{ ...cache, state: 'creating' }])), [
    'main: creating',
  ]);
  assert.deepEqual(
    eventsBetween(system([cache]), system([{ ...cache, nodes: cache.nodes.slice(0, 1) }])),
    ['main: node main-0-1 is gone'],
  );
  assert.deepEqual(eventsBetween(system([]), system([], { restarts: 1, pid: 10 })), [
    'proxy 0: restarted (pid 10)',
  ]);
  assert.deepEqual(eventsBetween(system([]), { ...system([]), pid: 2 }), [
    'daemon restarted (pid 1 -> 2)',
  ]);
});
