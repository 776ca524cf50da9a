/**
 * `/metrics`: what the proxies counted and how the nodes are, in Prometheus' words. The names are documented in
 * docs/metrics.md; a name, once released, keeps its meaning.
 *
 * Counters are sums over proxies (usage-board.ts), made anew at each scrape from what the proxies sent last.
 */
import { Counter, Gauge, Registry, collectDefaultMetrics } from 'prom-client';
import type { ControlPlane } from '../control/control-plane.ts';
import type { UsageBoard } from '../control/usage-board.ts';
import {
  COMMAND_GROUPS,
  LATENCY_BOUNDS_US,
  type CacheUsage,
  type LatencyHistogram,
} from '../model/usage.ts';

export type RenderMetrics = () => Promise<{ contentType: string; text: string }>;

const US_PER_SECOND = 1e6;
/** Slots that have a series, and from which part of their cache's ECPU on. */
const HOT_SLOTS = 16;
const HOT_SLOT_SHARE = 0.01;
const DAEMON_PREFIX = 'springtide_daemon_';

/** Counters of a cache that are one number. */
const CACHE_COUNTERS = [
  ['connections_opened_total', 'Client connections accepted.', 'connectionsTotal'],
  ['connections_refused_total', 'Client connections refused at the limit.', 'connectionsRefused'],
  ['auth_failures_total', 'Logins with a wrong user or password.', 'authFailures'],
  ['ecpu_total', 'Work as it is metered, in ECPU.', 'ecpu'],
  [
    'throttled_total',
    'Requests that waited because the cache was at its request limit.',
    'throttled',
  ],
  [
    'throttled_refused_total',
    'Requests refused because the cache was at its request limit for longer than its deadline.',
    'throttledRefused',
  ],
  ['received_bytes_total', 'Bytes read from clients.', 'bytesIn'],
  ['sent_bytes_total', 'Bytes written to clients.', 'bytesOut'],
  ['pauses_total', 'Times a client was not read because a queue was full.', 'pauses'],
  [
    'retries_total',
    'Requests sent again after a redirect, a refusal that passes or a lost node.',
    'retries',
  ],
  ['held_total', 'Requests held because no node could take them.', 'held'],
  [
    'slow_readers_cut_total',
    'Clients cut because they read too slowly, or what they left unread or half sent took too much memory.',
    'slowReadersCut',
  ],
  ['near_hits_total', 'Reads answered by the near cache, without a node.', 'nearHits'],
  ['near_fills_total', "Reads of the near cache's own, to keep the reply.", 'nearFills'],
  [
    'near_invalidations_total',
    'Times a node told of a change of a key that the near cache has for hot.',
    'nearInvalidations',
  ],
  ['near_drops_total', 'Replies of the near cache dropped before their time.', 'nearDrops'],
] as const satisfies readonly (readonly [string, string, keyof CacheUsage])[];

/** What is told of a control plane. */
export interface MetricsSource extends Pick<
  ControlPlane,
  'caches' | 'proxies' | 'observation' | 'heat'
> {
  readonly usage: Pick<UsageBoard, 'totals'>;
}

/**
 * Sums that prom-client names as counters although they are gauges; the gauges by type that they are the sums of stay
 * (`promtool check metrics` is right to complain).
 */
const MISNAMED = [
  'nodejs_active_handles_total',
  'nodejs_active_requests_total',
  'nodejs_active_resources_total',
];

/** Everything but the latency histogram, which prom-client cannot take as ready-made buckets. */
export function metricsRenderer(control: MetricsSource): RenderMetrics {
  const daemon = new Registry();
  collectDefaultMetrics({ register: daemon, prefix: DAEMON_PREFIX });
  for (const name of MISNAMED) daemon.removeSingleMetric(`${DAEMON_PREFIX}${name}`);
  return async () => {
    const registry = new Registry();
    collectCaches(registry, control);
    collectNodes(registry, control);
    collectHeat(registry, control);
    collectProxies(registry, control);
    const parts = [await registry.metrics(), latencyText(control), await daemon.metrics()];
    return { contentType: registry.contentType, text: parts.join('\n') };
  };
}

