/**
 * Changes the places of a primary and one of its replicas while both live, losing nothing.
 *
 *   in reach, known to all -> writes pause on the primary -> offsets agree -> the replica takes over -> the primary follows it
 *
 * Sharded, the replica takes over by TAKEOVER; unsharded, the primary hands over (hand-over.ts). CLUSTER FAILOVER is not
 * used, because writes stand still in it for much longer: it asks the other primaries for their votes, and is left waiting
 * for 5 s where one votes a second time about the same primary within twice the node timeout, or has not heard yet whose
 * replica this is (clusterSendFailoverAuthIfNeeded). Votes guard against two who decide; here one decides, who talks to
 * both.
 *
 * Each is one command. A daemon that dies before it has changed nothing, one that dies after it has changed everything; the
 * next one takes the step up, and looks which of the two it was.
 */
import { NodeError } from '../../engine/node-error.ts';
import { isOlderLine } from '../line-order.ts';
import type { NodeObservation } from '../node-observation.ts';
import type { NodeRecord } from '../store-records.ts';
import type { Step } from '../step.ts';
import type { StepContext } from '../step-context.ts';
import { liveMembers, peersOf } from './enter-cluster.ts';
import { follow, handOver } from './hand-over.ts';
import { knowingWhatMoved } from './hear-of-moved-slots.ts';
import { recordPrimary } from './record-roles.ts';
import { StepTimeout, waitUntil } from './wait-until.ts';

/** In reach of its primary before it begins, or the pause of writes would be felt. */
const CLOSE_BYTES = 1024 ** 2;
const IN_REACH_TIMEOUT_MS = 30_000;
const KNOWN_TIMEOUT_MS = 10_000;
/** Well below the default deadline of held requests. */
const PAUSE_MS = 2_000;
/** So long after its begin the pause holds for the takeover too. */
const IN_PAUSE_MS = 1_500;

export async function plannedFailover(
  context: StepContext,
  step: Extract<Step, { kind: 'planned-failover' }>,
): Promise<void> {
  const { store, fleet, signal } = context;
  const node = store.node(step.nodeId);
  const primary = store.node(step.primaryId);
  if (node === undefined || primary === undefined) return;
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
      refuseIfReplica(source, primary);
      return (
        replica?.linkUp === true && source !== null && source.offset - replica.offset < CLOSE_BYTES
      );
    },
    { timeoutMs: IN_REACH_TIMEOUT_MS, everyMs: 50, signal },
  );
  if (fleet.observation(node.id)?.role === 'primary') {
    await endWhatWasDone(context, node, primary);
  } else {
    if (context.cache.spec.sharding) await untilKnown(context, node);
    await changePlaces(context, node, primary);
  }
  context.event(
    'failover',
    `node ${node.id} is the primary of shard ${node.shard} now, ${primary.id} its replica (planned)`,
  );
}

/** A daemon that ended in the middle left the old one paused. */
async function endWhatWasDone(
  context: StepContext,
  node: NodeRecord,
  primary: NodeRecord,
): Promise<void> {
  const { fleet } = context;
  recordPrimary(context, node.shard, node.id);
  context.refresh();
  context.publish();
  if ((await fleet.observe(primary.id))?.role !== 'replica') return;
  await fleet.call(primary.id, ['CLIENT', 'UNPAUSE']).catch(() => undefined);
}

/**
 * While no daemon ran, the engine may have made a third one the primary: what the node that was meant is to have is all
 * of that one's writes then, and whoever asked must look again.
 */
function refuseIfReplica(source: NodeObservation | null, primary: NodeRecord): void {
  if (source?.role !== 'replica') return;
  throw new NodeError('NODE_NOT_PRIMARY', `node ${primary.id} is not the primary of its shard`);
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
  const pausedAtMs = performance.now();
  await fleet.call(primary.id, ['CLIENT', 'PAUSE', PAUSE_MS, 'WRITE']);
  let changed = false;
  try {
    await waitUntil(
      `replica ${node.id} having all writes`,
      async () => {
        // The primary first: its offset stands still, the replica's grows towards it.
        const source = await fleet.observe(primary.id);
        const replica = await fleet.observe(node.id);
        refuseIfReplica(source, primary);
        return source !== null && replica?.linkUp === true && replica.offset >= source.offset;
      },
      { timeoutMs: PAUSE_MS / 2, everyMs: 1, signal },
    );
    refuseIfWritesAreMissing(context, node, primary);
    if (cache.spec.sharding) {
      await knowingWhatMoved(context, node, async () => {
        recordPrimary(context, node.shard, node.id);
        refuseIfLate(pausedAtMs, primary);
        // Also where no answer comes in time: it may do it yet.
        changed = true;
        await fleet.call(node.id, ['CLUSTER', 'FAILOVER', 'TAKEOVER'], PAUSE_MS / 4);
      });
    } else {
      refuseIfLate(pausedAtMs, primary);
      await handOver(context, primary, node);
      recordPrimary(context, node.shard, node.id);
    }
    context.refresh();
    if (!cache.spec.sharding) await followUnsharded(context, node, primary);
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

/** A daemon that stood still meanwhile: the pause may have ended, and the primary have taken writes since. */
function refuseIfLate(pausedAtMs: number, primary: NodeRecord): void {
  if (performance.now() - pausedAtMs < IN_PAUSE_MS) return;
  throw new StepTimeout(`what precedes the takeover from ${primary.id}`, IN_PAUSE_MS);
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

/** In a cluster the others hear it from the new primary; here those that are neither old nor new one are told. */
async function followUnsharded(
  context: StepContext,
  node: NodeRecord,
  primary: NodeRecord,
): Promise<void> {
  const { store, fleet, cache } = context;
  const ends = [node.id, primary.id];
  const following = store
    .nodes(cache.id)
    .filter(({ id }) => !ends.includes(id) && fleet.isAlive(id));
  await Promise.allSettled(following.map((other) => follow(context, other, node)));
}
