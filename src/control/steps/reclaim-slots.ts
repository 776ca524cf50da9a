/**
 * Gives the slots of a shard that belong to nobody to its primary, which came up without its nodes.conf (a disk that was
 * full, a directory that was removed). Its data is gone with its process; without its slots the shard would be, too.
 *
 *   learn the identity -> the others forget the old one -> a newer epoch -> the shard's slots, less what others own -> MEET
 */
import { parseClusterNodes } from '../node-observation.ts';
import type { Step } from '../step.ts';
import type { StepContext } from '../step-context.ts';
import { functionsOf } from '../functions-of.ts';
import { withoutRanges } from '../slot-ranges.ts';
import { forgetStrangers } from './enter-cluster.ts';
import { takeOverFromGhost } from './take-over-from-ghost.ts';

export async function reclaimSlots(
  context: StepContext,
  step: Extract<Step, { kind: 'reclaim-slots' }>,
): Promise<void> {
  const { store, fleet, cache } = context;
  const node = store.node(step.nodeId);
  if (node === undefined || !fleet.isAlive(node.id)) return;
  // A daemon was killed while it restarted this one.
  const whole = store.shards.get(cache.id, node.shard)?.slots ?? [];
  if (await takeOverFromGhost(context, node, whole)) return;
  const clusterNodeId = String(await fleet.call(node.id, ['CLUSTER', 'MYID']));
  store.updateNode(node.id, { clusterNodeId, identity: 'kept' });
  const functions = await functionsOf(context, node);
  if (functions !== null) await fleet.restoreFunctions(node.id, functions);
  await forgetStrangers(context);

  const others = store
    .nodes(cache.id)
    .filter((other) => other.id !== node.id && fleet.isAlive(other.id));
  const [own, ...views] = await Promise.all(
    [node, ...others].map(async (one) =>
      parseClusterNodes(String(await fleet.call(one.id, ['CLUSTER', 'NODES']))),
    ),
  );
  if (own!.some((peer) => peer.myself && peer.slots > 0)) return;
  const claims = views.flatMap((peers) => peers.filter((peer) => peer.myself));
  const epoch = Math.max(0, ...claims.map((peer) => peer.configEpoch)) + 1;
  // Refused once it knows others; then BUMPEPOCH below does it.
  await fleet.call(node.id, ['CLUSTER', 'SET-CONFIG-EPOCH', epoch]).catch(() => undefined);
  const taken = claims.flatMap((peer) => peer.slotRanges);
  const free = whole.flatMap((range) => withoutRanges(range, taken));
  if (free.length > 0) {
    const words = free.flatMap(({ first, last }) => [first, last]);
    await fleet.call(node.id, ['CLUSTER', 'ADDSLOTSRANGE', ...words]);
  }
  await Promise.all(
    others.map((other) =>
      fleet.call(node.id, ['CLUSTER', 'MEET', fleet.address(other), other.port, other.busPort]),
    ),
  );
  await fleet.call(node.id, ['CLUSTER', 'BUMPEPOCH']).catch(() => undefined);
  await fleet.observe(node.id, { cluster: true });
  context.refresh();
  context.publish();
  context.event(
    'slots-reclaimed',
    `node ${node.id} lost its cluster state and got the slots of shard ${node.shard} again, empty`,
  );
}
