import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { suite, test } from 'node:test';
import type { CacheStatus, NodeStatus } from '../model/admin-api.ts';
import { cacheSpecSchema } from '../model/cache-spec.ts';
import type { CacheHeat } from '../model/heat.ts';
import {
  COMMAND_GROUPS,
  LATENCY_BOUNDS_US,
  type CacheUsage,
  type CommandGroup,
} from '../model/usage.ts';
import { metricsRenderer, type MetricsSource } from './metrics.ts';

const DOC = new URL('../../docs/metrics.md', import.meta.url);

const perGroup = <T>(value: T) =>
  Object.fromEntries(COMMAND_GROUPS.map((group) => [group, value])) as Record<CommandGroup, T>;
const buckets = LATENCY_BOUNDS_US.map(() => 2);
const usage: CacheUsage = {
  name: 'main',
  requests: 800,
  requestsByGroup: perGroup(100),
  errorsByKind: { WRONGTYPE: 3 },
  latencyByGroup: perGroup({ buckets: [...buckets, 4], count: 50, sumUs: 2_500_000 }),
  connections: 5,
  connectionsTotal: 9,
  connectionsRefused: 1,
  authFailures: 2,
  ecpu: 7,
  throttled: 8,
  throttledRefused: 9,
  throttledMs: 10,
  bytesIn: 10,
  bytesOut: 20,
  pauses: 3,
  retries: 4,
  held: 5,
  slowReadersCut: 6,
  nearHits: 7,
  nearFills: 8,
  nearInvalidations: 9,
  nearDrops: 10,
  nodes: [],
};
const node: NodeStatus = {
  id: 'main-0',
  host: '127.0.0.1',
  hostId: 'local',
  zone: 'local',
  port: 21_000,
  pid: 1,
  shard: 0,
  role: 'replica',
  state: 'online',
  engineVersion: '9.1.2',
  usedMemoryBytes: 1_000,
  keys: 7,
  replicationLagBytes: 0,
  restarts: 1,
};
const cache: CacheStatus = {
  spec: cacheSpecSchema.parse({ name: 'main' }),
  id: 'c',
  state: 'available',
  reason: null,
  engineFullVersion: '9.1.2',
  endpoint: '127.0.0.1:6379',
  readerEndpoint: '127.0.0.1:6380',
  createdAtMs: 1,
  nodes: [node],
  traffic: {
    requestsPerSecond: 1,
    connections: 5,
    bytesInPerSecond: 1,
    bytesOutPerSecond: 1,
    errorsByKind: {},
    retries: 0,
    latencyByGroup: usage.latencyByGroup,
    nodes: [
      {
        id: 'main-0',
        address: '127.0.0.1:21000',
        role: 'replica',
        connected: true,
        connections: 2,
        pendingRequests: 1,
      },
    ],
  },
};
const bySlot = (over: Readonly<Record<number, number>> = {}) => {
  const values = new Float64Array(16_384);
  for (const [slot, value] of Object.entries(over)) values[Number(slot)] = value;
  return values;
};
const rates = { requests: bySlot(), ecpu: bySlot(), bytesIn: bySlot(), bytesOut: bySlot() };
const heat: CacheHeat = {
  cache: 'main',
  atMs: 1,
  sampledAtMs: 1,
  rates,
  // One slot that is hot, one that is not, and more that are hot than are shown.
  smoothed: {
    ...rates,
    ecpu: bySlot({
      7: 1000,
      8: 1,
      ...Object.fromEntries(Array.from({ length: 20 }, (_, i) => [100 + i, 100 + i])),
    }),
  },
  keys: bySlot(),
  cpuUsPerSecond: bySlot(),
  memoryBytes: bySlot(),
  owners: new Int32Array(16_384),
  total: { requests: 0, ecpu: 0, bytesIn: 0, bytesOut: 0 },
  nodes: [
    {
      nodeId: 'main-0',
      shard: 0,
      role: 'primary',
      utilisation: 0.5,
      ioThreads: 1,
      usedMemoryBytes: 1,
      memoryMaximumBytes: 2,
      datasetBytes: 1,
      residentBytes: 1,
      networkInPerSecond: 1,
      networkOutPerSecond: 1,
      replicationLagBytes: null,
      keys: 1,
      evictedKeysPerSecond: 0,
      requestsPerSecond: 1,
      ecpuPerSecond: 250,
      slots: 16_384,
    },
  ],
  hotKeys: [],
};
const source: MetricsSource = {
  heat: () => heat,
  caches: () => [cache],
  proxies: () => [
    {
      index: 0,
      pid: 2,
      state: 'serving',
      restarts: 0,
      topologyVersion: 1,
      cpuSeconds: 1.5,
      memoryBytes: 5_000,
    },
  ],
  observation: () => ({
    atMs: 1,
    memoryMaximumBytes: 4_000,
    datasetBytes: 900,
    residentBytes: 2_000,
    activeUs: 1,
    networkInBytes: 1,
    networkOutBytes: 1,
    ioThreads: 1,
    role: 'replica',
    primaryPort: 1,
    linkUp: true,
    syncing: false,
    loading: false,
    offset: 1,
    replicaOffsets: new Map(),
    usedMemoryBytes: 1_000,
    keys: 7,
    hits: 11,
    misses: 12,
    evictedKeys: 13,
    expiredKeys: 14,
    version: '9.1.2',
    missedWrites: 0,
    fullSyncs: 0,
    functions: { libraries: 0, mark: '' },
  }),
  usage: { totals: () => usage },
};