function collectCaches(registry: Registry, control: MetricsSource): void {
  const registers = [registry];
  const requests = new Counter({
    name: 'springtide_requests_total',
    help: 'Requests, by group of command.',
    labelNames: ['cache', 'group'],
    registers,
  });
  const errors = new Counter({
    name: 'springtide_errors_total',
    help: 'Error replies, by their first word.',
    labelNames: ['cache', 'kind'],
    registers,
  });
  const connections = new Gauge({
    name: 'springtide_connections',
    help: 'Client connections that are open.',
    labelNames: ['cache'],
    registers,
  });
  const available = new Gauge({
    name: 'springtide_cache_available',
    help: '1 while the cache is available.',
    labelNames: ['cache'],
    registers,
  });
  const counters = CACHE_COUNTERS.map(([name, help, field]) => ({
    field,
    counter: new Counter({ name: `springtide_${name}`, help, labelNames: ['cache'], registers }),
  }));
  for (const { spec, state } of control.caches()) {
    const cache = spec.name;
    available.set({ cache }, state === 'available' ? 1 : 0);
    const usage = control.usage.totals(cache);
    if (usage === null) continue;
    connections.set({ cache }, usage.connections);
    for (const group of COMMAND_GROUPS)
      requests.inc({ cache, group }, usage.requestsByGroup[group]);
    for (const [kind, n] of Object.entries(usage.errorsByKind)) errors.inc({ cache, kind }, n);
    for (const { field, counter } of counters) counter.inc({ cache }, usage[field]);
  }
}

function collectNodes(registry: Registry, control: MetricsSource): void {
  const gauge = (name: string, help: string, labels: readonly string[] = []) =>
    new Gauge({
      name: `springtide_node_${name}`,
      help,
      labelNames: ['cache', 'node', ...labels],
      registers: [registry],
    });
  const up = gauge('up', '1 while the node is online.', ['shard', 'role']);
  const memory = gauge('used_memory_bytes', 'Memory the engine uses.');
  const memoryMaximum = gauge('memory_maximum_bytes', 'Limit of that memory; 0: none.');
  const resident = gauge('resident_bytes', 'Memory the process has from the system.');
  const ioThreads = gauge('io_threads', 'Threads for I/O, the main thread included.');
  const keys = gauge('keys', 'Keys in all databases.');
  const counter = (name: string, help: string) =>
    new Counter({
      name: `springtide_node_${name}_total`,
      help,
      labelNames: ['cache', 'node'],
      registers: [registry],
    });
  const hits = counter('hits', 'Key lookups that found a key, since the process started.');
  const misses = counter('misses', 'Key lookups that found none, since the process started.');
  const evicted = counter('evicted_keys', 'Keys removed for memory, since the process started.');
  const expired = counter('expired_keys', 'Keys that ran out, since the process started.');
  const received = counter('received_bytes', 'Bytes received, replication included.');
  const sent = counter('sent_bytes', 'Bytes sent, replication included.');
  const lag = gauge('replication_lag_bytes', 'Replica: bytes behind its primary.');
  const restarts = gauge('restarts', 'Times the node was started again.');
  const pending = gauge('pending_requests', 'Requests proxies wait for.');
  const connections = gauge('proxy_connections', 'Connections proxies hold.');
  for (const { spec, nodes, traffic } of control.caches()) {
    const cache = spec.name;
    for (const node of nodes) {
      const labels = { cache, node: node.id };
      up.set(
        { ...labels, shard: String(node.shard), role: node.role },
        node.state === 'online' ? 1 : 0,
      );
      restarts.set(labels, node.restarts);
      const seen = control.observation(node.id);
      if (seen !== null) {
        memoryMaximum.set(labels, seen.memoryMaximumBytes);
        resident.set(labels, seen.residentBytes);
        if (seen.ioThreads !== null) ioThreads.set(labels, seen.ioThreads);
        received.inc(labels, seen.networkInBytes);
        sent.inc(labels, seen.networkOutBytes);
        hits.inc(labels, seen.hits);
        misses.inc(labels, seen.misses);
        evicted.inc(labels, seen.evictedKeys);
        expired.inc(labels, seen.expiredKeys);
      }
      if (node.usedMemoryBytes !== null) memory.set(labels, node.usedMemoryBytes);
      if (node.keys !== null) keys.set(labels, node.keys);
      if (node.replicationLagBytes !== null) lag.set(labels, node.replicationLagBytes);
    }
    for (const node of traffic?.nodes ?? []) {
      pending.set({ cache, node: node.id }, node.pendingRequests);
      connections.set({ cache, node: node.id }, node.connections);
    }
  }
}

