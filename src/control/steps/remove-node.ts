/**
 * Takes a node out of its cache for good.
 *
 *   marked `leaving` -> it owes proxies nothing -> still not needed? -> its process ends -> the others forget it
 *                                                             -> record, files and ports are gone
 *
 * A daemon that finds a node marked goes on here. One that the engine, or a user, made a primary meanwhile stays.
 */
import { NodeError } from '../../engine/node-error.ts';
import type { Step } from '../step.ts';
import type { StepContext } from '../step-context.ts';
import type { NodeRecord } from '../store-records.ts';
import { forgetStrangers, liveMembers, peersOf } from './enter-cluster.ts';

/**
 * A proxy leaves within milliseconds, or when the node's writes are no longer paused: a daemon that was killed in the middle
 * of a planned failover leaves a pause of 2 s behind. Longer than a daemon's start, after which proxies find it again. One
 * that hangs must not keep the node for ever.
 */
const PROXIES_LEAVE_MS = 15_000;
const STOP_GRACE_MS = 2_000;

/** @throws NodeError NODE_IN_USE for a node that owns slots */
export async function removeNode(
  context: StepContext,
  step: Extract<Step, { kind: 'remove-node' }>,
): Promise<void> {
  const node = context.store.node(step.nodeId);
  if (node === undefined) return;
  if (!node.leaving) await refuseIfNeeded(context, node);
  await leave(context, node);
  await refuseIfMadePrimary(context, node);
  await end(context, node);
  context.event('node-removed', `node ${node.id} left shard ${node.shard}: ${step.why}`);
}

/** Without a check: the caller knows that nobody needs it. */
export async function takeOut(context: StepContext, node: NodeRecord): Promise<void> {
  await leave(context, node);
  await end(context, node);
}

async function leave(context: StepContext, node: NodeRecord): Promise<void> {
  context.store.updateNode(node.id, { leaving: true });
  context.publish();
  if (await context.left(PROXIES_LEAVE_MS)) return;
  const { log } = context;
  log.warn({ node: node.id }, 'not every proxy has left the node; what it still owes them is lost');
}

async function end(context: StepContext, node: NodeRecord): Promise<void> {
  const { store, fleet, ports, cache } = context;
  await fleet.stop(node.id, STOP_GRACE_MS);
  if (cache.spec.sharding) await forgetStrangers(context);
  await fleet.remove(node.id, 0);
  store.deleteNode(node.id);
  ports.release([node.port, node.busPort]);
}

/** In a cluster it says so itself: whoever was elected, or told to take over, knows it first. Else it is written down. */
async function refuseIfMadePrimary(context: StepContext, node: NodeRecord): Promise<void> {
  const { store, fleet, cache } = context;
  if (cache.spec.sharding) {
    if ((await fleet.observe(node.id, { cluster: true })) === null) return;
    const myself = (fleet.peers(node.id) ?? []).find((peer) => peer.myself);
    if (myself === undefined || myself.slots === 0) return;
  } else if (store.node(node.id)?.role !== 'primary') return;
  store.updateNode(node.id, { leaving: false });
  context.publish();
  context.lookAtShard(node.shard);
  throw inUse(`node ${node.id} became the primary of shard ${node.shard} while it was leaving`);
}

/** @throws NodeError NODE_IN_USE for a node that owns slots, by its own word or another primary's */
export async function refuseIfOwner(context: StepContext, node: NodeRecord): Promise<void> {
  const { fleet } = context;
  const witnesses = [
    ...(fleet.isAlive(node.id) ? [node] : []),
    ...liveMembers(context, node).filter(({ role }) => role === 'primary'),
  ];
  for (const witness of witnesses) {
    const peer = (await peersOf(context, witness)).find(({ id }) => id === node.clusterNodeId);
    if (peer !== undefined && peer.slots > 0) {
      throw inUse(`node ${node.id} owns ${peer.slots} slots, says ${witness.id}`);
    }
  }
}

async function refuseIfNeeded(context: StepContext, node: NodeRecord): Promise<void> {
  const { cache, store } = context;
  if (!cache.spec.sharding) {
    if (node.role === 'primary') throw inUse(`node ${node.id} is the primary of its cache`);
    return;
  }
  await refuseIfOwner(context, node);
  const others = store
    .nodes(cache.id)
    .filter(({ id, shard, leaving }) => id !== node.id && shard === node.shard && !leaving);
  if (node.role === 'primary' && others.length > 0) {
    throw inUse(`node ${node.id} is the primary of shard ${node.shard}, which has replicas`);
  }
}

function inUse(message: string): NodeError {
  return new NodeError('NODE_IN_USE', message);
}
