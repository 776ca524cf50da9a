/** predixy, one worker, before a cluster of its own. No TLS. Debian does not carry it: it is measured where it is found. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { withConnection } from '../admin.ts';
import { formCluster, startNodes } from './nodes.ts';
import type { Target, TargetContext } from './target.ts';

export async function startPredixy(
  context: TargetContext,
  file: string,
  version: string,
): Promise<Target> {
  const nodes = await startNodes(context, 'predixy-node', context.shards, {
    cluster: true,
    tls: false,
  });
  await formCluster(context, nodes);
  const plain = { host: '127.0.0.1', port: await context.ports.pick() };
  const configuration = join(context.directory, 'predixy.conf');
  const servers = nodes.map((node) => `    + ${node.plain.host}:${node.plain.port}`);
  writeFileSync(
    configuration,
    `Name bench
Bind ${plain.host}:${plain.port}
WorkerThreads 1
ClientTimeout 0
LogVerbSample 0
LogDebugSample 0
LogInfoSample 0
Authority {
  Auth {
    Mode admin
  }
}
ClusterServerPool {
  RefreshInterval 1
  ServerTimeout 1
  ServerFailureLimit 10
  ServerRetryTimeout 1
  KeepAlive 120
  Servers {
${servers.join('\n')}
  }
}
`,
  );
  const pid = await context.processes.start('predixy', { file, args: [configuration] });
  await context.processes.waitUntilReady('predixy', pid, () =>
    withConnection(plain, async (client) => {
      await client.get('key:000000000000');
    }),
  );
  return {
    name: 'predixy',
    label: 'predixy',
    version,
    plain,
    tls: null,
    cluster: false,
    nodes: nodes.map((node) => node.plain),
    descriptorsPerClient: 1,
    pids: () => ({ proxy: [pid], node: nodes.map((node) => node.pid), other: [] }),
  };
}
