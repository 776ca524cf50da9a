/**
 * What one slot needs next on its way from a source to a target, key by key (CLUSTER SETSLOT, MIGRATE). Pure: how both
 * ends see the slot now is all that counts, so that a move which was cut off anywhere goes on from what it left.
 *
 *   mark-target -> mark-source -> move-keys -> give-to-target -> tell-source -> done
 *
 * The order is the engine's: a target that imports before the source sends anybody to it, and a slot that is given away
 * only by a source that is marked and empty, so that no key can come into being there any more.
 */

/** A slot as one end sees it. */
export interface SlotSide {
  readonly owner: 'source' | 'target' | 'other' | 'nobody';
  /** `here`: towards, or from, the other end. `elsewhere`: a live node of a third shard. `gone`: nobody any more. */
  readonly mark: 'none' | 'here' | 'elsewhere' | 'gone';
  readonly keys: number;
}

export type SlotAction =
  /** SETSLOT IMPORTING on the target. */
  | 'mark-target'
  /** SETSLOT MIGRATING on the source. */
  | 'mark-source'
  | 'move-keys'
  /** SETSLOT NODE target, on the target. */
  | 'give-to-target'
  /** SETSLOT NODE target, on the source. */
  | 'tell-source'
  /** SETSLOT STABLE. */
  | 'clear-source'
  | 'clear-target'
  /** The ends do not know yet of what has happened, or one has to come back first: look again. */
  | 'wait'
  /** The slot is a third shard's, or on its way to or from one. */
  | 'refuse'
  | 'done';

/**
 * @param source null: its process is gone, and with it its keys; nobody takes its place at once
 * @param target likewise
 */
export function nextSlotAction(source: SlotSide | null, target: SlotSide | null): SlotAction {
  if (target === null) return withoutTarget(source);
  if (source === null) return withoutSource(target);
  if (target.owner === 'target') return targetOwns(source, target);
  if (source.mark === 'elsewhere' || target.mark === 'elsewhere') return 'refuse';
  if (source.owner === 'source') {
    // The target hears by gossip that the source has it.
    if (target.owner !== 'source') return 'wait';
    if (target.mark !== 'here') return 'mark-target';
    if (source.mark !== 'here') return 'mark-source';
    return source.keys > 0 ? 'move-keys' : 'give-to-target';
  }
  const gaveItToOneThatDied =
    source.owner === 'nobody' && source.keys === 0 && target.owner !== 'other';
  if (source.owner === 'target' || gaveItToOneThatDied) {
    // The source gave it away and the target does not know, or has forgotten: nobody has it. The mark makes the target
    // take a new epoch with the slot, so that everybody believes it.
    return target.mark === 'here' ? 'give-to-target' : 'mark-target';
  }
  if (source.owner === 'other' && target.owner === 'other') {
    if (source.mark !== 'none') return 'clear-source';
    return target.mark === 'none' ? 'refuse' : 'clear-target';
  }
  return 'wait';
}

function targetOwns(source: SlotSide, target: SlotSide): SlotAction {
  if (target.mark !== 'none') return 'clear-target';
  if (source.owner === 'target') return source.mark === 'none' ? 'done' : 'clear-source';
  // With keys it may not be told (SETSLOT refuses); it hears of the newer claim by gossip and drops them.
  return source.owner === 'source' && source.keys > 0 ? 'wait' : 'tell-source';
}

/** What has arrived must not wait for a source that comes back empty and would hide it. */
function withoutSource(target: SlotSide): SlotAction {
  if (target.owner === 'target') return target.mark === 'none' ? 'done' : 'clear-target';
  return target.mark === 'here' && target.keys > 0 ? 'give-to-target' : 'wait';
}

/** What had arrived is lost; the source must not send clients to a node that knows nothing of the move. */
function withoutTarget(source: SlotSide | null): SlotAction {
  return source?.owner === 'source' && (source.mark === 'here' || source.mark === 'gone')
    ? 'clear-source'
    : 'wait';
}
