/** How a cache is put into words, the same everywhere. */
import type { CacheState, CacheStatus } from '../model/admin-api.ts';
import type { Style, Terminal } from './terminal.ts';

/** As it is now: `3 shards`, `3 shards + 2 replicas each`, `unsharded + 1 replica`. */
export function describeShape(cache: Pick<CacheStatus, 'spec' | 'nodes'>): string {
  const { sharding, replicas } = cache.spec;
  const count = shardCount(cache);
  const shards = sharding ? plural(count, 'shard') : 'unsharded';
  if (replicas === 0) return shards;
  return `${shards} + ${plural(replicas, 'replica')}${sharding && count > 1 ? ' each' : ''}`;
}

/** Shards that a cache has now: it grows and shrinks between what its specification allows. */
export function shardCount(cache: Pick<CacheStatus, 'nodes'>): number {
  return new Set(cache.nodes.map(({ shard }) => shard)).size;
}

/** `1 shard`, `3 shards`. */
export function plural(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`;
}

/** Memory that the primaries use, bytes: replicas hold the same data again. */
export function usedMemoryBytes(cache: CacheStatus): number {
  return cache.nodes.reduce(
    (sum, node) => sum + (node.role === 'primary' ? (node.usedMemoryBytes ?? 0) : 0),
    0,
  );
}

/** Keys on the primaries. */
export function keyCount(cache: CacheStatus): number {
  return cache.nodes.reduce(
    (sum, node) => sum + (node.role === 'primary' ? (node.keys ?? 0) : 0),
    0,
  );
}

const STATE_STYLES: Readonly<Record<CacheState, Style>> = {
  available: 'green',
  creating: 'cyan',
  modifying: 'cyan',
  deleting: 'yellow',
  'create-failed': 'red',
};

export function paintState(terminal: Terminal, state: CacheState): string {
  return terminal.paint(STATE_STYLES[state] ?? 'yellow', state);
}

/** An address to listen on that is none to connect to. */
const ANY_ADDRESS: Readonly<Record<string, string>> = { '0.0.0.0': '127.0.0.1', '::': '::1' };

/**
 * Where a cache is reached from this machine. The announced host is for clients elsewhere; here, where the daemon is, it
 * need not even have an address.
 */
export function localAddress(
  cache: CacheStatus,
  { reader = false }: { readonly reader?: boolean | undefined } = {},
): { host: string; port: number } {
  const { bind } = cache.spec;
  const { port } = splitEndpoint(reader ? cache.readerEndpoint : cache.endpoint);
  return { host: ANY_ADDRESS[bind] ?? bind, port };
}

/** Splits `host:port` and `[v6]:port`. */
export function splitEndpoint(endpoint: string): { host: string; port: number } {
  const colon = endpoint.lastIndexOf(':');
  return {
    host: endpoint.slice(0, colon).replace(/^\[(.*)\]$/, '$1'),
    port: Number(endpoint.slice(colon + 1)),
  };
}
