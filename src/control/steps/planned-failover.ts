/**
 * Changes the places of a primary and one of its replicas while both live, losing nothing.
 *
 * Sharded: CLUSTER FAILOVER, in which the engine pauses writes until the replica has applied them all. Unsharded: the same
 * by hand. The engine's own FAILOVER waits for the replica's next acknowledgement, which comes once a second
 * (replicationCron), so that writes stand still for up to a second; the offsets themselves agree within milliseconds.
 */
import type { NodeRecord } from '../store.ts';
import type { Step } from '../step.ts';
import type { StepContext } from '../step-context.ts';
import { recordPrimary } from './record-roles.ts';
import { waitUntil } from './wait-until.ts';

/** In reach of its primary before it begins, or the pause of writes would be felt. */
const CLOSE_BYTES = 1024 ** 2;
const IN_REACH_TIMEOUT_MS = 30_000;
const SWITCH_TIMEOUT_MS = 10_000;
/** Well below the default deadline of held requests. */
const PAUSE_MS = 2_000;

export async function plannedFailover(
  context: StepContext,
  step: Extract<Step, { kind: 'planned-failover' }>,
): Promise<void> {
  const { store, fleet, cache, signal } = context;
  const node = store.node(step.nodeId);
  const primary = store.node(step.primaryId);
  if (node === undefined || primary === undefined || node.role === 'primary') return;
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
  if (cache.spec.sharding) await switchShard(context, node, primary);
  else await switchPair(context, node, primary);
  context.event(
    'failover',
    `node ${node.id} is the primary of shard ${node.shard} now, ${primary.id} its replica (planned)`,
  );
}

async function switchShard(
  context: StepContext,
  node: NodeRecord,
  primary: NodeRecord,
): Promise<void> {
  const { fleet } = context;
  if (fleet.observation(node.id)?.role !== 'primary') {
    await fleet.call(node.id, ['CLUSTER', 'FAILOVER']);
  }
  await waitUntil(
    `node ${node.id} becoming primary`,
    async () => {
      const [seen, old] = await Promise.all([fleet.observe(node.id), fleet.observe(primary.id)]);
      return seen?.role === 'primary' && old?.role !== 'primary';
    },
    { timeoutMs: SWITCH_TIMEOUT_MS, everyMs: 5, signal: context.signal },
  );
  context.refresh();
  recordPrimary(context, node.shard, node.id);
  context.publish();
}

async function switchPair(
  context: StepContext,
  node: NodeRecord,
  primary: NodeRecord,
): Promise<void> {
  const { store, fleet, cache, signal } = context;
  // Ends by itself: should this daemon die now, writes go on where they were.
  await fleet.call(primary.id, ['CLIENT', 'PAUSE', PAUSE_MS, 'WRITE']);
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
    // Written down before it is done: with two that follow nobody, the one that is meant to be primary is it.
    recordPrimary(context, node.shard, node.id);
    await fleet.call(node.id, ['REPLICAOF', 'NO', 'ONE'], PAUSE_MS / 4);
    context.refresh();
    const others = store.nodes(cache.id).filter((other) => other.id !== node.id);
    await Promise.allSettled(
      others.map((other) => fleet.call(other.id, ['REPLICAOF', '127.0.0.1', node.port])),
    );
    context.publish();
  } finally {
    // Whoever was paused is told now that this is a replica, and asks the new primary.
    await fleet.call(primary.id, ['CLIENT', 'UNPAUSE']).catch(() => undefined);
  }
}
