/** A change of a cache that the daemon makes step by step: followed with a progress bar, told at its end. */
import type { CacheStatus } from '../model/admin-api.ts';
import type { ApiClient } from './api-client.ts';
import { followProgress, runStep } from './progress-view.ts';
import type { Terminal } from './terminal.ts';

export interface FollowedChange {
  readonly title: string;
  /** Of the API; a POST. */
  readonly path: string;
  readonly body: Readonly<Record<string, unknown>>;
  readonly json: boolean;
  /** In one sentence, what is so now. */
  done(cache: CacheStatus): string;
}

/** @returns the cache as it is afterwards; with `json` it is printed */
export async function followChange(
  client: ApiClient,
  terminal: Terminal,
  change: FollowedChange,
): Promise<CacheStatus> {
  const { path, body, json } = change;
  let cache: CacheStatus | null = null;
  await runStep(
    terminal,
    change.title,
    async (report) => {
      cache = await followProgress(client.stream('POST', path, { body }), report);
      return change.done(cache!);
    },
    json,
  );
  if (json) terminal.out(JSON.stringify(cache));
  return cache!;
}
