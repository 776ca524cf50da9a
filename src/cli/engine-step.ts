/** Installs an engine line through the daemon when it is not there yet, showing the download. */
import type { EngineStatus } from '../model/admin-api.ts';
import type { ApiClient } from './api-client.ts';
import { followProgress, runStep } from './progress-view.ts';
import type { Terminal } from './terminal.ts';

export async function ensureEngine(
  client: ApiClient,
  line: string,
  terminal: Terminal,
  signal: AbortSignal,
  plain: boolean,
): Promise<void> {
  if (await installedEngine(client, line)) return;
  await runStep(
    terminal,
    `Valkey ${line}: installing`,
    async (report) => {
      await followProgress(
        client.stream('POST', `/v1/engines/${encodeURIComponent(line)}`, { signal }),
        report,
      );
      const engine = await installedEngine(client, line);
      return `Valkey ${engine?.version ?? line} is installed`;
    },
    plain,
  );
}

async function installedEngine(client: ApiClient, line: string): Promise<EngineStatus | undefined> {
  const engines = await client.call<EngineStatus[]>('GET', '/v1/engines');
  return engines.find((engine) => engine.line === line && engine.installed);
}
