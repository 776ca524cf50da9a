/**
 * Makes a node that knows nobody a member of its cache's cluster.
 *
 *   MEET -> it knows all and all know it
 */
import { parseClusterNodes, type ClusterPeer } from '../node-observation.ts';
import type { NodeRecord } from '../store-records.ts';
import type { StepContext } from '../step-context.ts';
import { waitUntil } from './wait-until.ts';

const KNOWN_TIMEOUT_MS = 10_000;

/** Members that run, without the node itself and without those that are being taken out. */
export function liveMembers(context: StepContext, node: NodeRecord): NodeRecord[] {
  const { store, fleet, cache } = context;
  return store
    .nodes(cache.id)
    .filter((other) => other.id !== node.id && !other.leaving && fleet.isAlive(other.id));
}

/** Of the live members those that are in the cluster already: what joins beside this node comes by gossip. */
export function settledMembers(context: StepContext, node: NodeRecord): NodeRecord[] {
  const shards = context.store.shards.of(context.cache.id);
  const joining = new Set(shards.flatMap((one) => (one.state === 'joining' ? [one.shard] : [])));
  return liveMembers(context, node).filter(
    ({ shard }) => shard === node.shard || !joining.has(shard),
  );
}

/**
 * @param mustKnow of the live members, those that are waited for; gossip brings the others
 * @throws StepTimeout, NodeError
 */
export async function enterCluster(
  context: StepContext,
  node: NodeRecord,
  mustKnow: readonly NodeRecord[],
): Promise<void> {
  const { store, fleet, signal } = context;
  const clusterNodeId = String(await fleet.call(node.id, ['CLUSTER', 'MYID']));
  // Before anyone meets it: what is not written down here is forgotten by the next node that joins.
  store.updateNode(node.id, { clusterNodeId, identity: 'kept' });
  await Promise.all(
    liveMembers(context, node).map((other) =>
      fleet.call(node.id, ['CLUSTER', 'MEET', fleet.address(other), other.port, other.busPort]),
    ),
  );
  const known = (peers: readonly ClusterPeer[], id: string | null) =>
    peers.some((peer) => peer.id === id && !peer.handshake);
  await waitUntil(
    `node ${node.id} and its cluster knowing one another`,
    async () => {
      const [mine, ...theirs] = await Promise.all(
        [node, ...mustKnow].map((one) => peersOf(context, one)),
      );
      return (
        mustKnow.every(({ clusterNodeId: id }) => known(mine!, id)) &&
        theirs.every((peers) => known(peers, clusterNodeId))
      );
    },
    { timeoutMs: KNOWN_TIMEOUT_MS, everyMs: 20, signal },
  );
}

/** CLUSTER NODES as the node sees it. */
export async function peersOf(context: StepContext, node: NodeRecord): Promise<ClusterPeer[]> {
  return parseClusterNodes(String(await context.fleet.call(node.id, ['CLUSTER', 'NODES'])));
}

/** Has every live node forget identities that no member of this cache has any more. */
export async function forgetStrangers(context: StepContext): Promise<void> {
  const { store, fleet, cache } = context;
  const nodes = store.nodes(cache.id).filter((node) => !node.leaving);
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
