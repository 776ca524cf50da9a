/**
 * Attaches a live, empty node to the primary of its shard.
 *
 *   MEET -> it knows all and all know it -> the others FORGET its old identity -> REPLICATE
 *
 * The copying of data goes on afterwards; status shows the node as `syncing` until it is done.
 */
import { parseClusterNodes } from '../node-observation.ts';
import type { NodeRecord } from '../store-records.ts';
import type { Step } from '../step.ts';
import type { StepContext } from '../step-context.ts';
import { waitUntil } from './wait-until.ts';

export async function joinReplica(
  context: StepContext,
  step: Extract<Step, { kind: 'join-replica' }>,
): Promise<void> {
  const { store, fleet, cache } = context;
  const node = store.node(step.nodeId);
  const primary = store.node(step.primaryId);
  if (node === undefined || primary === undefined) return;
  if (!fleet.isAlive(node.id) || !fleet.isAlive(primary.id)) return;
  if (cache.spec.sharding) await joinCluster(context, node, primary);
  else await fleet.call(node.id, ['REPLICAOF', '127.0.0.1', primary.port]);
  await fleet.observe(node.id, { cluster: cache.spec.sharding });
  context.event('node-joined', `node ${node.id} follows ${primary.id} in shard ${node.shard}`);
}

async function joinCluster(
  context: StepContext,
  node: NodeRecord,
  primary: NodeRecord,
): Promise<void> {
  const { store, fleet, cache, signal } = context;
  const clusterNodeId = String(await fleet.call(node.id, ['CLUSTER', 'MYID']));
  // Before anyone meets it: what is not written down here is forgotten by the next node that joins.
  store.updateNode(node.id, { clusterNodeId, identity: 'kept' });
  const others = store
    .nodes(cache.id)
    .filter((other) => other.id !== node.id && fleet.isAlive(other.id));
  await Promise.all(
    others.map((other) =>
      fleet.call(node.id, ['CLUSTER', 'MEET', '127.0.0.1', other.port, other.busPort]),
    ),
  );
  const primaryClusterId = primary.clusterNodeId!;
  await waitUntil(
    `node ${node.id} and its primary knowing one another`,
    async () => {
      const [mine, theirs] = await Promise.all([peersOf(context, node), peersOf(context, primary)]);
      return (
        mine.some((peer) => peer.id === primaryClusterId && !peer.handshake && peer.slots > 0) &&
        theirs.some((peer) => peer.id === clusterNodeId && !peer.handshake)
      );
    },
    { timeoutMs: 10_000, everyMs: 20, signal },
  );
  await forgetStrangers(context);
  await fleet.call(node.id, ['CLUSTER', 'REPLICATE', primaryClusterId]);
}

/**
 * Has every node forget identities that no node of this cache has any more.
 */
export async function forgetStrangers(context: StepContext): Promise<void> {
  const { store, fleet, cache } = context;
  const nodes = store.nodes(cache.id);
  const members = new Set(nodes.map((node) => node.clusterNodeId));
  const alive = nodes.filter((node) => fleet.isAlive(node.id));
  await Promise.allSettled(
    alive.map(async (node) => {
      const strangers = (await peersOf(context, node)).filter(
        (peer) => !peer.myself && !peer.handshake && !members.has(peer.id),
      );
      // Refused while a replica has not heard yet that it has a new primary; the next join does it then.
      await Promise.allSettled(
        strangers.map((peer) => fleet.call(node.id, ['CLUSTER', 'FORGET', peer.id])),
      );
    }),
  );
}

async function peersOf(context: StepContext, node: NodeRecord) {
  return parseClusterNodes(String(await context.fleet.call(node.id, ['CLUSTER', 'NODES'])));
}
