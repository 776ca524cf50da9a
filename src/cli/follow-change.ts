/** A change of a cache that the daemon makes step by step: followed with a progress bar, told at its end. */
import type { CacheStatus } from '../model/admin-api.ts';
import type { ApiClient } from './api-client.ts';
import { CliError } from './cli-error.ts';
import { followProgress, runStep } from './progress-view.ts';
import type { Terminal } from './terminal.ts';

export interface FollowedChange {
  readonly title: string;
  /** Of the API; a POST. */
  readonly path: string;
  readonly body: Readonly<Record<string, unknown>>;
  readonly json: boolean;
  /** A command that shows how far it is, for whoever does not wait. */
  readonly follow: string;
  /** In one sentence, what is so now. */
  done(cache: CacheStatus): string;
}

/**
 * Ctrl-C ends the waiting, not the change.
 *
 * @returns the cache as it is afterwards; with `json` it is printed
 * @throws CliError INTERRUPTED
 */
export async function followChange(
  client: ApiClient,
  terminal: Terminal,
  change: FollowedChange,
): Promise<CacheStatus> {
  const { path, body, json } = change;
  let cache: CacheStatus | null = null;
  const interruption = new AbortController();
  process.once('SIGINT', () => interruption.abort());
  const { signal } = interruption;
  await runStep(
    terminal,
    change.title,
    async (report) => {
      try {
        cache = await followProgress(client.stream('POST', path, { body, signal }), report);
      } catch (error) {
        if (!signal.aborted) throw error;
        throw new CliError('INTERRUPTED', 'Not waiting any longer; the daemon goes on with it.', {
          hint: `Follow it: ${change.follow}`,
        });
      }
      return change.done(cache!);
    },
    json,
  );
  if (json) terminal.out(JSON.stringify(cache));
  return cache!;
}
