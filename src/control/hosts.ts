/**
 * The machines that nodes run on, and how each of them was last heard of. One that cannot be reached is lost: what runs
 * there is not known, and nothing is concluded from it.
 */
import type { Logger } from 'pino';
import type { Host, HostCapacity, HostedNode, NodeActivity, NodeEnd } from '../engine/host.ts';
import { NodeError } from '../engine/node-error.ts';
import { rankHosts, type RankedHost } from './policies/place-node.ts';
import type { Store } from './store.ts';
import type { NodeRecord } from './store-records.ts';

/** A machine and what it has. */
export interface HostFigures {
  readonly id: string;
  readonly zone: string;
  readonly capacity: HostCapacity;
}

/** A node whose place is chosen: what placement depends on. */
export type PlacedNode = Pick<
  NodeRecord,
  'id' | 'cacheId' | 'shard' | 'role' | 'hostId' | 'leaving'
>;

export interface HostWatcher {
  /** It cannot be reached any more, or can again; after how long. */
  onHostLost(hostId: string): void;
  onHostFound(hostId: string, lostForMs: number): void;
}

export class Hosts {
  readonly #hosts: ReadonlyMap<string, Host>;
  readonly #watcher: HostWatcher;
  readonly #log: Logger;
  /** Since when. */
  readonly #lost = new Map<string, number>();
  /** Nodes that are about to be written down. */
  readonly #expected = new Map<string, PlacedNode>();

  /** The first is where the nodes of a data directory are that knew no hosts. */
  constructor(hosts: readonly [Host, ...Host[]], watcher: HostWatcher, log: Logger) {
    this.#hosts = new Map(hosts.map((host) => [host.id, host]));
    this.#watcher = watcher;
    this.#log = log;
  }

