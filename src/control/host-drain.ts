/**
 * The lane in which a host is emptied: has each cache replace its nodes there, until none is left. That a host is to have
 * none is in the store (DrainTable), so that a daemon killed in the middle goes on.
 *
 *   draining -> every cache: its nodes there are replaced (NodeReplacement) -> no node, no warm node -> drained
 *   dead     -> each node there gets a successor elsewhere, in name -> the shards' lanes promote, start and join -> drained
 */
import { randomBytes } from 'node:crypto';
import { messageOf } from '../lib/errors.ts';
import { ControlError } from './control-error.ts';
import type { DrainRecord } from './drain-table.ts';
import type { Fleet } from './fleet.ts';
import type { Journal } from './journal.ts';
import type { RunResult } from './keyed-queue.ts';
import type { Lanes } from './lanes.ts';
import type { OperationWaiters } from './operation-waiters.ts';
import type { Ports } from './ports.ts';
import { seconds } from './seconds.ts';
import { newNodeId } from './steps/provision-node.ts';
import type { Store } from './store.ts';
import type { CacheRecord, NodeRecord } from './store-records.ts';

export interface HostDrainDependencies {
  readonly store: Store;
  readonly fleet: Fleet;
  readonly ports: Ports;
  readonly lanes: Lanes;
  readonly journal: Journal;
  readonly waiters: OperationWaiters;
  /** Replaces the nodes that a cache has on a host; resolves when they are. */
  leaveHost(cacheName: string, hostId: string): Promise<void>;
  publish(): void;
}

interface Failures {
  readonly count: number;
  readonly notBeforeMs: number;
}

const LOOK_AGAIN_MS = 200;
const RETRY_FIRST_MS = 5_000;
const RETRY_LAST_MS = 300_000;

/** The name under which whoever asked for a drain waits for it. */
export function drainOf(hostId: string): string {
  return `host:${hostId}`;
}

export class HostDrain {
  readonly #deps: HostDrainDependencies;
  /** Caches whose nodes are being replaced because of a drain. */
  readonly #moving = new Set<string>();
  readonly #failures = new Map<string, Failures>();
  /** Successors of a dead host's nodes that are not in step yet. */
  readonly #rising = new Map<string, readonly string[]>();

  constructor(deps: HostDrainDependencies) {
    this.#deps = deps;
  }

