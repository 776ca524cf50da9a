/** `springtide down`: stops every cache, proxy and the daemon; also what a daemon that died left running. */
import type { Command } from 'commander';
import type { SystemStatus } from '../model/admin-api.ts';
import type { ApiClient } from './api-client.ts';
import { clientOf, withDataDir, withJson, type DataDirOption } from './command-options.ts';
import { startDaemon } from './daemon-process.ts';
import { leftoverProcesses } from './leftover-processes.ts';
import { runStep } from './progress-view.ts';
import { shutDown } from './shutdown.ts';
import type { Terminal } from './terminal.ts';

export function registerDown(program: Command, terminal: Terminal): void {
  withJson(
    withDataDir(
      program
        .command('down')
        .description('stop everything; the caches come back, empty, with the next "up"'),
    ),
  ).action(async (options: DataDirOption & { json?: boolean }) => {
    const client = clientOf(options, terminal);
    const stopWaiting = new AbortController();
    process.once('SIGINT', () => stopWaiting.abort());
    const plain = options.json === true;
    const status = await daemonToStop(client, terminal, stopWaiting.signal, plain);
    await shutDown(client, status.pid, terminal, stopWaiting.signal, plain);
    if (options.json)
      terminal.out(
        JSON.stringify({ stopped: true, caches: status.caches.map((cache) => cache.spec.name) }),
      );
  });
}

/** The daemon that runs; or, where one died and left its processes behind, a new one that takes them over to stop them. */
async function daemonToStop(
  client: ApiClient,
  terminal: Terminal,
  signal: AbortSignal,
  plain: boolean,
): Promise<SystemStatus> {
  const left = (await client.statusOrNull()) === null ? leftoverProcesses(client.dataDir) : [];
  if (left.length === 0) return client.call<SystemStatus>('GET', '/v1/status');
  return runStep(
    terminal,
    `The daemon is gone, but ${left.length} of its processes run: taking them over`,
    async () => {
      const daemon = await startDaemon(client, {}, signal);
      daemon.release();
      return daemon.status;
    },
    plain,
  );
}
