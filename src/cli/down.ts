/** `springtide down`: stops every cache, proxy and the daemon. */
import type { Command } from 'commander';
import type { SystemStatus } from '../model/admin-api.ts';
import { clientOf, withDataDir, withJson, type DataDirOption } from './command-options.ts';
import { shutDown } from './shutdown.ts';
import type { Terminal } from './terminal.ts';

export function registerDown(program: Command, terminal: Terminal): void {
  withJson(
    withDataDir(
      program
        .command('down')
        .description('stop everything; caches come back empty with the next "up"'),
    ),
  ).action(async (options: DataDirOption & { json?: boolean }) => {
    const client = clientOf(options, terminal);
    const status = await client.call<SystemStatus>('GET', '/v1/status');
    const stopWaiting = new AbortController();
    process.once('SIGINT', () => stopWaiting.abort());
    await shutDown(client, status.pid, terminal, stopWaiting.signal, options.json === true);
    if (options.json)
      terminal.out(
        JSON.stringify({ stopped: true, caches: status.caches.map((cache) => cache.spec.name) }),
      );
  });
}
