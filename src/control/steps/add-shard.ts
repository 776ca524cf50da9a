/**
 * Adds a shard that owns nothing yet: a primary and its replicas, in the cluster and known to all.
 *
 *   record `joining` -> processes -> epoch, MEET -> all know it, it sees the cluster -> replicas in sync -> `serving`
 *
 * Slots come to it afterwards (move-slots). Its replicas follow before that, so that nothing which is moved here is ever
 * without the copies that the cache asks for. Run again, it goes on from what is there.
 */
import { randomBytes } from 'node:crypto';
import { CLUSTER_NODE_TIMEOUT_MS } from '../../engine/node-config.ts';
import { NodeError } from '../../engine/node-error.ts';
import { parseInfo } from '../node-observation.ts';
import type { Step } from '../step.ts';
import type { StepContext } from '../step-context.ts';
import type { NodeRecord } from '../store-records.ts';
import { enterCluster, forgetStrangers, peersOf, settledMembers } from './enter-cluster.ts';
import { newNodeId, provisionNode } from './provision-node.ts';
import { waitUntil } from './wait-until.ts';

const READY_TIMEOUT_MS = 15_000;

export async function addShard(
  context: StepContext,
  step: Extract<Step, { kind: 'add-shard' }>,
): Promise<void> {
  const { store, cache } = context;
  const startedAtMs = Date.now();
  if (store.shards.get(cache.id, step.shard) === undefined) {
    store.shards.insert({
      cacheId: cache.id,
      shard: step.shard,
      state: 'joining',
      slots: [],
      replicas: step.replicas,
      ioThreads: 1,
      maxmemoryBytes: step.maxmemoryBytes,
    });
  }
  if (store.shards.get(cache.id, step.shard)!.state !== 'joining') return;
  const primary = await ensureNode(context, step.shard, 0);
  const replicas: NodeRecord[] = [];
  // One after the other: each is placed away from those before it.
  for (let copy = 1; copy <= step.replicas; copy++) {
    replicas.push(await ensureNode(context, step.shard, copy));
  }
  const nodes = [primary, ...replicas];
  await enter(context, primary);
  await Promise.all(replicas.map((replica) => follow(context, replica, primary)));
  store.shards.update(cache.id, step.shard, { state: 'serving' });
  context.publish();
  context.refresh();
  context.lookAtShard(step.shard);
  context.event(
    'shard-added',
    `shard ${step.shard} joined with ${nodes.length === 1 ? `node ${primary.id}` : `nodes ${nodes.map(({ id }) => id).join(', ')}`} in ${Date.now() - startedAtMs} ms`,
  );
}

/** The node of this shard that is the `copy`th, with a process. */
async function ensureNode(context: StepContext, shard: number, copy: number): Promise<NodeRecord> {
  const { store, cache } = context;
  const role = copy === 0 ? 'primary' : 'replica';
  const there = store
    .nodes(cache.id)
    .filter((node) => node.shard === shard && node.role === role && !node.leaving);
  const node = there[copy === 0 ? 0 : copy - 1];
  if (node !== undefined && (await comesToRun(context, node))) return store.node(node.id)!;
  const place = `${cache.id.slice(0, 4)}-${String(shard).padStart(4, '0')}-${copy}`;
  // Of one that was given up there may be something left under its name.
  const again = node === undefined ? '' : `-${randomBytes(2).toString('hex')}`;
  const id = newNodeId(cache.name, `${place}${again}`);
  return provisionNode(context, { id, shard, role, engineLine: cache.spec.engineVersion });
}

/** False: it cannot run where it is, and is given up. It owned nothing, so there is nothing to keep. */
async function comesToRun(context: StepContext, node: NodeRecord): Promise<boolean> {
  const { store, fleet, ports, cache, signal } = context;
  if (fleet.isOnLostHost(node.id)) return leaveBehind(context, node);
  if (fleet.isAlive(node.id)) return true;
  // It begins as a stranger.
  store.updateNode(node.id, { identity: 'none', clusterNodeId: null });
  fleet.files.forgetIdentity(node.id);
  try {
    await fleet.start(cache, node, { replicaOf: null, signal });
  } catch (error) {
    if (!(error instanceof NodeError)) throw error;
    if (error.code === 'HOST_UNREACHABLE') return leaveBehind(context, node);
    if (error.code !== 'NODE_PORT_IN_USE') throw error;
    await fleet.remove(node.id, 0);
    store.deleteNode(node.id);
    ports.release([node.port, node.busPort]);
    return false;
  }
  const clusterNodeId = String(await fleet.call(node.id, ['CLUSTER', 'MYID']));
  store.updateNode(node.id, { clusterNodeId, identity: 'kept' });
  return true;
}

/** Whether it runs nobody knows: it is taken out when its host is there again. */
function leaveBehind({ store }: StepContext, node: NodeRecord): false {
  store.updateNode(node.id, { leaving: true });
  return false;
}

async function enter(context: StepContext, primary: NodeRecord): Promise<void> {
  const { fleet, signal } = context;
  const members = settledMembers(context, primary).filter(({ shard }) => shard !== primary.shard);
  const epochs = await Promise.all(
    members.slice(0, 3).map(async (member) => {
      const peers = await peersOf(context, member);
      return Math.max(0, ...peers.map(({ configEpoch }) => configEpoch));
    }),
  );
  // A number of its own, where shards join side by side too. Refused once it knows others; the engine settles it then.
  const epoch = Math.max(0, ...epochs) + 1 + primary.shard;
  await fleet.call(primary.id, ['CLUSTER', 'SET-CONFIG-EPOCH', epoch]).catch(() => undefined);
  await enterCluster(context, primary, members);
  await forgetStrangers(context);
  await waitUntil(
    `node ${primary.id} seeing its cluster`,
    async () => {
      const info = parseInfo(String(await fleet.call(primary.id, ['CLUSTER', 'INFO'])));
      return info.get('cluster_state') === 'ok';
    },
    { timeoutMs: READY_TIMEOUT_MS, everyMs: 10, signal },
  );
  await fleet.call(primary.id, ['CONFIG', 'SET', 'cluster-node-timeout', CLUSTER_NODE_TIMEOUT_MS]);
}

async function follow(
  context: StepContext,
  replica: NodeRecord,
  primary: NodeRecord,
): Promise<void> {
  const { store, fleet, signal } = context;
  await enterCluster(context, replica, settledMembers(context, replica));
  const { clusterNodeId } = store.node(primary.id)!;
  await fleet.call(replica.id, ['CLUSTER', 'REPLICATE', clusterNodeId!]);
  await fleet.call(replica.id, ['CONFIG', 'SET', 'cluster-node-timeout', CLUSTER_NODE_TIMEOUT_MS]);
  await waitUntil(
    `node ${replica.id} following ${primary.id}`,
    async () => (await fleet.observe(replica.id))?.linkUp === true,
    { timeoutMs: READY_TIMEOUT_MS, everyMs: 20, signal },
  );
}