/** Where the load is: of the slots only the hottest, so that a cache has so many series at most. */
function collectHeat(registry: Registry, control: MetricsSource): void {
  const gauge = (name: string, help: string, label: string) =>
    new Gauge({
      name: `springtide_${name}`,
      help,
      labelNames: ['cache', label],
      registers: [registry],
    });
  const utilisation = gauge(
    'node_utilisation_ratio',
    'Part of the last second in which the main thread worked.',
    'node',
  );
  const ecpu = gauge('node_ecpu_per_second', 'ECPU per second of the slots of a primary.', 'node');
  const slots = gauge('node_slots', 'Slots that the node owns.', 'node');
  const hot = gauge(
    'hot_slot_ecpu_per_second',
    'ECPU per second of the hottest slots: those with at least 1 % of their cache, 16 at most.',
    'slot',
  );
  for (const { spec } of control.caches()) {
    const cache = spec.name;
    const heat = control.heat(cache);
    if (heat === null) continue;
    for (const node of heat.nodes) {
      if (node.utilisation !== null)
        utilisation.set({ cache, node: node.nodeId }, node.utilisation);
      if (node.role === 'replica') continue;
      ecpu.set({ cache, node: node.nodeId }, node.ecpuPerSecond);
      slots.set({ cache, node: node.nodeId }, node.slots);
    }
    for (const { slot, rate } of hottestSlots(heat.smoothed.ecpu))
      hot.set({ cache, slot: String(slot) }, rate);
  }
}

function hottestSlots(rates: Float64Array): { slot: number; rate: number }[] {
  const least = rates.reduce((sum, rate) => sum + rate, 0) * HOT_SLOT_SHARE;
  // What has cooled down is never quite nothing.
  if (least < 1) return [];
  return [...rates]
    .map((rate, slot) => ({ slot, rate }))
    .filter(({ rate }) => rate >= least)
    .sort((a, b) => b.rate - a.rate)
    .slice(0, HOT_SLOTS);
}

function collectProxies(registry: Registry, control: MetricsSource): void {
  const gauge = (name: string, help: string) =>
    new Gauge({
      name: `springtide_proxy_${name}`,
      help,
      labelNames: ['proxy'],
      registers: [registry],
    });
  const up = gauge('up', '1 while the proxy serves.');
  const restarts = gauge('restarts', 'Times the proxy was started again by this daemon.');
  const memory = gauge('memory_bytes', 'Resident memory of the proxy.');
  const cpu = new Counter({
    name: 'springtide_proxy_cpu_seconds_total',
    help: 'CPU time of the proxy since it started.',
    labelNames: ['proxy'],
    registers: [registry],
  });
  for (const one of control.proxies()) {
    const proxy = String(one.index);
    up.set({ proxy }, one.state === 'serving' ? 1 : 0);
    restarts.set({ proxy }, one.restarts);
    memory.set({ proxy }, one.memoryBytes);
    cpu.inc({ proxy }, one.cpuSeconds);
  }
}

/** `springtide_request_duration_seconds`: the proxies' buckets, summed, in exposition format. */
function latencyText(control: MetricsSource): string {
  const name = 'springtide_request_duration_seconds';
  const lines = [
    `# HELP ${name} Time from a request's last byte to its reply's first, by group of command.`,
    `# TYPE ${name} histogram`,
  ];
  for (const { spec } of control.caches()) {
    const usage = control.usage.totals(spec.name);
    if (usage === null) continue;
    for (const group of COMMAND_GROUPS) {
      lines.push(...histogramLines(name, spec.name, group, usage.latencyByGroup[group]));
    }
  }
  return `${lines.join('\n')}\n`;
}

/** Cumulative buckets; the last, unbounded one is the count itself. Cache names need no escaping. */
function histogramLines(
  name: string,
  cache: string,
  group: string,
  histogram: LatencyHistogram,
): string[] {
  const labels = `cache="${cache}",group="${group}"`;
  let below = 0;
  const lines = LATENCY_BOUNDS_US.map((boundUs, i) => {
    below += histogram.buckets[i] ?? 0;
    return `${name}_bucket{${labels},le="${boundUs / US_PER_SECOND}"} ${below}`;
  });
  const all = below + (histogram.buckets[LATENCY_BOUNDS_US.length] ?? 0);
  return [
    ...lines,
    `${name}_bucket{${labels},le="+Inf"} ${all}`,
    `${name}_sum{${labels}} ${histogram.sumUs / US_PER_SECOND}`,
    `${name}_count{${labels}} ${all}`,
  ];
}
