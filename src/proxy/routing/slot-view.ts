/**
 * Who owns which slot, as the nodes themselves say it (DESIGN, decision 2): parses `CLUSTER NODES` and puts the views of
 * several nodes together. Where they disagree the higher configuration epoch is right, as it is among the nodes.
 */
import { SLOT_COUNT } from '../../protocol/hash-slot.ts';

export interface ViewedNode {
  readonly id: string;
  readonly host: string;
  readonly port: number;
  readonly primary: boolean;
  /** Id of the primary that a replica follows; null for a primary. */
  readonly primaryId: string | null;
  /** Marked `fail` by the quorum (not `fail?`, one node's suspicion). */
  readonly failed: boolean;
  readonly epoch: number;
  /** Inclusive ranges, flattened: first, last, first, last ... */
  readonly slots: readonly number[];
}

export interface SlotView {
  /** Owner of each slot: index into `nodes`, -1 for none. */
  readonly owners: Int32Array;
  readonly nodes: readonly ViewedNode[];
}

/**
 * Parses one `CLUSTER NODES` reply. `selfHost` stands for the address that a node leaves empty when it does not know its
 * own yet.
 */
export function parseClusterNodes(text: string, selfHost: string): ViewedNode[] {
  const nodes: ViewedNode[] = [];
  for (const line of text.split('\n')) {
    const [id, address, flags, primaryId, , , epoch, , ...ranges] = line.trim().split(' ');
    if (id === undefined || address === undefined || flags === undefined || epoch === undefined)
      continue;
    const flag = new Set(flags.split(','));
    if (flag.has('noaddr') || flag.has('handshake')) continue;
    const hostPort = address.split(/[@,]/, 1)[0]!;
    const colon = hostPort.lastIndexOf(':');
    const slots: number[] = [];
    for (const range of ranges) {
      if (range.startsWith('[')) continue; // a slot that is being moved: MOVED and ASK will tell
      const [first, last] = range.split('-');
      slots.push(Number(first), Number(last ?? first));
    }
    nodes.push({
      id,
      host: hostPort.slice(0, colon) || selfHost,
      port: Number(hostPort.slice(colon + 1)),
      primary: flag.has('master'),
      primaryId: flag.has('master') || primaryId === '-' ? null : primaryId!,
      failed: flag.has('fail'),
      epoch: Number(epoch),
      slots,
    });
  }
  return nodes;
}

/** Puts views together: each node as the view says that gives it the highest epoch, each slot to the highest epoch. */
export function mergeViews(views: readonly (readonly ViewedNode[])[]): SlotView {
  const nodes = new Map<string, ViewedNode>();
  const owners = new Int32Array(SLOT_COUNT).fill(-1);
  const epochs = new Float64Array(SLOT_COUNT).fill(-1);
  const owning: (ViewedNode | undefined)[] = [];
  for (const view of views) {
    for (const node of view) {
      const known = nodes.get(node.id);
      if (
        known === undefined ||
        node.epoch > known.epoch ||
        (known.primary !== node.primary && !node.primary)
      ) {
        nodes.set(node.id, node);
      }
      if (!node.primary) continue;
      for (let i = 0; i < node.slots.length; i += 2) {
        for (let slot = node.slots[i]!; slot <= node.slots[i + 1]!; slot++) {
          if (node.epoch <= epochs[slot]!) continue;
          epochs[slot] = node.epoch;
          owning[slot] = node;
        }
      }
    }
  }
  // Whoever owns slots by its epoch is a primary, though an older view still has it as a replica.
  for (const owner of new Set(owning)) {
    if (owner !== undefined && !nodes.get(owner.id)!.primary) nodes.set(owner.id, owner);
  }
  const list = [...nodes.values()];
  const indexes = new Map(list.map((node, index) => [node.id, index]));
  for (let slot = 0; slot < SLOT_COUNT; slot++) {
    const owner = owning[slot];
    if (owner !== undefined) owners[slot] = indexes.get(owner.id)!;
  }
  return { owners, nodes: list };
}
