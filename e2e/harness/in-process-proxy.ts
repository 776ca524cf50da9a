/** Proxies of this process. No control plane but a test that stands for it: the topology is given to each as the file that it would have kept. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pino } from 'pino';
import type { TopologyCache } from '../../src/model/topology.ts';
import { allHandlers } from '../../src/proxy/handlers/all.ts';
import { Proxy, type ProxyOptions } from '../../src/proxy/proxy.ts';
import { SessionCommands } from '../../src/proxy/session-commands.ts';
import { RawClient } from './raw-client.ts';

/** Where a test that is their control plane listens, in the directory that is common to them. */
export const CONTROL_SOCKET = 'control.sock';

/**
 * Starts one of the proxies of a cache; resolves when it serves.
 *
 * @param dir common to them: there they find one another
 */
export async function startInProcessProxy(
  dir: string,
  cache: TopologyCache,
  options: Pick<ProxyOptions, 'index' | 'proxies' | 'clientMemoryBytes'>,
): Promise<Proxy> {
  const topologyFile = join(dir, `topology-${options.index}.json`);
  writeFileSync(topologyFile, JSON.stringify({ version: 1, caches: [cache] }));
  const proxy = new Proxy(
    {
      ...options,
      controlSocket: join(dir, CONTROL_SOCKET),
      topologyFile,
      peerSocket: (of) => join(dir, `proxy-${of}.sock`),
      log: pino({ level: process.env['SPRINGTIDE_TEST_LOG'] ?? 'silent' }),
    },
    new SessionCommands(allHandlers),
  );
  (await RawClient.whenUp(cache.port)).close();
  return proxy;
}
