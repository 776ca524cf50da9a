/** The lines of `springtide status`: pure functions of what the API said. */
import type { CacheStatus, NodeStatus, ProxyStatus, SystemStatus } from '../model/admin-api.ts';
import { THIS_MACHINE } from '../model/host-spec.ts';
import { COMMAND_GROUPS } from '../model/usage.ts';
import { describeShape, keyCount, paintState, plural, usedMemoryBytes } from './cache-words.ts';
import { formatAge, formatBytes, formatCount, formatMicros } from '../lib/human-units.ts';
import { histogramSince, latencyQuantileUs } from './latency-quantile.ts';
import { cacheTable } from './list.ts';
import { formatFields, formatTable, type Column } from './table.ts';
import type { Style, Terminal } from './terminal.ts';

const NODE_STYLES: Readonly<Record<NodeStatus['state'], Style>> = {
  online: 'green',
  starting: 'cyan',
  syncing: 'cyan',
  stopping: 'yellow',
  lost: 'red',
};
const PROXY_STYLES: Readonly<Record<ProxyStatus['state'], Style>> = {
  serving: 'green',
  starting: 'cyan',
  lost: 'red',
};

/** The whole system: daemon, caches, proxies. */
export function systemLines(status: SystemStatus, nowMs: number, terminal: Terminal): string[] {
  return [
    ...formatFields(
      [
        [
          'Springtide',
          `${status.version}, up ${formatAge(nowMs - status.startedAtMs)}, pid ${status.pid}`,
        ],
        ['Data', status.dataDir],
        ['Metrics', status.metricsUrl ?? 'none (its port is in use)'],
      ],
      (text) => terminal.paint('dim', text),
      '',
    ),
    '',
    ...(status.caches.length === 0 ? ['No caches.'] : cacheTable(status.caches, terminal)),
    ...status.caches.flatMap((cache) => reasonLines(cache, terminal)),
    '',
    ...proxyTable(status.proxies, terminal),
  ];
}

/**
 * One cache with its traffic and nodes.
 * @param earlier a reading before this one: latencies are of the time between; without it, of the proxies' whole life
 */
export function cacheLines(
  cache: CacheStatus,
  earlier: CacheStatus | null,
  nowMs: number,
  terminal: Terminal,
): string[] {
  const { spec, traffic } = cache;
  const limits = [
    spec.limits.memoryMaximumBytes > 0
      ? `memory ${formatBytes(spec.limits.memoryMaximumBytes)}`
      : null,
    spec.limits.ecpuPerSecondMaximum > 0
      ? `${formatCount(spec.limits.ecpuPerSecondMaximum)} ECPU/s`
      : null,
    `${formatCount(spec.limits.connectionsMaximum)} clients`,
  ].filter((limit) => limit !== null);
  return [
    `${terminal.paint('bold', spec.name)}  ${paintState(terminal, cache.state)}  ${terminal.paint(
      'dim',
      `${describeShape(cache)}, Valkey ${cache.engineFullVersion ?? spec.engineVersion}, TLS ${spec.tls}, made ${formatAge(nowMs - cache.createdAtMs)} ago`,
    )}`,
    ...reasonLines(cache, terminal),
    '',
    ...formatFields(
      [
        ['Endpoint', `${cache.endpoint}   reader ${cache.readerEndpoint}`],
        ['Data', `${plural(keyCount(cache), 'key')}, ${formatBytes(usedMemoryBytes(cache))}`],
        ['Limits', limits.join(', ')],
        ...(traffic
          ? ([
              [
                'Traffic',
                `${formatCount(traffic.requestsPerSecond)} requests/s, ${plural(traffic.connections, 'client')}, ` +
                  `${formatBytes(traffic.bytesInPerSecond)}/s in, ${formatBytes(traffic.bytesOutPerSecond)}/s out`,
              ],
              ['Errors', errorWords(cache)],
            ] as [string, string][])
          : []),
      ],
      (text) => terminal.paint('dim', text),
      '',
    ),
    ...latencyTable(cache, earlier, terminal),
    '',
    ...nodeTable(cache, terminal),
  ];
}

