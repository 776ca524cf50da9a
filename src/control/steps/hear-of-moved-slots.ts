/** Before a replica takes over: it must know which slots its primary no longer owned. */
import { setTimeout as delay } from 'node:timers/promises';
import { parseClusterNodes } from '../node-observation.ts';
import type { StepContext } from '../step-context.ts';
import type { NodeRecord } from '../store-records.ts';
import { overlap } from './slot-migrations.ts';

/** A live node answers within a millisecond; one that does not must not hold up a failover. */
const CLAIMS_TIMEOUT_MS = 100;
/** A new owner tells everybody at once; this is for a machine that is held up. */
const HEARD_TIMEOUT_MS = 500;
const HEARD_EVERY_MS = 2;

/**
 * A replica takes over what it thinks that its primary owned, with a newer claim than anybody's. Slots that moved away in
 * the last moment before the death must not be among them: their new owner would give way, and drop their keys. So it takes
 * over when it has heard of them.
 */
export async function hearOfMovedSlots(context: StepContext, node: NodeRecord): Promise<void> {
  const { store, fleet, cache, log, signal } = context;
  const others = store
    .nodes(cache.id)
    .filter(
      ({ id, shard, role }) => shard !== node.shard && role === 'primary' && fleet.isAlive(id),
    );
  const views = await Promise.allSettled(others.map(({ id }) => peersOf(context, id)));
  const claimed = views.flatMap((view) =>
    view.status === 'fulfilled'
      ? view.value.flatMap((peer) => (peer.myself ? peer.slotRanges : []))
      : [],
  );
  const deadline = Date.now() + HEARD_TIMEOUT_MS;
  for (;;) {
    const peers = await peersOf(context, node.id).catch(() => []);
    const primaryId = peers.find((peer) => peer.myself)?.primaryId;
    const inherited = peers.find((peer) => peer.id === primaryId)?.slotRanges ?? [];
    if (!overlap(inherited, claimed)) return;
    if (Date.now() > deadline) {
      log.warn(
        { node: node.id },
        'it takes over slots that others own, for it has not heard of them',
      );
      return;
    }
    await delay(HEARD_EVERY_MS, undefined, { signal });
  }
}

async function peersOf({ fleet }: StepContext, nodeId: string) {
  return parseClusterNodes(
    String(await fleet.call(nodeId, ['CLUSTER', 'NODES'], CLAIMS_TIMEOUT_MS)),
  );
}
