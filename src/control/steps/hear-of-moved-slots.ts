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
/** While slots are on the move their keys are at stake, and a machine that is busy is no reason to lose them. */
const MOVING_TIMEOUT_MS = 3_000;
const HEARD_EVERY_MS = 2;

/**
 * A replica takes over what it thinks that its primary owned, with a newer claim than anybody's. Slots that moved away in
 * the last moment before the death must not be among them: their new owner would give way, and drop their keys. So it takes
 * over when it has heard of them, and none is given away meanwhile.
 */
export function knowingWhatMoved<T>(
  context: StepContext,
  node: NodeRecord,
  takeOver: () => Promise<T>,
): Promise<T> {
  const { fleet, cache } = context;
  return fleet.takeovers.takeOver(cache.id, node.shard, async () => {
    await hearOfMovedSlots(context, node);
    return takeOver();
  });
}

async function hearOfMovedSlots(context: StepContext, node: NodeRecord): Promise<void> {
  const { store, fleet, cache, log, signal } = context;
  const moves = store.steps.openOf(cache.id, ['move-slots', 'mend-slots']);
  const isMoving = moves.some(({ step }) => step.kind !== 'move-slots' || step.from === node.shard);
  const others = store
    .nodes(cache.id)
    .filter(
      ({ id, shard, role }) => shard !== node.shard && role === 'primary' && fleet.isAlive(id),
    );
  const claimsMs = isMoving ? MOVING_TIMEOUT_MS : CLAIMS_TIMEOUT_MS;
  const views = await Promise.allSettled(others.map(({ id }) => peersOf(context, id, claimsMs)));
  const claimed = views.flatMap((view) =>
    view.status === 'fulfilled'
      ? view.value.flatMap((peer) => (peer.myself ? peer.slotRanges : []))
      : [],
  );
  const deadline = Date.now() + (isMoving ? MOVING_TIMEOUT_MS : HEARD_TIMEOUT_MS);
  for (;;) {
    const peers = await peersOf(context, node.id, claimsMs).catch(() => null);
    const primaryId = peers?.find((peer) => peer.myself)?.primaryId;
    const inherited = peers?.find((peer) => peer.id === primaryId)?.slotRanges ?? [];
    if (peers !== null && !overlap(inherited, claimed)) return;
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

async function peersOf({ fleet }: StepContext, nodeId: string, timeoutMs: number) {
  return parseClusterNodes(String(await fleet.call(nodeId, ['CLUSTER', 'NODES'], timeoutMs)));
}
