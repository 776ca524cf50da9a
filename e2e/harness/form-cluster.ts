/** Makes a cluster, or a primary with replicas, of nodes that know nothing of one another. */
import { SLOT_COUNT } from '../../src/protocol/hash-slot.ts';
import type { TestNode } from './node-farm.ts';
import { until } from './until.ts';

/** The first `shards` nodes get all slots in equal ranges, the others follow them in turn. */
export async function formCluster(nodes: readonly TestNode[], shards: number): Promise<void> {
  const primaries = nodes.slice(0, shards);
  const replicas = nodes.slice(shards);
  const share = Math.ceil(SLOT_COUNT / shards);
  for (const [i, { admin }] of primaries.entries()) {
    const last = Math.min(SLOT_COUNT, (i + 1) * share) - 1;
    await admin.expectOk('CLUSTER', 'ADDSLOTSRANGE', i * share, last);
    await admin.expectOk('CLUSTER', 'SET-CONFIG-EPOCH', i + 1);
  }
  const [first] = nodes;
  for (const other of nodes.slice(1)) await meet(first!, other);
  await untilAll(nodes, async ({ admin }) => {
    const view = await admin.text('CLUSTER', 'NODES');
    return view.trim().split('\n').length === nodes.length && !view.includes('handshake');
  });
  for (const [i, { admin }] of replicas.entries()) {
    await admin.expectOk('CLUSTER', 'REPLICATE', primaries[i % shards]!.clusterId);
  }
  await untilAll(nodes, async ({ admin }) => {
    const info = await admin.text('CLUSTER', 'INFO');
    const view = await admin.text('CLUSTER', 'NODES');
    const known = view.match(/\bslave [0-9a-f]{40}/g)?.length ?? 0;
    return (
      info.includes('cluster_state:ok') &&
      info.includes('slots_assigned:16384') &&
      known === replicas.length
    );
  });
  await inSync(replicas);
}

/** Makes `node`, and so in time all that it knows, know another one. */
export function meet(node: TestNode, { port, settings }: TestNode): Promise<void> {
  return node.admin.expectOk('CLUSTER', 'MEET', '127.0.0.1', port, settings.clusterBusPort!);
}

/** All nodes but the first replicate it. */
export async function followFirst([first, ...replicas]: readonly TestNode[]): Promise<void> {
  for (const { admin } of replicas) {
    await admin.expectOk('REPLICAOF', '127.0.0.1', first!.port);
  }
  await inSync(replicas);
}

function inSync(replicas: readonly TestNode[]): Promise<void> {
  return untilAll(replicas, async ({ admin }) =>
    (await admin.text('INFO', 'replication')).includes('master_link_status:up'),
  );
}

async function untilAll(
  nodes: readonly TestNode[],
  holds: (node: TestNode) => Promise<boolean>,
): Promise<void> {
  await until(async () => (await Promise.all(nodes.map(holds))).every(Boolean));
}
