/** Which nodes there are and who owns which slot, as far as this proxy knows. Changed by MOVED and by SlotLearner. */
import { SLOT_COUNT } from '../../protocol/hash-slot.ts';
import { NO_SLOT } from './request.ts';
import type { SlotMap } from './slot-refresh.ts';

/** A node that this proxy has heard of. Indexes are never reused while the map lives. */
export interface RouterNode {
  readonly index: number;
  readonly host: string;
  readonly port: number;
  /** Id at the control plane; empty for one learned from the nodes only. */
  id: string;
  primary: boolean;
  /** Index of the primary that a replica follows; its own for a primary. */
  primaryIndex: number;
  /** In the last view of the cluster. */
  known: boolean;
  /** Control is taking it out. */
  leaving: boolean;
}

export class NodeMap {
  /** Changes with every change of the owners: requests of one session never overtake each other across a change. */
  epoch = 0;
  /** Changes with every look at who is there and who follows whom. */
  version = 0;
  /** Owner of each slot as a node index, -1 for none. */
  readonly owners = new Int32Array(SLOT_COUNT).fill(-1);
  readonly nodes: RouterNode[] = [];
  #leaving: ReadonlySet<string> = new Set();

  /** Node that owns the slot (any primary without one); -1 when nobody does now. */
  ownerOf(slot: number): number {
    return slot === NO_SLOT ? this.anyPrimary() : this.owners[slot]!;
  }

  /** A primary for requests that any node can answer: the same one each time, so that such requests keep their order. */
  anyPrimary(): number {
    const owner = this.owners[0]!;
    if (owner >= 0) return owner;
    for (const node of this.nodes) if (node.known && node.primary) return node.index;
    return -1;
  }

  /** Indexes of the primaries that own slots, in slot order. */
  primaries(): number[] {
    const seen = new Set<number>();
    for (const owner of this.owners) if (owner >= 0) seen.add(owner);
    return [...seen];
  }

  /** Every replica in the last view that is to stay. */
  replicas(): number[] {
    return this.nodes
      .filter((node) => node.known && !node.primary && !node.leaving)
      .map((node) => node.index);
  }

  /** The node at this address; null when the nodes and control have not named it. */
  find(host: string, port: number): RouterNode | null {
    for (const node of this.nodes) if (node.port === port && node.host === host) return node;
    return null;
  }

  /** The node at this address; a new one when it was not known. */
  at(host: string, port: number): RouterNode {
    const known = this.find(host, port);
    if (known !== null) return known;
    const index = this.nodes.length;
    const node: RouterNode = {
      index,
      host,
      port,
      id: '',
      primary: true,
      primaryIndex: index,
      known: true,
      leaving: this.#leaving.has(`${host}:${port}`),
    };
    this.nodes.push(node);
    return node;
  }

  /** Takes control's word about who is on the way out. */
  setLeaving(addresses: readonly { readonly host: string; readonly port: number }[]): void {
    this.#leaving = new Set(addresses.map(({ host, port }) => `${host}:${port}`));
    for (const node of this.nodes) node.leaving = this.#leaving.has(`${node.host}:${node.port}`);
    this.version++;
  }

  setOwner(slot: number, node: number): void {
    if (this.owners[slot] === node) return;
    this.nodes[node]!.known = true;
    this.owners[slot] = node;
    this.epoch++;
  }

  /** Takes what the nodes say. True when an owner changed. */
  apply(map: SlotMap): boolean {
    const indexes = map.nodes.map((node) => this.at(node.host, node.port).index);
    for (const node of this.nodes) node.known = false;
    for (const [at, viewed] of map.nodes.entries()) {
      const node = this.nodes[indexes[at]!]!;
      node.known = true;
      node.primary = viewed.primary;
      node.primaryIndex = viewed.primaryAt >= 0 ? indexes[viewed.primaryAt]! : node.index;
    }
    let changed = false;
    for (let slot = 0; slot < SLOT_COUNT; slot++) {
      const at = map.owners[slot]!;
      const owner = at < 0 ? -1 : indexes[at]!;
      if (this.owners[slot] === owner) continue;
      this.owners[slot] = owner;
      changed = true;
    }
    if (changed) this.epoch++;
    this.version++;
    return changed;
  }
}
