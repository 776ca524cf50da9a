/** How long a shard is without one of its nodes: from the loss to the moment in which all copies are in step again. */
import type { ShardNodeView, ShardView } from './policies/shard-view.ts';

export interface Repair {
  /** The node whose loss began it. */
  readonly nodeId: string;
  readonly tookMs: number;
}

interface Loss {
  readonly nodeId: string;
  readonly atMs: number;
}

export class ShardHealth {
  readonly #losses = new Map<string, Loss>();

  /**
   * Told of every look at a shard.
   *
   * @param lostForMs how long a node has been gone, or has not answered
   * @returns what is repaired as of now; null for nothing
   */
  look(
    lane: string,
    view: ShardView,
    nowMs: number,
    lostForMs: (nodeId: string) => number,
  ): Repair | null {
    const loss = this.#losses.get(lane);
    if (loss === undefined) {
      const lost = view.nodes.find(isLost);
      if (lost !== undefined) {
        this.#losses.set(lane, { nodeId: lost.id, atMs: nowMs - lostForMs(lost.id) });
      }
      return null;
    }
    if (!isWhole(view)) return null;
    this.#losses.delete(lane);
    return { nodeId: loss.nodeId, tookMs: nowMs - loss.atMs };
  }

  /** Something is missing: worth looking again soon. */
  isDegraded(lane: string): boolean {
    return this.#losses.has(lane);
  }

  forget(lane: string): void {
    this.#losses.delete(lane);
  }
}

function isLost(node: ShardNodeView): boolean {
  if (node.busy) return false;
  return node.process === 'gone' || node.hangs !== null || node.hostLost;
}

function isWhole({ nodes }: ShardView): boolean {
  const primary = nodes.find((node) => node.observed?.role === 'primary');
  if (primary === undefined) return false;
  return nodes.every(
    (node) =>
      node === primary ||
      (node.observed?.role === 'replica' &&
        node.observed.primaryId === primary.id &&
        node.observed.linkUp),
  );
}
