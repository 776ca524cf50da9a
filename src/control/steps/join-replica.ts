/**
 * Attaches a live, empty node to the primary of its shard.
 *
 *   MEET -> it knows all and all know it -> the others FORGET its old identity -> REPLICATE
 *
 * The copying of data goes on afterwards; status shows the node as `syncing` until it is done.
 */
import { CLUSTER_NODE_TIMEOUT_MS } from '../../engine/node-config.ts';
import type { NodeRecord } from '../store-records.ts';
import type { Step } from '../step.ts';
import type { StepContext } from '../step-context.ts';
import { enterCluster, forgetStrangers, peersOf } from './enter-cluster.ts';
import { follow } from './hand-over.ts';
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
  else await follow(context, node, primary);
  await fleet.observe(node.id, { cluster: cache.spec.sharding });
  context.event('node-joined', `node ${node.id} follows ${primary.id} in shard ${node.shard}`);
}

async function joinCluster(
  context: StepContext,
  node: NodeRecord,
  primary: NodeRecord,
): Promise<void> {
  const { fleet, signal } = context;
  const followed = (await peersOf(context, node)).find(({ myself }) => myself)?.primaryId;
  await enterCluster(context, node, [primary]);
  // A primary that is to own nothing has no slots; any other must be known with its own.
  const empty = context.store.shards.get(context.cache.id, node.shard)?.slots.length === 0;
  await waitUntil(
    `node ${node.id} knowing the slots of its primary`,
    async () =>
      (await peersOf(context, node)).some(
        (peer) => peer.id === primary.clusterNodeId && (empty || peer.slots > 0),
      ),
    { timeoutMs: 10_000, everyMs: 20, signal },
  );
  await forgetStrangers(context);
  // It may have been introduced anew alone: no second copy of the data for that.
  if (followed !== primary.clusterNodeId) {
    await fleet.call(node.id, ['CLUSTER', 'REPLICATE', primary.clusterNodeId!]);
  }
  await fleet.call(node.id, ['CONFIG', 'SET', 'cluster-node-timeout', CLUSTER_NODE_TIMEOUT_MS]);
}
