/**
 * Ends what moves by keys have left behind: marks (CLUSTER SETSLOT) with which nobody goes on. While they stand, commands
 * with several keys of such a slot are told to try again (TRYAGAIN), and 9.x refuses to migrate anything.
 *
 * To be run when no move is under way: at the daemon's start, before moves are planned; by a move that gives up, for its
 * two nodes alone.
 */
import { allPrimaries, ownerOf, primaryOf, type ShardPrimary } from './move-ends.ts';
import { FIRST_BATCH, type KeysSent } from './move-keys.ts';
import { countKeys, moveWindow, setSlot } from './move-slots-by-key.ts';
import type { SlotMoveContext } from './slot-move-context.ts';
import { waitUntil } from './wait-until.ts';

/** As long as an election may take, and the restart of a node. */
const PRIMARIES_TIMEOUT_MS = 30_000;

/** A slot with marks: who owns it, and who would have got it. Null: nobody who is there. */
export interface LeftoverSlot {
  readonly slot: number;
  readonly source: ShardPrimary | null;
  readonly target: ShardPrimary | null;
  /** Who has a mark on it. */
  readonly marked: readonly ShardPrimary[];
}

/** Puts the marks of all primaries together. Pure. */
export function leftovers(primaries: readonly ShardPrimary[]): LeftoverSlot[] {
  const byId = new Map(primaries.map((primary) => [primary.clusterId, primary]));
  const slots = new Set(primaries.flatMap(({ myself }) => myself.marks.map(({ slot }) => slot)));
  return [...slots]
    .sort((a, b) => a - b)
    .map((slot) => {
      const marks = primaries.flatMap((node) =>
        node.myself.marks.filter((mark) => mark.slot === slot).map((mark) => ({ node, mark })),
      );
      const owner = primaries.find(
        ({ peers, clusterId }) => ownerOf(peers, slot)?.id === clusterId,
      );
      const importing = marks.find(({ mark }) => mark.kind === 'importing')?.node;
      const migrating = marks.find(({ mark }) => mark.kind === 'migrating');
      const source = owner ?? migrating?.node ?? null;
      const towards = migrating && resolved(migrating.node, migrating.mark.peerId);
      const target = importing ?? byId.get(towards ?? '') ?? null;
      return {
        slot,
        source,
        target: target === source ? null : target,
        marked: marks.map(({ node }) => node),
      };
    });
}

/** A failover may have made the other end of a mark a replica; its primary is the one then. */
function resolved({ peers }: ShardPrimary, peerId: string): string {
  const peer = peers.find(({ id }) => id === peerId);
  return peer?.role === 'replica' && peer.primaryId !== null ? peer.primaryId : peerId;
}

/**
 * A slot of which keys have arrived at its target goes on to there; of any other the marks are taken away. What cannot be
 * ended is logged and left.
 *
 * @param of cluster ids: only marks of these nodes, where others may have moves under way
 * @returns how many slots had marks
 * @throws StepTimeout when a shard has no primary: then nothing was done
 */
export async function mendSlots(
  context: SlotMoveContext,
  of: readonly string[] | null = null,
): Promise<number> {
  const shards = new Set(context.store.nodes(context.cache.id).map(({ shard }) => shard));
  let primaries: ShardPrimary[] = [];
  // With one that is not there a mark towards it would look like one towards nobody.
  await waitUntil(
    'every shard having a primary',
    async () => (primaries = await allPrimaries(context)).length === shards.size,
    { timeoutMs: PRIMARIES_TIMEOUT_MS, everyMs: 50, signal: context.signal },
  );
  const found = leftovers(primaries).filter(({ marked }) =>
    marked.some(({ clusterId }) => of === null || of.includes(clusterId)),
  );
  const sent: KeysSent = { keys: 0, bytes: 0, size: FIRST_BATCH };
  for (const leftover of found) {
    context.signal.throwIfAborted();
    try {
      await mend(context, leftover, sent);
    } catch (error) {
      context.signal.throwIfAborted();
      context.log.warn({ slot: leftover.slot, err: error }, 'a moving slot cannot be mended');
    }
  }
  if (found.length > 0) {
    context.refresh();
    context.event(
      'slots-mended',
      `${found.length} slots that were left on their way between shards are where they belong`,
    );
  }
  return found.length;
}

async function mend(
  context: SlotMoveContext,
  { slot, source, target, marked }: LeftoverSlot,
  sent: KeysSent,
): Promise<void> {
  const arrived = async () => (target === null ? 0 : countKeys(context, target.nodeId, slot));
  if ((await arrived()) === 0) {
    // The source's first: it has all keys, and no new one goes to the target from then on.
    const order = [...marked].sort((a, b) => Number(b === source) - Number(a === source));
    for (const node of order) {
      if (node !== source && (await arrived()) > 0) break;
      await setSlot(context, node.nodeId, slot, 'STABLE');
    }
  }
  if (source === null || target === null || (await arrived()) === 0) return;
  const ends = {
    turn: context.fleet.takeovers.turnOf(context.cache.id, source.shard),
    source: await lookAgain(context, source),
    target: await lookAgain(context, target),
  };
  await moveWindow(context, ends, [slot], sent);
}

async function lookAgain(context: SlotMoveContext, node: ShardPrimary): Promise<ShardPrimary> {
  return (await primaryOf(context, node.shard)) ?? node;
}
