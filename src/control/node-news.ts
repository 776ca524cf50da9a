/**
 * What becomes known of a node, from the fleet or from a proxy: its lane looks at once, then it is written down. Decides
 * nothing: that is for whoever looks.
 */
import type { NodeEnd } from '../engine/host.ts';
import type { FleetHandlers } from './fleet.ts';
import type { HostWatcher } from './hosts.ts';
import type { Journal } from './journal.ts';
import type { Lanes } from './lanes.ts';
import type { Store } from './store.ts';
import { seconds } from './seconds.ts';
import type { CacheRecord, NodeRecord } from './store-records.ts';

export interface NodeNewsDependencies {
  readonly store: Store;
  readonly lanes: Lanes;
  readonly journal: Journal;
  isStopping(): boolean;
}

export class NodeNews implements FleetHandlers, HostWatcher {
  readonly #deps: NodeNewsDependencies;

  constructor(deps: NodeNewsDependencies) {
    this.#deps = deps;
  }

  onExit(nodeId: string, end: NodeEnd | null): void {
    const found = this.#find(nodeId);
    if (this.#deps.isStopping() || found === null) return;
    const { cache, node } = found;
    // The shard first, the paper work after: a failover starts within this turn of the event loop.
    this.#deps.lanes.lookAtNode(cache, node, { interrupt: true });
    this.#deps.journal.event(
      cache.name,
      'node-lost',
      `node ${nodeId}, ${node.role} of shard ${node.shard}, ended${howItEnded(end)}`,
    );
  }

  onHung(nodeId: string, why: string, silentMs: number): void {
    const found = this.#find(nodeId);
    if (this.#deps.isStopping() || found === null) return;
    const { cache, node } = found;
    // What the lane does at the moment may wait for this very node.
    this.#deps.lanes.lookAtNode(cache, node, { interrupt: true });
    this.#deps.journal.event(
      cache.name,
      'node-hung',
      `node ${nodeId}, ${node.role} of shard ${node.shard}, ${why}; it has not answered for ${seconds(silentMs)}`,
    );
  }

  onBusy(nodeId: string, silentMs: number): void {
    const found = this.#find(nodeId);
    if (found === null) return;
    const { cache, node } = found;
    this.#deps.journal.event(
      cache.name,
      'node-busy',
      `node ${nodeId}, ${node.role} of shard ${node.shard}, works but has not answered for ${seconds(silentMs)}: a long command or script, or a machine without a CPU to spare`,
    );
    this.onRoleChange(nodeId);
  }

  onAnswersAgain(nodeId: string, silentMs: number): void {
    const found = this.#find(nodeId);
    if (found === null) return;
    this.#deps.journal.event(
      found.cache.name,
      'node-answers',
      `node ${nodeId} answers again, after ${seconds(silentMs)}`,
    );
    this.onRoleChange(nodeId);
  }

  onHostLost(hostId: string): void {
    const nodes = this.#nodesOn(hostId);
    this.#deps.journal.event(
      null,
      'host-lost',
      `host ${hostId} cannot be reached: whether its ${nodes.length} nodes run is not known; shards whose primary is there are left to the engine's quorum`,
    );
  }

  onHostFound(hostId: string, lostForMs: number): void {
    this.#deps.journal.event(
      null,
      'host-found',
      `host ${hostId} can be reached again, after ${seconds(lostForMs)}`,
    );
    for (const node of this.#nodesOn(hostId)) this.onRoleChange(node.id);
  }

  #nodesOn(hostId: string): NodeRecord[] {
    return this.#deps.store.nodes().filter((node) => node.hostId === hostId);
  }

  /** The lane that runs already is looking, or will see it at its next look. */
  onRoleChange(nodeId: string): void {
    const found = this.#find(nodeId);
    if (found?.cache.formed) this.#deps.lanes.lookAtNode(found.cache, found.node);
  }

  /** A proxy has lost a node of the cache that it names. */
  onReportedLost(cacheName: string, nodeId: string): void {
    if (this.#find(nodeId)?.cache.name === cacheName) this.onRoleChange(nodeId);
  }

  #find(nodeId: string): { readonly cache: CacheRecord; readonly node: NodeRecord } | null {
    const node = this.#deps.store.node(nodeId);
    const cache = node && this.#deps.store.cache(node.cacheId);
    return node === undefined || cache === undefined ? null : { cache, node };
  }
}

/** In the words of an event. */
function howItEnded(end: NodeEnd | null): string {
  if (end === null) return ' while its host could not be reached';
  if (end.outOfMemory) return ': killed by the kernel, for memory ran out';
  if (end.signal !== null) return `: killed by ${end.signal}`;
  return end.code === null ? '' : ` with exit status ${end.code}`;
}