async function rendered(): Promise<{ text: string; types: Map<string, string> }> {
  const { text } = await metricsRenderer(source)();
  const types = new Map(
    [...text.matchAll(/^# TYPE (\S+) (\w+)$/gm)].map(([, name, type]) => [name!, type!]),
  );
  return { text, types };
}

suite('/metrics', () => {
  test('names say what a metric is, as Prometheus has it, and each has a sentence', async () => {
    const { text, types } = await rendered();
    assert.ok(types.size > 40, String(types.size));
    for (const [name, type] of types) {
      assert.match(name, /^springtide_[a-z0-9_]+$/);
      assert.equal(name.endsWith('_total'), type === 'counter', `${name} is a ${type}`);
      assert.doesNotMatch(name, /_(count|sum|bucket|info_total|ms|us|kb|mb)$/);
      assert.match(text, new RegExp(`^# HELP ${name} \\S`, 'm'));
    }
    const samples = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
    for (const line of samples) {
      const [, name, value] = /^([a-z0-9_]+)(?:\{.*\})? (\S+)$/.exec(line) ?? [];
      assert.ok(name !== undefined && value !== 'NaN' && value !== '', line);
      assert.ok(types.has(name) || types.has(name.replace(/_(bucket|sum|count)$/, '')), line);
    }
    assert.equal(new Set(samples.map((line) => line.split(' ')[0])).size, samples.length);
  });

  test('values arrive, with their labels', async () => {
    const { text } = await rendered();
    for (const line of [
      'springtide_requests_total{cache="main",group="read"} 100',
      'springtide_errors_total{cache="main",kind="WRONGTYPE"} 3',
      'springtide_node_up{cache="main",node="main-0",shard="0",role="replica"} 1',
      'springtide_node_hits_total{cache="main",node="main-0"} 11',
      'springtide_node_proxy_connections{cache="main",node="main-0"} 2',
      'springtide_ecpu_total{cache="main"} 7',
      'springtide_node_utilisation_ratio{cache="main",node="main-0"} 0.5',
      'springtide_node_ecpu_per_second{cache="main",node="main-0"} 250',
      'springtide_hot_slot_ecpu_per_second{cache="main",slot="7"} 1000',
      'springtide_proxy_cpu_seconds_total{proxy="0"} 1.5',
      'springtide_request_duration_seconds_bucket{cache="main",group="read",le="0.00008"} 4',
      'springtide_request_duration_seconds_bucket{cache="main",group="read",le="+Inf"} 50',
      'springtide_request_duration_seconds_sum{cache="main",group="read"} 2.5',
    ])
      assert.ok(text.split('\n').includes(line), line);
    const hotSlots = [...text.matchAll(/^springtide_hot_slot_\w+{cache="main",slot="(\d+)"}/gm)];
    assert.equal(hotSlots.length, 16);
    assert.ok(!hotSlots.some(([, slot]) => slot === '8'));
  });

  test('docs/metrics.md has them all, and no others', async () => {
    const { types } = await rendered();
    const documented = new Set(
      [...readFileSync(DOC, 'utf8').matchAll(/^\| (`.*?) \|/gm)].flatMap(([, cell]) =>
        [...cell!.matchAll(/`(\w+)`/g)].map(([, name]) => name!),
      ),
    );
    const told = [...types.keys()].filter((name) => !name.startsWith('springtide_daemon_'));
    assert.deepEqual([...documented].sort(), told.sort());
  });

  test('promtool has nothing to say', (t) => {
    if (spawnSync('promtool', ['--version']).error !== undefined)
      return t.skip(
        'no promtool here: Debian has it in the package prometheus, .ci/run installs it',
      );
    return rendered().then(({ text }) => {
      const { status, stderr } = spawnSync('promtool', ['check', 'metrics'], {
        input: text,
        encoding: 'utf8',
      });
      assert.equal(`${stderr}${status}`, '0');
    });
  });
});
