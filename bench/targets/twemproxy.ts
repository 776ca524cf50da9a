/** twemproxy (nutcracker) before plain nodes: it knows no cluster, and no TLS. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { withConnection } from '../admin.ts';
import { startNodes } from './nodes.ts';
import type { Target, TargetContext } from './target.ts';

export async function startTwemproxy(
  context: TargetContext,
  file: string,
  version: string,
): Promise<Target> {
  const nodes = await startNodes(context, 'twemproxy-node', context.shards, {
    cluster: false,
    tls: false,
  });
  const plain = { host: '127.0.0.1', port: await context.ports.pick() };
  const configuration = join(context.directory, 'twemproxy.yml');
  const servers = nodes.map(
    (node, index) => `    - ${node.plain.host}:${node.plain.port}:1 node${index}`,
  );
  writeFileSync(
    configuration,
    `bench:
  listen: ${plain.host}:${plain.port}
  redis: true
  hash: fnv1a_64
  distribution: ketama
  auto_eject_hosts: false
  preconnect: true
  backlog: 4096
  servers:
${servers.join('\n')}
`,
  );
  const stats = await context.ports.pick();
  const args = ['-c', configuration, '-a', plain.host, '-s', String(stats), '-v', '4'];
  const pid = await context.processes.start('twemproxy', { file, args });
  await context.processes.waitUntilReady('twemproxy', pid, () =>
    withConnection(plain, async (client) => {
      await client.get('key:000000000000');
    }),
  );
  return {
    name: 'twemproxy',
    label: 'twemproxy',
    version,
    plain,
    tls: null,
    cluster: false,
    nodes: nodes.map((node) => node.plain),
    descriptorsPerClient: 1,
    pids: () => ({ proxy: [pid], node: nodes.map((node) => node.pid), other: [] }),
  };
}
