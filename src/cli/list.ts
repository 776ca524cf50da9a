/** `springtide list`: the caches, one a line. */
import type { Command } from 'commander';
import type { CacheStatus } from '../model/admin-api.ts';
import { clientOf, withDataDir, withJson, type DataDirOption } from './command-options.ts';
import { formatBytes, formatCount } from '../lib/human-units.ts';
import { describeShape, paintState, usedMemoryBytes } from './cache-words.ts';
import { formatTable } from './table.ts';
import type { Terminal } from './terminal.ts';

export function registerList(program: Command, terminal: Terminal): void {
  withJson(withDataDir(program.command('list').alias('ls').description('list the caches'))).action(
    async (options: DataDirOption & { json?: boolean }) => {
      const caches = await clientOf(options, terminal).call<CacheStatus[]>('GET', '/v1/caches');
      if (options.json) return terminal.out(JSON.stringify(caches, null, 2));
      if (caches.length === 0)
        return terminal.err(`There is no cache. Make one: ${terminal.program} create NAME`);
      for (const line of cacheTable(caches, terminal)) terminal.out(line);
    },
  );
}

/** The lines of `list`, also the head of `status`. */
export function cacheTable(caches: readonly CacheStatus[], terminal: Terminal): string[] {
  return formatTable(
    [
      { title: 'NAME' },
      { title: 'STATE' },
      { title: 'ENDPOINT' },
      { title: 'ENGINE' },
      { title: 'SHAPE' },
      { title: 'TLS' },
      { title: 'CLIENTS', align: 'right' },
      { title: 'REQ/S', align: 'right' },
      { title: 'MEMORY', align: 'right' },
    ],
    caches.map((cache) => [
      cache.spec.name,
      paintState(terminal, cache.state),
      cache.endpoint,
      cache.engineFullVersion ?? cache.spec.engineVersion,
      describeShape(cache),
      cache.spec.tls,
      cache.traffic ? formatCount(cache.traffic.connections) : '-',
      cache.traffic ? formatCount(cache.traffic.requestsPerSecond) : '-',
      formatBytes(usedMemoryBytes(cache)),
    ]),
    (text) => terminal.paint('bold', text),
  );
}
