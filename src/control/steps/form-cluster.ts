/**
 * Makes a cluster of nodes that know nothing yet.
 *
 *   epochs and slots -> MEET -> all know all -> REPLICATE -> all say that all slots are served
 *
 * A node takes writes no sooner than 2 s after its start (CLUSTER_WRITABLE_DELAY, src/cluster_legacy.c); everything else
 * happens in that time. The node timeout is short meanwhile: it also bounds how long a node that saw too few primaries
 * at first keeps to itself (CLUSTER_MAX_REJOIN_DELAY).
 */
import { coverAll, evenRange } from '../slot-ranges.ts';
import type { NodeRecord } from '../store-records.ts';
import { CLUSTER_NODE_TIMEOUT_MS } from '../../engine/node-config.ts';
import { parseClusterNodes, parseInfo } from '../node-observation.ts';
import type { StepContext } from '../step-context.ts';
import { waitUntil } from './wait-until.ts';
import { SLOT_COUNT } from '../../model/slot-range.ts';

const FORMING_NODE_TIMEOUT_MS = 500;
/** Up to here every node is introduced to every other; gossip alone takes about a second. */
const MESH_MAX_NODES = 40;

export async function formCluster(context: StepContext): Promise<void> {
  const { store, fleet, cache, signal } = context;
  abandonChanges(context);
  settleSlots(context);
  await Promise.all(store.nodes(cache.id).map((node) => learnIdentity(context, node)));
  const nodes = store.nodes(cache.id);
  const primaries = nodes.filter((node) => node.role === 'primary');
  const setTimeouts = (ms: number) =>
    Promise.all(nodes.map((n) => fleet.call(n.id, ['CONFIG', 'SET', 'cluster-node-timeout', ms])));

  await setTimeouts(FORMING_NODE_TIMEOUT_MS);
  await Promise.all(primaries.map((node) => handOutSlots(context, node)));
  await introduce(context, nodes);
  const everyMs = nodes.length > MESH_MAX_NODES ? 200 : 20;
  const ids = new Set(nodes.map((node) => node.clusterNodeId));
  await waitUntil(
    'the nodes knowing one another',
    async () => (await Promise.all(nodes.map((node) => knows(context, node, ids)))).every(Boolean),
    { timeoutMs: 15_000, everyMs, signal },
  );
  await Promise.all(nodes.map((node) => replicate(context, node, primaries)));
  await waitUntil(
    'the nodes agreeing that all slots are served',
    async () => (await Promise.all(nodes.map((node) => isReady(context, node)))).every(Boolean),
    { timeoutMs: 30_000, everyMs, signal },
  );
  await setTimeouts(CLUSTER_NODE_TIMEOUT_MS);
  store.updateCache(cache.id, { formed: true });
}

/** A cache that is formed anew has nothing of what was being done: who was to leave stays, who was to come does not. */
function abandonChanges({ store, cache }: StepContext): void {
  const nodes = store.nodes(cache.id);
  const inhabited = new Set(nodes.map(({ shard }) => shard));
  store.transaction(() => {
    for (const { id, leaving } of nodes) if (leaving) store.updateNode(id, { leaving: false });
    for (const { shard } of store.shards.of(cache.id))
      if (!inhabited.has(shard)) store.shards.delete(cache.id, shard);
  });
}

/**
 * What is written down is used when it is whole: a cache that is formed anew is spread as it was. If not (it ended while
 * slots were on their way), evenly.
 */
function settleSlots({ store, cache }: StepContext): void {
  const shards = store.shards.of(cache.id);
  const whole = coverAll(shards.flatMap(({ slots }) => slots));
  shards.forEach(({ shard, slots }, i) => {
    store.shards.update(cache.id, shard, {
      state: 'serving',
      slots: whole ? slots : [evenRange(i, shards.length)],
    });
  });
}

/** Asked again rather than trusted: a daemon may have died between a node's start and writing its identity down. */
async function learnIdentity(context: StepContext, node: NodeRecord): Promise<void> {
  const clusterNodeId = String(await context.fleet.call(node.id, ['CLUSTER', 'MYID']));
  context.store.updateNode(node.id, { clusterNodeId, identity: 'kept' });
}

async function handOutSlots(context: StepContext, node: NodeRecord): Promise<void> {
  const { store, fleet, cache } = context;
  const peers = parseClusterNodes(String(await fleet.call(node.id, ['CLUSTER', 'NODES'])));
  if (peers.some((peer) => peer.myself && peer.slots > 0)) return;
  // Different epochs from the first moment: none has to be agreed on later. Refused once a node has one or knows others.
  await fleet.call(node.id, ['CLUSTER', 'SET-CONFIG-EPOCH', node.shard + 1]).catch(() => undefined);
  const slots = store.shards.get(cache.id, node.shard)?.slots ?? [];
  if (slots.length === 0) return;
  const words = slots.flatMap(({ first, last }) => [first, last]);
  await fleet.call(node.id, ['CLUSTER', 'ADDSLOTSRANGE', ...words]);
}

async function introduce(context: StepContext, nodes: readonly NodeRecord[]): Promise<void> {
  const meet = (from: NodeRecord, to: NodeRecord) =>
    context.fleet.call(from.id, [
      'CLUSTER',
      'MEET',
      context.fleet.address(to),
      to.port,
      to.busPort,
    ]);
  if (nodes.length <= MESH_MAX_NODES) {
    await Promise.all(nodes.flatMap((from, i) => nodes.slice(i + 1).map((to) => meet(from, to))));
    return;
  }
  const [first, ...others] = nodes;
  await Promise.all(others.map((to) => meet(first!, to)));
}

async function knows(
  context: StepContext,
  node: NodeRecord,
  ids: ReadonlySet<string | null>,
): Promise<boolean> {
  const peers = parseClusterNodes(String(await context.fleet.call(node.id, ['CLUSTER', 'NODES'])));
  return peers.filter((peer) => ids.has(peer.id) && !peer.handshake).length === ids.size;
}

async function replicate(
  context: StepContext,
  node: NodeRecord,
  primaries: readonly NodeRecord[],
): Promise<void> {
  if (node.role === 'primary') return;
  const primary = primaries.find((candidate) => candidate.shard === node.shard)!;
  await context.fleet.call(node.id, ['CLUSTER', 'REPLICATE', primary.clusterNodeId!]);
}

async function isReady(context: StepContext, node: NodeRecord): Promise<boolean> {
  const info = parseInfo(String(await context.fleet.call(node.id, ['CLUSTER', 'INFO'])));
  if (info.get('cluster_state') !== 'ok' || info.get('cluster_slots_ok') !== String(SLOT_COUNT)) {
    return false;
  }
  if (node.role === 'primary') return true;
  const seen = await context.fleet.observe(node.id);
  return seen?.role === 'replica' && seen.linkUp;
}
