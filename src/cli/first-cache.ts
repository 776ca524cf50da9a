/**
 * The cache that `springtide up` makes when there is none: `main`, three shards, on the port clients try first. Its ports
 * are looked at before anything is downloaded, so that a port in use is told in the first second.
 */
import { existsSync } from 'node:fs';
import { dataDirPaths } from '../model/data-dir.ts';
import { DEFAULT_ENGINE_LINE, type CacheSpecInput } from '../model/cache-spec.ts';
import type { ApiClient } from './api-client.ts';
import { plural } from './cache-words.ts';
import { CliError } from './cli-error.ts';
import { followProgress, runStep, type Report } from './progress-view.ts';
import type { Terminal } from './terminal.ts';

const FIRST_CACHE_NAME = 'main';
export const FIRST_CACHE_PORT = 6379;
export const FIRST_CACHE_HOST = '127.0.0.1';
const FIRST_CACHE_SHARDS = 3;
const PORT_LAST = 65_535;

/**
 * @param port of the endpoint; the reader endpoint is on the next one
 * @throws CliError USAGE where there is no next one
 */
export function firstCacheSpec(
  port: number,
): CacheSpecInput & { port: number; readerPort: number } {
  if (port === PORT_LAST)
    throw new CliError('USAGE', `Port ${PORT_LAST} has none after it for the reader endpoint.`, {
      hint: 'Choose a lower one.',
    });
  return {
    name: FIRST_CACHE_NAME,
    engineVersion: DEFAULT_ENGINE_LINE,
    sharding: true,
    shards: FIRST_CACHE_SHARDS,
    port,
    readerPort: port === 0 ? 0 : port + 1,
  };
}

/** Whether a daemon has run on this data directory before: then it may hold these very ports, by its own proxies. */
export function hasState(dataDir: string): boolean {
  return existsSync(dataDirPaths(dataDir).stateFile);
}

/** Makes the first cache. One that fails is taken away again, so that the next `up` begins afresh. */
export async function createFirstCache(
  client: ApiClient,
  spec: CacheSpecInput,
  terminal: Terminal,
  signal: AbortSignal,
  plain: boolean,
): Promise<void> {
  const title = `Cache ${spec.name}`;
  await runStep(
    terminal,
    `${title}: creating ${plural(spec.shards ?? FIRST_CACHE_SHARDS, 'shard')}`,
    async (report) => {
      try {
        await followProgress(client.stream('POST', '/v1/caches', { body: spec, signal }), report);
      } catch (error) {
        if (!signal.aborted) await removeFailed(client, spec.name, report);
        throw error;
      }
      return `${title} is available`;
    },
    plain,
  );
}

async function removeFailed(client: ApiClient, name: string, report: Report): Promise<void> {
  try {
    await followProgress(client.stream('DELETE', `/v1/caches/${name}`), report);
  } catch {
    // Often there is nothing to remove; and why it was not made is what the user must read.
  }
}
