/**
 * Changes the places of a primary and one of its replicas while both live, losing nothing.
 *
 *   in reach, known to all -> writes pause on the primary -> offsets agree -> the replica takes over -> the primary follows it
 *
 * The engine's own ways are not used, because writes stand still in them for much longer: FAILOVER (unsharded) waits for
 * the replica's acknowledgement, which comes once a second (replicationCron); CLUSTER FAILOVER asks the other primaries
 * for their votes, and is left waiting for 5 s where one votes a second time about the same primary within twice the node
 * timeout, or has not heard yet whose replica this is (clusterSendFailoverAuthIfNeeded). Votes guard against two who
 * decide; here one decides, who talks to both.
 */
import { NodeError } from '../../engine/node-error.ts';
import { isOlderLine } from '../line-order.ts';
import type { NodeRecord } from '../store-records.ts';
import type { Step } from '../step.ts';
import type { StepContext } from '../step-context.ts';
import { liveMembers, peersOf } from './enter-cluster.ts';
import { hearOfMovedSlots } from './hear-of-moved-slots.ts';
import { recordPrimary } from './record-roles.ts';
import { waitUntil } from './wait-until.ts';

/** In reach of its primary before it begins, or the pause of writes would be felt. */
const CLOSE_BYTES = 1024 ** 2;
const IN_REACH_TIMEOUT_MS = 30_000;
const KNOWN_TIMEOUT_MS = 10_000;
/** Well below the default deadline of held requests. */
const PAUSE_MS = 2_000;

export async function plannedFailover(
  context: StepContext,
  step: Extract<Step, { kind: 'planned-failover' }>,
): Promise<void> {
  const { store, fleet, signal } = context;
  const node = store.node(step.nodeId);
  const primary = store.node(step.primaryId);
  if (node === undefined || primary === undefined || node.role === 'primary') return;
  if (node.leaving) {
    throw new NodeError('NODE_LEAVING', `node ${node.id} is being taken out of its cache`);
  }
  if (!fleet.isAlive(node.id) || !fleet.isAlive(primary.id)) return;

  await waitUntil(
    `replica ${node.id} catching up`,
    async () => {
      const [replica, source] = await Promise.all([
        fleet.observe(node.id),
        fleet.observe(primary.id),
      ]);
      if (replica?.role === 'primary') return true;
      return (
        replica?.linkUp === true && source !== null && source.offset - replica.offset < CLOSE_BYTES
      );
    },
    { timeoutMs: IN_REACH_TIMEOUT_MS, everyMs: 50, signal },
  );
  if (fleet.observation(node.id)?.role === 'primary') {
    recordPrimary(context, node.shard, node.id);
    return;
  }
  if (context.cache.spec.sharding) await untilKnown(context, node);
  await changePlaces(context, node, primary);
  context.event(
    'failover',
    `node ${node.id} is the primary of shard ${node.shard} now, ${primary.id} its replica (planned)`,
  );
}

/** What a stranger says of slots is not listened to: before it says so, all of the cluster know it. */
async function untilKnown(context: StepContext, node: NodeRecord): Promise<void> {
  const { store, signal } = context;
  const { clusterNodeId } = store.node(node.id) ?? node;
  await waitUntil(
    `node ${node.id} being known to its cluster`,
    async () => {
      const views = await Promise.all(
        liveMembers(context, node).map((other) => peersOf(context, other)),
      );
      return views.every((peers) =>
        peers.some(({ id, handshake }) => id === clusterNodeId && !handshake),
      );
    },
    { timeoutMs: KNOWN_TIMEOUT_MS, everyMs: 50, signal },
  );
}

async function changePlaces(
  context: StepContext,
  node: NodeRecord,
  primary: NodeRecord,
): Promise<void> {
  const { fleet, cache, signal } = context;
  // Ends by itself: should this daemon die now, writes go on where they were.
  await fleet.call(primary.id, ['CLIENT', 'PAUSE', PAUSE_MS, 'WRITE']);
  let changed = false;
  try {
    await waitUntil(
      `replica ${node.id} having all writes`,
      async () => {
        // The primary first: its offset stands still, the replica's grows towards it.
        const source = await fleet.observe(primary.id);
        const replica = await fleet.observe(node.id);
        return source !== null && replica?.linkUp === true && replica.offset >= source.offset;
      },
      { timeoutMs: PAUSE_MS / 2, everyMs: 1, signal },
    );
    refuseIfWritesAreMissing(context, node, primary);
    if (cache.spec.sharding) await hearOfMovedSlots(context, node);
    // Written down before it is done: with two that follow nobody, the one that is meant to be primary is it.
    recordPrimary(context, node.shard, node.id);
    const command = cache.spec.sharding
      ? ['CLUSTER', 'FAILOVER', 'TAKEOVER']
      : ['REPLICAOF', 'NO', 'ONE'];
    await fleet.call(node.id, command, PAUSE_MS / 4);
    changed = true;
    context.refresh();
    if (!cache.spec.sharding) await followUnsharded(context, node);
    context.publish();
    await waitUntil(
      `node ${primary.id} following ${node.id}`,
      async () => (await fleet.observe(primary.id))?.role === 'replica',
      { timeoutMs: PAUSE_MS / 2, everyMs: 2, signal },
    );
    changed = false;
  } finally {
    // Whoever was paused is told now that this is a replica, and asks the new primary. If it is none yet, nobody may
    // write to it: the pause runs on until its end.
    if (!changed) await fleet.call(primary.id, ['CLIENT', 'UNPAUSE']).catch(() => undefined);
  }
}

/** An older engine goes on after a command that it does not know: its offset is right, its data is not. */
function refuseIfWritesAreMissing(
  { fleet }: StepContext,
  node: NodeRecord,
  primary: NodeRecord,
): void {
  const missed = fleet.observation(node.id)?.missedWrites ?? 0;
  if (missed === 0 || !isOlderLine(node.engineLine, primary.engineLine)) return;
  throw new NodeError(
    'NODE_MISSES_WRITES',
    `node ${node.id} (Valkey ${node.engineLine}) could not execute ${missed} writes of ${primary.id} (${primary.engineLine})`,
  );
}

/** In a cluster the others hear it from the new primary; here they are told. */
async function followUnsharded(context: StepContext, node: NodeRecord): Promise<void> {
  const { store, fleet, cache } = context;
  const others = store.nodes(cache.id).filter((other) => other.id !== node.id);
  await Promise.allSettled(
    others.map((other) => fleet.call(other.id, ['REPLICAOF', fleet.address(node), node.port])),
  );
}
