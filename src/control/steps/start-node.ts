/** Makes the process of a node run, as a known member of its cluster or as a stranger that will join it anew. */
import { NodeError } from '../../engine/node-error.ts';
import { functionsOf } from '../functions-of.ts';
import type { Step } from '../step.ts';
import { countStart } from './count-start.ts';
import type { NodeRecord } from '../store-records.ts';
import type { StepContext } from '../step-context.ts';

export async function startNode(
  context: StepContext,
  step: Extract<Step, { kind: 'start-node' }>,
): Promise<void> {
  const { store, fleet, cache } = context;
  let node = store.node(step.nodeId);
  if (node === undefined || fleet.isAlive(node.id)) return;
  if (step.identity === 'fresh') {
    store.updateNode(node.id, { identity: 'none', clusterNodeId: null });
    fleet.files.forgetIdentity(node.id);
  }
  const replicaOf = step.replicaOf === null ? null : (store.node(step.replicaOf) ?? null);
  // Of a cache that was there before, the libraries are; a new one has none.
  const functions =
    cache.formed || node.role !== 'primary' ? null : await functionsOf(context, node);
  const options = { replicaOf, functions, signal: context.signal };
  try {
    await fleet.start(cache, node, options);
  } catch (error) {
    const hostId = newPlace(context, step, node, error);
    if (hostId === null) {
      giveUpIdentity(context, step, node, error);
      throw error;
    }
    const { port, busPort } = await context.ports.nodePair(fleet.hosts.address(hostId));
    context.ports.release([node.port, node.busPort]);
    store.updateNode(node.id, { port, busPort, hostId });
    if (hostId !== node.hostId) {
      // What it was known by is where it was.
      store.updateNode(node.id, { identity: 'none', clusterNodeId: null });
      fleet.files.forgetIdentity(node.id);
    }
    node = store.node(node.id)!;
    await fleet.start(cache, node, options);
  }
  if (cache.spec.sharding) {
    const clusterNodeId = String(await fleet.call(node.id, ['CLUSTER', 'MYID']));
    store.updateNode(node.id, { clusterNodeId, identity: 'kept' });
  }
  if (!cache.formed) {
    // Its next end is a death again.
    if (node.stopped) store.updateNode(node.id, { stopped: false });
    return;
  }
  if (countStart(context, node)) {
    context.event('node-restarted', `node ${node.id} of shard ${node.shard} runs again`);
  }
}

/**
 * An engine may refuse, or crash over, the cluster file that it wrote itself (valkey issue 2171: another shard id than its
 * primary's). A replica has nothing that its primary has not: its next start is that of a stranger, which joins anew.
 */
function giveUpIdentity(
  { store, event, cache }: StepContext,
  step: Extract<Step, { kind: 'start-node' }>,
  node: NodeRecord,
  error: unknown,
): void {
  if (!(error instanceof NodeError) || error.code !== 'NODE_START_FAILED') return;
  if (!cache.spec.sharding || step.identity !== 'kept' || node.role !== 'replica') return;
  store.updateNode(node.id, { identity: 'none', clusterNodeId: null });
  event(
    'node-identity-lost',
    `node ${node.id}, replica of shard ${node.shard}, does not start with the cluster file that it had; it joins anew`,
  );
}

/** Where a node may be started that cannot be where it was; null: nowhere else, or that would not help. */
function newPlace(
  { store, fleet, cache }: StepContext,
  step: Extract<Step, { kind: 'start-node' }>,
  node: NodeRecord,
  error: unknown,
): string | null {
  if (!(error instanceof NodeError)) return null;
  // Somebody took the port between our choosing it and the node's start. One that nobody knows yet may move.
  if (error.code === 'NODE_PORT_IN_USE') return cache.formed ? null : node.hostId;
  // Its machine is lost. It has nothing there that would be missed if nobody knows it, or if it is a replica.
  const isMissed = step.identity === 'kept' && node.role === 'primary';
  if (error.code !== 'HOST_UNREACHABLE' || isMissed) return null;
  const shardHosts = store
    .nodes(cache.id)
    .filter(({ id, shard }) => shard === node.shard && id !== node.id)
    .map(({ hostId }) => hostId);
  return fleet.hosts.rank(store, node.role, shardHosts)[0] ?? null;
}