  async run(hostId: string): Promise<RunResult> {
    const { store, fleet, waiters } = this.#deps;
    const drain = store.drains.get(hostId);
    if (drain === undefined) {
      this.#failed(hostId, `host ${hostId} takes nodes again: its draining was ended`);
      return {};
    }
    if (drain.dead) await this.#bury(hostId);
    this.#forgetNeverMade(hostId);
    const left = this.#left(drain);
    if (left === 0) {
      this.#finish(drain);
      return {};
    }
    if (!drain.dead) {
      if (fleet.hosts.isLost(hostId)) {
        this.#failed(
          hostId,
          `host ${hostId} cannot be reached any more; draining goes on when it can, or remove it if it is off for good`,
        );
      } else this.#moveOff(hostId);
    }
    const total = Math.max(left, drain.nodes);
    waiters.progress(drainOf(hostId), `${total - left} of ${total} nodes`, 1 - left / (total + 1));
    return { requeueAfterMs: LOOK_AGAIN_MS };
  }

  /** How many nodes stand in the way: of caches, warm ones, successors that are not in step. */
  #left({ hostId }: DrainRecord): number {
    const { store, fleet } = this.#deps;
    const rising = (this.#rising.get(hostId) ?? []).filter((id) => {
      const node = store.node(id);
      return node !== undefined && fleet.state(id, node.role) !== 'online';
    });
    const here = [...store.nodes(), ...store.warm.all()].filter((node) => node.hostId === hostId);
    return here.length + rising.length;
  }

  #moveOff(hostId: string): void {
    const { store, lanes } = this.#deps;
    for (const cache of store.caches()) {
      const isThere = store.nodes(cache.id).some((node) => node.hostId === hostId && !node.leaving);
      const isDue = (this.#failures.get(cache.id)?.notBeforeMs ?? 0) <= Date.now();
      // One that is being changed moves when that is done.
      if (!isThere || !isDue || cache.state !== 'available' || this.#moving.has(cache.id)) continue;
      this.#moving.add(cache.id);
      void this.#move(cache, hostId).finally(() => {
        this.#moving.delete(cache.id);
        lanes.lookAtHost(hostId);
      });
    }
  }

  async #move(cache: CacheRecord, hostId: string): Promise<void> {
    try {
      await this.#deps.leaveHost(cache.name, hostId);
      this.#failures.delete(cache.id);
    } catch (error) {
      // Somebody else has begun to change it, or delete it.
      if (error instanceof ControlError && OVERTAKEN.has(error.code)) return;
      const count = (this.#failures.get(cache.id)?.count ?? 0) + 1;
      const delayMs = Math.min(RETRY_LAST_MS, RETRY_FIRST_MS * 2 ** (count - 1));
      this.#failures.set(cache.id, { count, notBeforeMs: Date.now() + delayMs });
      const words = `the nodes of cache ${cache.name} on host ${hostId} cannot be moved off it (${messageOf(error)}); it is tried again in ${seconds(delayMs)}`;
      this.#deps.journal.event(cache.name, 'host-drain-failed', words);
      this.#failed(hostId, words);
    }
  }

  /**
   * Gives each node of a dead host a successor elsewhere: its place in its shard under another name, which has never run.
   * Under another name, so that a host that comes back after all has nothing that anybody knows.
   */
  async #bury(hostId: string): Promise<void> {
    const { store, fleet, lanes, ports } = this.#deps;
    const nodes = store.nodes().filter((node) => node.hostId === hostId);
    if (nodes.length === 0) return;
    // What their lanes do at the moment may wait for the dead.
    await Promise.all(nodes.map(({ cacheId, shard }) => lanes.drainShard(cacheId, shard)));
    const successors: NodeRecord[] = [];
    for (const node of nodes) {
      const beside = [...store.nodes(node.cacheId), ...successors]
        .filter((other) => other.cacheId === node.cacheId && other.shard === node.shard)
        .filter((other) => other.hostId !== hostId && !other.leaving);
      const shardHosts = beside.map((other) => other.hostId);
      const place = fleet.hosts.place(store, node.role, shardHosts, successors);
      const pair = await ports.nodePair(fleet.hosts.address(place));
      successors.push(successor(node, place, pair, store.cache(node.cacheId)!.name));
    }
    store.durableIfPossible(() => {
      for (const [i, { id }] of nodes.entries()) {
        const last = store.node(id);
        if (last === undefined) continue;
        store.deleteNode(id);
        // Who is primary may have changed; the ports of the dead stay reserved, for they may not be dead.
        store.insertNode({ ...successors[i]!, role: last.role, leaving: last.leaving });
      }
    });
    const inserted = successors.filter(({ id }) => store.node(id) !== undefined);
    fleet.giveUpHost(hostId, nodes, inserted);
    this.#rising.set(hostId, [
      ...(this.#rising.get(hostId) ?? []),
      ...inserted.flatMap(({ id, leaving }) => (leaving ? [] : [id])),
    ]);
    this.#deps.publish();
    for (const node of inserted) lanes.lookAtNode(store.cache(node.cacheId)!, node);
  }

  /** Nodes of a cache that could not be created do not run: they have nothing but a name there. */
  #forgetNeverMade(hostId: string): void {
    const { store, ports } = this.#deps;
    for (const node of store.nodes()) {
      if (node.hostId !== hostId) continue;
      if (store.cache(node.cacheId)?.state !== 'create-failed') continue;
      store.deleteNode(node.id);
      ports.release([node.port, node.busPort]);
    }
  }

  #finish(drain: DrainRecord): void {
    const { store, journal, waiters } = this.#deps;
    const { hostId, startedAtMs, drainedAtMs } = drain;
    this.#rising.delete(hostId);
    if (drainedAtMs === null) {
      const nowMs = Date.now();
      store.durableIfPossible(() => {
        store.drains.put({ ...drain, drainedAtMs: nowMs });
        journal.event(
          null,
          'host-drained',
          `host ${hostId} has no nodes any more, after ${seconds(nowMs - startedAtMs)}`,
        );
      });
    }
    waiters.settled(drainOf(hostId), null);
  }

  #failed(hostId: string, words: string): void {
    this.#deps.waiters.settled(drainOf(hostId), new ControlError('InvalidHostState', words));
  }
}

const OVERTAKEN: ReadonlySet<string> = new Set([
  'InvalidServerlessCacheStateFault',
  'ServerlessCacheNotFoundFault',
  'ServiceUnavailable',
]);

function successor(
  node: NodeRecord,
  hostId: string,
  ports: Pick<NodeRecord, 'port' | 'busPort'>,
  cacheName: string,
): NodeRecord {
  return {
    ...node,
    ...ports,
    id: newNodeId(cacheName, randomBytes(4).toString('hex')),
    hostId,
    // Its cluster id is that of the dead until it has its own: nobody forgets whom a replica is about to replace.
    identity: 'none',
    restarts: 0,
    aclVersion: 0,
    // The first start of a replica is no restart; that of a primary without one is the loss of its data, and told.
    stopped: node.role === 'replica',
    askedAs: node.askedAs ?? node.id,
  };
}
