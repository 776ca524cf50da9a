/**
 * Changes the places of a primary and one of its replicas while both live. Nothing is lost: the engine pauses writes on
 * the primary until the replica has applied them all (CLUSTER FAILOVER without options; FAILOVER TO, since 6.2).
 */
import type { Step } from '../step.ts';
import type { StepContext } from '../step-context.ts';
import { recordPrimary } from './record-roles.ts';
import { waitUntil } from './wait-until.ts';

/** In reach of its primary before it begins, or the pause of writes would be felt. */
const CLOSE_BYTES = 1024 ** 2;
const IN_REACH_TIMEOUT_MS = 30_000;
const SWITCH_TIMEOUT_MS = 10_000;

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
  if (fleet.observation(node.id)?.role !== 'primary') {
    if (cache.spec.sharding) await fleet.call(node.id, ['CLUSTER', 'FAILOVER']);
    else {
      await fleet.call(primary.id, ['FAILOVER', 'TO', '127.0.0.1', node.port, 'TIMEOUT', 5_000]);
    }
  }
  await waitUntil(
    `node ${node.id} becoming primary`,
    async () => {
      // The proxies are told as soon as it may be so: they ask the nodes themselves.
      const [seen, old] = await Promise.all([fleet.observe(node.id), fleet.observe(primary.id)]);
      return seen?.role === 'primary' && old?.role !== 'primary';
    },
    { timeoutMs: SWITCH_TIMEOUT_MS, everyMs: 5, signal },
  );
  context.refresh();
  recordPrimary(context, node.shard, node.id);
  context.publish();
  if (!cache.spec.sharding) {
    const others = store.nodes(cache.id).filter((o) => o.id !== node.id && o.id !== primary.id);
    await Promise.allSettled(
      others.map((other) => fleet.call(other.id, ['REPLICAOF', '127.0.0.1', node.port])),
    );
  }
  context.event(
    'failover',
    `node ${node.id} is the primary of shard ${node.shard} now, ${primary.id} its replica (planned)`,
  );
}