function reasonLines(cache: CacheStatus, terminal: Terminal): string[] {
  return cache.reason === null
    ? []
    : [terminal.paint('yellow', `${cache.spec.name}: ${cache.reason}`)];
}

function errorWords(cache: CacheStatus): string {
  const { errorsByKind, retries } = cache.traffic!;
  const kinds = Object.entries(errorsByKind)
    .filter(([, count]) => count > 0)
    .sort(([, a], [, b]) => b - a)
    .map(([kind, count]) => `${kind} ${formatCount(count)}`);
  return `${kinds.length === 0 ? 'none' : kinds.join(', ')}; ${formatCount(retries)} retried`;
}

function latencyTable(
  cache: CacheStatus,
  earlier: CacheStatus | null,
  terminal: Terminal,
): string[] {
  const rows = COMMAND_GROUPS.flatMap((group) => {
    const latest = cache.traffic?.latencyByGroup[group];
    if (!latest) return [];
    const histogram = histogramSince(earlier?.traffic?.latencyByGroup[group], latest);
    const p50 = latencyQuantileUs(histogram, 0.5);
    const p99 = latencyQuantileUs(histogram, 0.99);
    if (p50 === null || p99 === null) return [];
    return [[group, formatCount(histogram.count), formatMicros(p50), formatMicros(p99)]];
  });
  if (rows.length === 0) return [];
  const columns: Column[] = [
    { title: 'LATENCY' },
    { title: 'REQUESTS', align: 'right' },
    { title: 'P50', align: 'right' },
    { title: 'P99', align: 'right' },
  ];
  return ['', ...formatTable(columns, rows, (text) => terminal.paint('bold', text))];
}

function nodeTable(cache: CacheStatus, terminal: Terminal): string[] {
  const isSpread = cache.nodes.some((node) => node.hostId !== THIS_MACHINE.id);
  const columns: Column[] = [
    { title: 'NODE' },
    { title: 'SHARD', align: 'right' },
    { title: 'ROLE' },
    { title: 'STATE' },
    { title: 'VERSION' },
    ...(isSpread ? [{ title: 'ZONE' }, { title: 'HOST' }] : []),
    { title: 'ADDRESS' },
    { title: 'PID', align: 'right' },
    { title: 'KEYS', align: 'right' },
    { title: 'MEMORY', align: 'right' },
    { title: 'LAG', align: 'right' },
    { title: 'RESTARTS', align: 'right' },
  ];
  const rows = [...cache.nodes]
    .sort((a, b) => a.shard - b.shard || a.role.localeCompare(b.role) || a.id.localeCompare(b.id))
    .map((node) => [
      node.id,
      String(node.shard),
      node.role,
      terminal.paint(NODE_STYLES[node.state] ?? 'yellow', node.state),
      node.engineVersion,
      ...(isSpread ? [node.zone, node.hostId] : []),
      `${node.host}:${node.port}`,
      node.pid === null ? '-' : String(node.pid),
      node.keys === null ? '-' : formatCount(node.keys),
      node.usedMemoryBytes === null ? '-' : formatBytes(node.usedMemoryBytes),
      node.replicationLagBytes === null ? '-' : formatBytes(node.replicationLagBytes),
      String(node.restarts),
    ]);
  return formatTable(columns, rows, (text) => terminal.paint('bold', text));
}

function proxyTable(proxies: readonly ProxyStatus[], terminal: Terminal): string[] {
  if (proxies.length === 0) return ['No proxies.'];
  return formatTable(
    [
      { title: 'PROXY', align: 'right' },
      { title: 'STATE' },
      { title: 'PID', align: 'right' },
      { title: 'CPU', align: 'right' },
      { title: 'MEMORY', align: 'right' },
      { title: 'RESTARTS', align: 'right' },
    ],
    proxies.map((proxy) => [
      String(proxy.index),
      terminal.paint(PROXY_STYLES[proxy.state] ?? 'yellow', proxy.state),
      proxy.pid === null ? '-' : String(proxy.pid),
      `${proxy.cpuSeconds.toFixed(1)} s`,
      formatBytes(proxy.memoryBytes),
      String(proxy.restarts),
    ]),
    (text) => terminal.paint('bold', text),
  );
}