  get all(): readonly Host[] {
    return [...this.#hosts.values()];
  }

  /** @throws NodeError HOST_UNKNOWN */
  get(hostId: string): Host {
    const host = this.#hosts.get(hostId);
    if (host !== undefined) return host;
    throw new NodeError(
      'HOST_UNKNOWN',
      `There is no host ${hostId}: this daemon was started with ${[...this.#hosts.keys()].join(', ')}.`,
    );
  }

  /** Where the nodes of a host listen. @throws NodeError HOST_UNKNOWN */
  address(hostId: string): string {
    return this.get(hostId).address;
  }

  isLost(hostId: string): boolean {
    return this.#lost.has(hostId);
  }

  /** Hosts that take new nodes: they can be reached, and are not being emptied. */
  open(store: Store): Host[] {
    return this.all.filter(({ id }) => !this.isLost(id) && !store.drains.has(id));
  }

  /** Counts a node that is not in the store yet: of two that are placed at a time, the second knows of the first. */
  expect(node: PlacedNode): Disposable {
    this.#expected.set(node.id, node);
    return { [Symbol.dispose]: () => void this.#expected.delete(node.id) };
  }

  /** Nodes that have a place: of the store, and those that are expected there. */
  placed(store: Store): PlacedNode[] {
    const nodes = store.nodes();
    const known = new Set(nodes.map(({ id }) => id));
    return [...nodes, ...[...this.#expected.values()].filter(({ id }) => !known.has(id))];
  }

  /** Those of these hosts that are as far from the copies of a shard as the first one is. */
  asFarApart(hostIds: readonly string[], shardHosts: readonly string[]): string[] {
    const zoneOf = new Map(hostIds.map((id) => [id, this.get(id).zone]));
    const copiesNear = (id: string) => {
      const inZone = shardHosts.filter((other) => zoneOf.get(other) === zoneOf.get(id));
      return `${inZone.length} ${shardHosts.filter((other) => other === id).length}`;
    };
    return hostIds.filter((id) => copiesNear(id) === copiesNear(hostIds[0]!));
  }

  /** Does something on a host, and takes from its outcome whether the host is there. */
  async on<T>(hostId: string, work: (host: Host) => Promise<T>): Promise<T> {
    const host = this.get(hostId);
    try {
      const result = await work(host);
      this.#found(hostId);
      return result;
    } catch (error) {
      if (error instanceof NodeError && error.code === 'HOST_UNREACHABLE') this.#isLost(hostId);
      throw error;
    }
  }

  /** The nodes that run, of the hosts that can be reached; `unreached` are the others. */
  async list(): Promise<{ nodes: HostedNode[]; unreached: string[] }> {
    const unreached: string[] = [];
    const found = await Promise.all(
      this.all.map(async ({ id }) => {
        try {
          return await this.on(id, (host) => host.list());
        } catch (error) {
          if (!this.isLost(id)) throw error;
          unreached.push(id);
          return [];
        }
      }),
    );
    return { nodes: found.flat(), unreached };
  }

  /** What the hosts that take new nodes have. */
  async capacities(store: Store): Promise<HostFigures[]> {
    const said = await Promise.allSettled(
      this.open(store).map(async ({ id, zone }) => ({
        id,
        zone,
        capacity: await this.on(id, (host) => host.capacity()),
      })),
    );
    return said.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []));
  }

  /** What the processes of these nodes do; of hosts that cannot say, nothing. */
  async activity(
    asked: readonly { readonly nodeId: string; readonly hostId: string }[],
  ): Promise<NodeActivity[]> {
    const byHost = Map.groupBy(asked, ({ hostId }) => hostId);
    const said = await Promise.all(
      [...byHost].map(([hostId, nodes]) =>
        this.on(hostId, (host) => host.activity(nodes.map(({ nodeId }) => nodeId))).catch(
          (error: unknown) => {
            if (!this.isLost(hostId)) this.#log.warn({ host: hostId, err: error }, 'no activity');
            return [];
          },
        ),
      ),
    );
    return said.flat();
  }

  /** Asks those that could not be reached whether they can be again. */
  async lookForLost(): Promise<void> {
    await Promise.allSettled(
      [...this.#lost.keys()].map((id) => this.on(id, (host) => host.activity([]))),
    );
  }

  onNodeEnd(listener: (end: NodeEnd) => void): Disposable {
    const subscriptions = this.all.map((host) => host.onNodeEnd(listener));
    return {
      [Symbol.dispose]: () => {
        for (const subscription of subscriptions) subscription[Symbol.dispose]();
      },
    };
  }

  /**
   * Hosts for a new node, best first (policies/place-node.ts).
   *
   * @param shardHosts hosts of the nodes that its shard has already
   * @param planned nodes that are about to be made beside those of the store
   * @param leavingHosts hosts of the nodes whose places the new ones take
   */
  rank(
    store: Store,
    role: 'primary' | 'replica',
    shardHosts: readonly string[],
    planned: readonly { readonly hostId: string; readonly role: 'primary' | 'replica' }[] = [],
    leavingHosts: readonly string[] = [],
  ): string[] {
    const nodes = [...this.placed(store).filter(({ leaving }) => !leaving), ...planned];
    const warm = store.warm.all();
    const hosts = this.open(store).map(({ id, zone, cores }): RankedHost => {
      const here = nodes.filter(({ hostId }) => hostId === id);
      return {
        id,
        zone,
        cores,
        busy: 0,
        nodes: here.length + warm.filter(({ hostId }) => hostId === id).length,
        primaries: here.filter((node) => node.role === 'primary').length,
      };
    });
    return rankHosts(hosts, role, shardHosts, leavingHosts).map(({ id }) => id);
  }

  /**
   * The best host for a new node.
   *
   * @throws NodeError HOST_UNREACHABLE when none takes nodes
   */
  place(...placement: Parameters<Hosts['rank']>): string {
    const [best] = this.rank(...placement);
    if (best !== undefined) return best;
    throw new NodeError('HOST_UNREACHABLE', `No host takes nodes: ${this.whyClosed(this.all)}.`);
  }

  /** Of hosts that take no nodes, why. */
  whyClosed(hosts: readonly Host[]): string {
    return hosts
      .map(({ id }) => `${id} ${this.isLost(id) ? 'cannot be reached' : 'is drained'}`)
      .join(', ');
  }

  #isLost(hostId: string): void {
    if (this.#lost.has(hostId)) return;
    this.#lost.set(hostId, Date.now());
    this.#watcher.onHostLost(hostId);
  }

  #found(hostId: string): void {
    const sinceMs = this.#lost.get(hostId);
    if (sinceMs === undefined) return;
    this.#lost.delete(hostId);
    this.#watcher.onHostFound(hostId, Date.now() - sinceMs);
  }
}
