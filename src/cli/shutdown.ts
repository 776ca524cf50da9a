/** Stops everything through the daemon and waits until the daemon itself has gone. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { ApiClient } from './api-client.ts';
import { CliError } from './cli-error.ts';
import { followProgress, runStep, type Report } from './progress-view.ts';
import type { Terminal } from './terminal.ts';

const POLL_MS = 50;
/** After its last line the daemon only closes its files. */
const EXIT_TIMEOUT_MS = 10_000;

/** @param signal stops the waiting, not the shutdown: the daemon goes on with it */
export async function shutDown(
  client: ApiClient,
  daemonPid: number,
  terminal: Terminal,
  signal: AbortSignal,
  plain: boolean,
): Promise<void> {
  await runStep(
    terminal,
    'Stopping Springtide',
    async (report) => {
      try {
        await stopAndWait(client, daemonPid, signal, report);
      } catch (error) {
        if (!signal.aborted) throw error;
        throw new CliError(
          'INTERRUPTED',
          `Not waiting any longer; the daemon (pid ${daemonPid}) goes on stopping.`,
        );
      }
      return 'Springtide is stopped';
    },
    plain,
  );
}

async function stopAndWait(
  client: ApiClient,
  daemonPid: number,
  signal: AbortSignal,
  report: Report,
): Promise<void> {
  await followProgress(client.stream('POST', '/v1/shutdown', { body: {}, signal }), report);
  const giveUpAtMs = Date.now() + EXIT_TIMEOUT_MS;
  while (isAlive(daemonPid)) {
    if (Date.now() > giveUpAtMs)
      throw new CliError(
        'FAILED',
        `All caches are stopped, but the daemon (pid ${daemonPid}) does not end.`,
        {
          hint: `End it: kill ${daemonPid}`,
        },
      );
    await sleep(POLL_MS, undefined, { signal });
  }
}

/** Whether a process of this id exists, zombies of ours excepted: their exit is reaped before this is asked again. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
