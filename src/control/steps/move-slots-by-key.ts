/**
 * Moves slots key by key (8.x, and between nodes of which one is): a few slots at a time through the actions of
 * next-slot-action.ts. Whatever it is cut off in, the next run finds it in the marks.
 */
import type { SlotAction, SlotSide } from './next-slot-action.ts';
import { nextSlotAction } from './next-slot-action.ts';
import { isShardGone, ownerOf, type MoveEnds, type ShardPrimary } from './move-ends.ts';
import { moveKeys, type KeysSent } from './move-keys.ts';
import { SlotMoveError, type SlotMoveContext } from './slot-move-context.ts';

/** Slots under way at once. A command with several keys of such a slot may have to be tried again (TRYAGAIN). */
const WINDOW_SLOTS = 64;
const WINDOW_KEYS = 1_000;
const COUNT_TIMEOUT_MS = 2_000;
/** How long another shard's primary may wait for its replicas; one that hangs must not hold up the move. */
const TELL_MS = 100;

interface MovingSlot {
  readonly slot: number;
  source: SlotSide | null;
  target: SlotSide | null;
}

/**
 * The first of `slots` that together have few keys, through to their end.
 *
 * @returns how many of them
 * @throws SlotMoveError SLOT_MOVE_REFUSED, SLOT_MOVE_TARGET_FULL; any other error: the nodes must be looked at again
 */
export async function moveWindow(
  context: SlotMoveContext,
  ends: MoveEnds,
  slots: readonly number[],
  sent: KeysSent,
): Promise<number> {
  const moving = await lookAt(context, ends, slots.slice(0, WINDOW_SLOTS));
  let keys = 0;
  const fit = moving.findIndex((one, i) => (keys += one.source?.keys ?? 0) > WINDOW_KEYS && i > 0);
  const window = fit < 0 ? moving : moving.slice(0, fit);
  while (window.some((one) => actionOf(one) !== 'done')) await advance(context, ends, window, sent);
  await tellOthers(context, ends, window);
  return window.length;
}

/** The ends of a slot whose one shard is gone: what arrived is put in force, or the source keeps it. */
export async function rescue(
  context: SlotMoveContext,
  live: ShardPrimary,
  goneId: string,
): Promise<void> {
  for (const { slot, kind, peerId } of live.myself.marks) {
    if (peerId !== goneId) continue;
    const end = kind === 'importing' ? 'target' : 'source';
    const owns = ownerOf(live.peers, slot)?.id === live.clusterId;
    const side: SlotSide = {
      owner: owns ? end : 'source',
      mark: 'here',
      keys: await countKeys(context, live.nodeId, slot),
    };
    const action = end === 'target' ? nextSlotAction(null, side) : nextSlotAction(side, null);
    if (action === 'clear-target') await setSlot(context, live.nodeId, slot, 'STABLE');
    if (action === 'give-to-target')
      await setSlot(context, live.nodeId, slot, 'NODE', live.clusterId);
    if (action === 'clear-source') await setSlot(context, live.nodeId, slot, 'STABLE');
    context.log.info({ slot, action, node: live.nodeId }, 'the other end of a moving slot is gone');
  }
}

function actionOf({ source, target }: MovingSlot): SlotAction {
  return nextSlotAction(source, target);
}

async function lookAt(
  context: SlotMoveContext,
  ends: MoveEnds,
  slots: readonly number[],
): Promise<MovingSlot[]> {
  return Promise.all(
    slots.map(async (slot) => {
      const [source, target] = await Promise.all([
        sideOf(context, ends, ends.source, slot),
        sideOf(context, ends, ends.target, slot),
      ]);
      return { slot, source, target };
    }),
  );
}

async function sideOf(
  context: SlotMoveContext,
  { source, target }: MoveEnds,
  end: ShardPrimary,
  slot: number,
): Promise<SlotSide> {
  const ownerId = ownerOf(end.peers, slot)?.id;
  const mark = end.myself.marks.find((one) => one.slot === slot);
  const other = end === source ? target : source;
  const kind = end === source ? 'migrating' : 'importing';
  // It was the primary of one of the two until now: who is it in its place may not have been heard of yet.
  const wasEnd = (id: string) => {
    const last = context.store.nodes(context.cache.id).find((node) => node.clusterNodeId === id);
    return last?.shard === source.shard || last?.shard === target.shard;
  };
  const markOf = () => {
    if (mark === undefined) return 'none';
    if (mark.kind === kind && mark.peerId === other.clusterId) return 'here';
    if (wasEnd(mark.peerId)) return 'gone';
    const peer = end.peers.find(({ id }) => id === mark.peerId);
    const lives = peer?.role === 'primary' && !peer.failed && !peer.noAddress;
    return lives && peer.id !== other.clusterId ? 'elsewhere' : 'gone';
  };
  const ownerOfId = (id: string) => {
    if (id === source.clusterId) return 'source';
    if (id === target.clusterId) return 'target';
    return wasEnd(id) ? 'nobody' : 'other';
  };
  return {
    owner: ownerId === undefined ? 'nobody' : ownerOfId(ownerId),
    mark: markOf(),
    keys: await countKeys(context, end.nodeId, slot),
  };
}

