/** The two nodes between which slots move, as they are now: a failover may put others in their places at any time. */
import type { SlotRange } from '../../model/slot-range.ts';
import { parseClusterNodes, type ClusterPeer } from '../node-observation.ts';
import type { NodeRecord } from '../store-records.ts';
import { SlotMoveError, type MoveSlotsStep, type SlotMoveContext } from './slot-move-context.ts';
import { StepTimeout, waitUntil } from './wait-until.ts';

export interface ShardPrimary {
  readonly nodeId: string;
  readonly shard: number;
  readonly clusterId: string;
  readonly host: string;
  readonly port: number;
  /** Everybody as it sees them; `myself` is what it says of itself. */
  readonly peers: readonly ClusterPeer[];
  readonly myself: ClusterPeer;
}

export interface MoveEnds {
  readonly source: ShardPrimary;
  readonly target: ShardPrimary;
  /** The source's, when it was looked at (takeovers.ts). */
  readonly turn: number;
}

const VIEW_TIMEOUT_MS = 1_000;
/** Longer than an election, and than the restart of a node. */
const PRIMARY_TIMEOUT_MS = 30_000;
const LOOK_MS = 50;

/** The shard's primary by its own word, with the newest claim where two say so; null when there is none at the moment. */
export async function primaryOf(
  context: SlotMoveContext,
  shard: number,
): Promise<ShardPrimary | null> {
  const { store, cache, fleet } = context;
  const nodes = store
    .nodes(cache.id)
    .filter((node) => node.shard === shard && fleet.isAlive(node.id));
  const views = await Promise.all(nodes.map((node) => viewOf(context, node)));
  const primaries = views.filter((view) => view?.myself.role === 'primary');
  const meant = new Set(nodes.filter(({ role }) => role === 'primary').map(({ id }) => id));
  // A node that was just started has no epoch yet; one that was replaced has an older one.
  primaries.sort(
    (a, b) =>
      b!.myself.configEpoch - a!.myself.configEpoch ||
      Number(meant.has(b!.nodeId)) - Number(meant.has(a!.nodeId)),
  );
  return primaries[0] ?? null;
}

async function viewOf(context: SlotMoveContext, node: NodeRecord): Promise<ShardPrimary | null> {
  try {
    const text = String(await context.fleet.call(node.id, ['CLUSTER', 'NODES'], VIEW_TIMEOUT_MS));
    const peers = parseClusterNodes(text);
    const myself = peers.find((peer) => peer.myself);
    if (myself === undefined) return null;
    const { id: nodeId, shard, port } = node;
    const host = context.fleet.address(node);
    return { nodeId, shard, clusterId: myself.id, host, port, peers, myself };
  } catch {
    // It is dying, hangs or is just being started: not the one to talk to now.
    return null;
  }
}

/** No process of the shard is left: whatever its primary had is lost. */
export function isShardGone(context: SlotMoveContext, shard: number): boolean {
  const nodes = context.store.nodes(context.cache.id).filter((node) => node.shard === shard);
  return nodes.every((node) => !context.fleet.isAlive(node.id));
}

/**
 * Waits for both shards to have a primary.
 *
 * @throws SlotMoveError SLOT_MOVE_FAILED when one has none for long
 */
export async function moveEnds(context: SlotMoveContext, step: MoveSlotsStep): Promise<MoveEnds> {
  let found: (ShardPrimary | null)[] = [];
  let turn = 0;
  try {
    await waitUntil(
      `shards ${step.from} and ${step.to} having primaries`,
      async () => {
        turn = context.fleet.takeovers.turnOf(context.cache.id, step.from);
        found = await Promise.all([step.from, step.to].map((shard) => primaryOf(context, shard)));
        return found.every((end) => end !== null);
      },
      { timeoutMs: PRIMARY_TIMEOUT_MS, everyMs: LOOK_MS, signal: context.signal },
    );
  } catch (error) {
    if (!(error instanceof StepTimeout)) throw error;
    throw new SlotMoveError('SLOT_MOVE_FAILED', error.message, { cause: error });
  }
  return { source: found[0]!, target: found[1]!, turn };
}

/** The live primaries of the whole cache. */
export async function allPrimaries(context: SlotMoveContext): Promise<ShardPrimary[]> {
  const shards = new Set(context.store.nodes(context.cache.id).map(({ shard }) => shard));
  const found = await Promise.all([...shards].map((shard) => primaryOf(context, shard)));
  return found.filter((primary) => primary !== null);
}

/** Whom a node says a slot belongs to; undefined: nobody. */
export function ownerOf(peers: readonly ClusterPeer[], slot: number): ClusterPeer | undefined {
  return peers.find(({ slotRanges }) => slotRanges.some((range) => contains(range, slot)));
}

function contains({ first, last }: SlotRange, slot: number): boolean {
  return first <= slot && slot <= last;
}
