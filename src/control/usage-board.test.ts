import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import {
  COMMAND_GROUPS,
  LATENCY_BOUNDS_US,
  type CacheUsage,
  type CommandGroup,
  type ProxyUsage,
} from '../model/usage.ts';
import { UsageBoard } from './usage-board.ts';

const perGroup = <T>(value: T) =>
  Object.fromEntries(COMMAND_GROUPS.map((group) => [group, value])) as Record<CommandGroup, T>;

function cacheUsage(requests: number, over: Partial<CacheUsage> = {}): CacheUsage {
  const buckets = Array.from({ length: LATENCY_BOUNDS_US.length + 1 }, () => 1);
  return {
    name: 'main',
    requests,
    requestsByGroup: perGroup(requests),
    errorsByKind: { ERR: 1 },
    latencyByGroup: perGroup({ buckets, count: buckets.length, sumUs: 10 }),
    connections: 5,
    connectionsTotal: 9,
    connectionsRefused: 0,
    authFailures: 0,
    ecpu: requests,
    throttled: 0,
    throttledRefused: 0,
    throttledMs: 0,
    bytesIn: requests * 10,
    bytesOut: 0,
    pauses: 0,
    retries: 0,
    held: 0,
    slowReadersCut: 0,
    nearHits: 0,
    nearFills: 0,
    nearInvalidations: 0,
    nearDrops: 0,
    nodes: [
      {
        id: 'n1',
        address: '127.0.0.1:1',
        role: 'primary',
        connected: true,
        connections: 2,
        pendingRequests: 1,
      },
    ],
    ...over,
  };
}

const report = (proxy: number, startedAtMs: number, caches: CacheUsage[]): ProxyUsage => ({
  proxy,
  pid: 1,
  startedAtMs,
  topologyVersion: 1,
  cpuSeconds: 1,
  memoryBytes: 1,
  caches,
});

suite('UsageBoard', () => {
  test('proxies are summed, gauges and nodes too', () => {
    const board = new UsageBoard(() => 0);
    board.report(report(0, 1, [cacheUsage(100)]));
    board.report(report(1, 1, [cacheUsage(50, { errorsByKind: { ERR: 2, OOM: 1 } })]));
    const sum = board.totals('main')!;
    assert.equal(sum.requests, 150);
    assert.equal(sum.connections, 10);
    assert.deepEqual(sum.errorsByKind, { ERR: 3, OOM: 1 });
    assert.equal(sum.latencyByGroup.read.buckets[3], 2);
    assert.equal(sum.nodes[0]!.connections, 4);
    assert.equal(board.totals('other'), null);
  });

  test('a proxy that started again does not take its counters back', () => {
    const board = new UsageBoard(() => 0);
    board.report(report(0, 1, [cacheUsage(100)]));
    board.report(report(0, 2, [cacheUsage(3)]));
    const sum = board.totals('main')!;
    assert.equal(sum.requests, 103);
    assert.equal(sum.connections, 5);
    assert.equal(sum.connectionsTotal, 18);
  });

  test('rates are of the last two reports, and end when a proxy falls silent', () => {
    let nowMs = 0;
    const board = new UsageBoard(() => nowMs);
    board.report(report(0, 1, [cacheUsage(100)]));
    assert.equal(board.traffic('main')!.requestsPerSecond, 0);
    nowMs = 500;
    board.report(report(0, 1, [cacheUsage(300)]));
    assert.equal(board.traffic('main')!.requestsPerSecond, 400);
    assert.equal(board.traffic('main')!.bytesInPerSecond, 4000);
    nowMs = 60_000;
    const silent = board.traffic('main')!;
    assert.equal(silent.requestsPerSecond, 0);
    assert.equal(silent.connections, 0);
    assert.equal(board.totals('main')!.requests, 300);
  });
});