export async function countKeys(
  context: SlotMoveContext,
  nodeId: string,
  slot: number,
): Promise<number> {
  const command = ['CLUSTER', 'COUNTKEYSINSLOT', slot];
  return Number(await context.fleet.call(nodeId, command, COUNT_TIMEOUT_MS));
}

/** One action for every slot of the window; what it does is taken to be so until an error says otherwise. */
async function advance(
  context: SlotMoveContext,
  ends: MoveEnds,
  window: readonly MovingSlot[],
  sent: KeysSent,
): Promise<void> {
  const actions = window.map(actionOf);
  const at = (action: SlotAction) => window.filter((_, i) => actions[i] === action);
  const [refused] = at('refuse');
  if (refused !== undefined) {
    throw new SlotMoveError(
      'SLOT_MOVE_REFUSED',
      `slot ${refused.slot} is not to be moved from shard ${ends.source.shard}: it belongs to another one, or is on its way to or from one`,
    );
  }
  const [waiting] = at('wait');
  if (waiting !== undefined) {
    const says = (side: SlotSide | null) =>
      side === null ? 'is gone' : `says ${side.owner}, mark ${side.mark}, ${side.keys} keys`;
    throw new Error(
      `slot ${waiting.slot}: the nodes do not agree yet: its source ${says(waiting.source)}; its target ${says(waiting.target)}`,
    );
  }
  // Before anything is begun that was not: between batches the source serves others.
  const full = at('move-keys');
  if (full.length > 0) {
    const slots = full.map(({ slot }) => slot);
    await moveKeys(context, ends, slots, sent);
    for (const one of full) one.source = { ...one.source!, keys: 0 };
  }
  context.signal.throwIfAborted();
  await Promise.all(
    window.map((one, i) =>
      actions[i] === 'move-keys' ? undefined : act(context, ends, one, actions[i]!),
    ),
  );
}

async function act(
  context: SlotMoveContext,
  { source, target, turn }: MoveEnds,
  one: MovingSlot,
  action: SlotAction,
): Promise<void> {
  const { slot } = one;
  switch (action) {
    case 'mark-target':
      await setSlot(context, target.nodeId, slot, 'IMPORTING', source.clusterId);
      one.target = { ...one.target!, mark: 'here' };
      break;
    case 'mark-source':
      await setSlot(context, source.nodeId, slot, 'MIGRATING', target.clusterId);
      // Counted again: from now on no key comes into being there any more.
      one.source = {
        ...one.source!,
        mark: 'here',
        keys: await countKeys(context, source.nodeId, slot),
      };
      break;
    case 'give-to-target':
      await context.fleet.takeovers.give(context.cache.id, source.shard, turn, () =>
        setSlot(context, target.nodeId, slot, 'NODE', target.clusterId),
      );
      one.target = { ...one.target!, owner: 'target', mark: 'none' };
      break;
    case 'tell-source':
      await setSlot(context, source.nodeId, slot, 'NODE', target.clusterId);
      one.source = { ...one.source!, owner: 'target', mark: 'none' };
      break;
    case 'clear-source':
      await setSlot(context, source.nodeId, slot, 'STABLE');
      one.source = { ...one.source!, mark: 'none' };
      break;
    case 'clear-target':
      await setSlot(context, target.nodeId, slot, 'STABLE');
      one.target = { ...one.target!, mark: 'none' };
      break;
    default:
      break;
  }
}

export async function setSlot(
  context: SlotMoveContext,
  nodeId: string,
  slot: number,
  ...words: readonly string[]
): Promise<void> {
  await context.fleet.callAside(nodeId, ['CLUSTER', 'SETSLOT', slot, ...words]);
}

/** They hear of it by gossip too; told, they do so at once. */
async function tellOthers(
  context: SlotMoveContext,
  { source, target }: MoveEnds,
  window: readonly MovingSlot[],
): Promise<void> {
  const { store, cache, fleet } = context;
  const others = store
    .nodes(cache.id)
    .filter(({ id, role }) => role === 'primary' && id !== source.nodeId && id !== target.nodeId)
    .filter(({ id }) => fleet.isAlive(id));
  await Promise.allSettled(
    others.flatMap(({ id }) =>
      window.map(({ slot }) =>
        fleet.callAside(
          id,
          ['CLUSTER', 'SETSLOT', slot, 'NODE', target.clusterId, 'TIMEOUT', TELL_MS],
          5 * TELL_MS,
        ),
      ),
    ),
  );
}

/** Whether rescue must be thought of: one of the two shards has no process left. */
export function goneShard(
  context: SlotMoveContext,
  from: number,
  to: number,
): 'source' | 'target' | null {
  if (isShardGone(context, from)) return 'source';
  return isShardGone(context, to) ? 'target' : null;
}
