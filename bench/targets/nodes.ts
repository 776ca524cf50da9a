/** Plain Valkey nodes, alone or as a real cluster: what every target stands on. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { withConnection, type Address } from '../admin.ts';
import type { TargetContext } from './target.ts';
import { SLOT_COUNT } from '../../src/model/slot-range.ts';

export interface BenchNode {
  readonly pid: number;
  readonly plain: Address;
  readonly tls: Address | null;
  readonly busPort: number;
}

/** Starts `count` nodes that keep nothing on disk. */
export async function startNodes(
  context: TargetContext,
  name: string,
  count: number,
  options: { readonly cluster: boolean; readonly tls: boolean },
): Promise<BenchNode[]> {
  const nodes: BenchNode[] = [];
  for (let index = 0; index < count; index++) {
    nodes.push(await startNode(context, `${name}-${index}`, options));
  }
  return nodes;
}

async function startNode(
  context: TargetContext,
  name: string,
  options: { readonly cluster: boolean; readonly tls: boolean },
): Promise<BenchNode> {
  const { processes, ports, certificate, valkeyServer } = context;
  const directory = join(context.directory, name);
  mkdirSync(directory);
  const host = '127.0.0.1';
  const port = await ports.pick();
  const busPort = await ports.pick();
  const args = [
    '--port',
    String(port),
    '--bind',
    host,
    '--dir',
    directory,
    '--save',
    '',
    '--appendonly',
    'no',
  ];
  args.push(
    '--maxclients',
    String(Math.max(1_000, context.descriptorLimit - 200)),
    '--tcp-backlog',
    '4096',
  );
  if (options.cluster) args.push('--cluster-enabled', 'yes', '--cluster-port', String(busPort));
  let tls: Address | null = null;
  if (options.tls && certificate !== null) {
    tls = { host, port: await ports.pick() };
    args.push('--tls-port', String(tls.port), '--tls-auth-clients', 'no');
    args.push('--tls-cert-file', certificate.certFile, '--tls-key-file', certificate.keyFile);
    args.push('--tls-ca-cert-file', certificate.certFile);
  }
  const pid = await processes.start(name, {
    ...valkeyServer,
    args: [...valkeyServer.args, ...args],
  });
  const plain = { host, port };
  await processes.waitUntilReady(name, pid, () =>
    withConnection(plain, async (client) => {
      await client.ping();
    }),
  );
  return { pid, plain, tls, busPort };
}

/** Makes one cluster of these nodes, slots spread evenly, and waits until every node sees it whole. */
export async function formCluster(
  context: TargetContext,
  nodes: readonly BenchNode[],
): Promise<void> {
  const first = nodes[0]!;
  for (const [index, node] of nodes.entries()) {
    const from = Math.floor((SLOT_COUNT * index) / nodes.length);
    const to = Math.floor((SLOT_COUNT * (index + 1)) / nodes.length) - 1;
    await withConnection(node.plain, async (client) => {
      await client.call('CLUSTER', 'SET-CONFIG-EPOCH', String(index + 1));
      await client.call('CLUSTER', 'ADDSLOTSRANGE', String(from), String(to));
      if (node !== first) {
        const { host, port } = first.plain;
        await client.call('CLUSTER', 'MEET', host, String(port), String(first.busPort));
      }
    });
  }
  for (const node of nodes) {
    await context.processes.waitUntilReady('cluster', node.pid, () =>
      withConnection(node.plain, async (client) => {
        const info = String(await client.call('CLUSTER', 'INFO'));
        const whole =
          info.includes('cluster_state:ok') && info.includes(`cluster_known_nodes:${nodes.length}`);
        if (!whole) throw new Error('the cluster is not formed yet');
      }),
    );
  }
}
