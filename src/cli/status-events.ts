/** What changed between two readings of the status, in words: the events of the live view. */
import type { CacheStatus, SystemStatus } from '../model/admin-api.ts';

/** One line per change, in the order a reader looks for: caches, their nodes, proxies. */
export function eventsBetween(earlier: SystemStatus, later: SystemStatus): string[] {
  const before = new Map(earlier.caches.map((cache) => [cache.id, cache]));
  const after = new Set(later.caches.map((cache) => cache.id));
  return [
    ...(earlier.pid === later.pid ? [] : [`daemon restarted (pid ${earlier.pid} -> ${later.pid})`]),
    ...earlier.caches
      .filter((cache) => !after.has(cache.id))
      .map((cache) => `${cache.spec.name}: deleted`),
    ...later.caches.flatMap((cache) => {
      const known = before.get(cache.id);
      return known ? cacheEvents(known, cache) : [`${cache.spec.name}: ${cache.state}`];
    }),
    ...later.proxies.flatMap((proxy) => {
      const known = earlier.proxies.find((candidate) => candidate.index === proxy.index);
      if (!known) return [`proxy ${proxy.index}: ${proxy.state}`];
      if (proxy.restarts > known.restarts)
        return [`proxy ${proxy.index}: restarted (pid ${proxy.pid ?? '-'})`];
      return known.state === proxy.state
        ? []
        : [`proxy ${proxy.index}: ${known.state} -> ${proxy.state}`];
    }),
  ];
}

function cacheEvents(earlier: CacheStatus, later: CacheStatus): string[] {
  const { name } = later.spec;
  const events: string[] = [];
  if (earlier.state !== later.state) events.push(`${name}: ${earlier.state} -> ${later.state}`);
  if (later.reason !== null && later.reason !== earlier.reason)
    events.push(`${name}: ${later.reason}`);
  const before = new Map(earlier.nodes.map((node) => [node.id, node]));
  const after = new Set(later.nodes.map((node) => node.id));
  for (const node of earlier.nodes)
    if (!after.has(node.id)) events.push(`${name}: node ${node.id} is gone`);
  for (const node of later.nodes) {
    const known = before.get(node.id);
    const who = `${name}: node ${node.id} (shard ${node.shard})`;
    if (!known) {
      events.push(`${who} is new, ${node.role}`);
      continue;
    }
    if (node.restarts > known.restarts) events.push(`${who} restarted (pid ${node.pid ?? '-'})`);
    if (node.state !== known.state) events.push(`${who} ${known.state} -> ${node.state}`);
    if (node.role !== known.role) events.push(`${who} is ${node.role} now`);
  }
  return events;
}
