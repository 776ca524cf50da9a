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
/** Longer than a handshake lasts: a node that joins has a timeout of less than 1 s, which is the least (clusterCron). */
const MEET_AGAIN_MS = 1_500;

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
  // Whoever it knows is not met again: that would break their link (cluster_legacy.c, MEET of a known node). Whoever is not
  // written down yet is about to join, and meets this one.
  const meetStrangers = async (peers: readonly ClusterPeer[]) => {
    const knows = new Set(peers.map(({ id }) => id));
    const strange = liveMembers(context, node).filter(
      ({ clusterNodeId: id }) => id !== null && !knows.has(id),
    );
    await Promise.all(
      strange.map((other) =>
        fleet.call(node.id, ['CLUSTER', 'MEET', fleet.address(other), other.port, other.busPort]),
      ),
    );
  };
  await meetStrangers(await peersOf(context, node));
  let metAtMs = Date.now();
  const known = (peers: readonly ClusterPeer[], id: string | null) =>
    peers.some((peer) => peer.id === id && !peer.handshake);
  await waitUntil(
    `node ${node.id} and its cluster knowing one another`,
    async () => {
      const [mine, ...theirs] = await Promise.all(
        [node, ...mustKnow].map((one) => peersOf(context, one)),
      );
      // Who was busy for longer than a handshake lasts has not heard of it, and the engine does not try again.
      if (Date.now() - metAtMs > MEET_AGAIN_MS) {
        metAtMs = Date.now();
        await meetStrangers(mine!);
      }
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
  const members = () => store.nodes(cache.id).filter((node) => !node.leaving);
  const alive = members().filter((node) => fleet.isAlive(node.id));
  await Promise.allSettled(
    alive.map(async (node) => {
      const peers = await peersOf(context, node);
      // Read afterwards: one that joins just now is written down before anyone meets it. Forgotten, it would be a stranger
      // for a minute (CLUSTER_BLACKLIST_TTL).
      const known = new Set(members().map(({ clusterNodeId }) => clusterNodeId));
      const strangers = peers.filter(
        (peer) => !peer.myself && !peer.handshake && !known.has(peer.id),
      );
      // Refused while a replica has not heard yet that it has a new primary; the next join does it then.
      await Promise.allSettled(
        strangers.map((peer) => fleet.call(node.id, ['CLUSTER', 'FORGET', peer.id])),
      );
    }),
  );
}
