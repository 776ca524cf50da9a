/** haproxy in TCP mode before one plain node, and the same with TLS ended in haproxy. It passes bytes and parses nothing. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { withConnection } from '../admin.ts';
import { startNodes } from './nodes.ts';
import type { Target, TargetContext } from './target.ts';

// A client takes one descriptor to it and one to the node.
const DESCRIPTORS_PER_CLIENT = 2;
const MAXIMUM_CLIENTS = 12_000;

export async function startHaproxy(
  context: TargetContext,
  file: string,
  version: string,
): Promise<Target> {
  const [node] = await startNodes(context, 'haproxy-node', 1, { cluster: false, tls: false });
  const host = '127.0.0.1';
  const plain = { host, port: await context.ports.pick() };
  const tls = context.certificate === null ? null : { host, port: await context.ports.pick() };
  const affordable = Math.floor((context.descriptorLimit - 500) / DESCRIPTORS_PER_CLIENT);
  const server = `server node ${host}:${node!.plain.port}`;
  const tlsSection =
    tls === null
      ? ''
      : `listen tls
  bind ${host}:${tls.port} ssl crt ${context.certificate!.bundleFile} backlog 4096
  ${server}
`;
  const configuration = join(context.directory, 'haproxy.cfg');
  writeFileSync(
    configuration,
    `global
  maxconn ${Math.min(MAXIMUM_CLIENTS, affordable)}
  nbthread 1
  ssl-default-bind-options ssl-min-ver TLSv1.2
defaults
  mode tcp
  timeout connect 5s
  timeout client 1h
  timeout server 1h
listen plain
  bind ${host}:${plain.port} backlog 4096
  ${server}
${tlsSection}`,
  );
  const pid = await context.processes.start('haproxy', {
    file,
    args: ['-db', '-f', configuration],
  });
  await context.processes.waitUntilReady('haproxy', pid, () =>
    withConnection(plain, async (client) => {
      await client.ping();
    }),
  );
  return {
    name: 'haproxy',
    label: 'haproxy TCP (one node)',
    version,
    plain,
    tls,
    cluster: false,
    nodes: [node!.plain],
    descriptorsPerClient: DESCRIPTORS_PER_CLIENT,
    pids: () => ({ proxy: [pid], node: [node!.pid], other: [] }),
  };
}
