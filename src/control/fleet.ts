/**
 * The nodes that should be there: finds the ones that run, starts and ends them, and looks at each of them once a second.
 * Decides nothing. Whoever wants a node's end to have consequences listens to `onExit`.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { Logger } from 'pino';
import type { Host, HostedNode, NodeEnd } from '../engine/host.ts';
import { NodeError } from '../engine/node-error.ts';
import type { NodeStatus } from '../model/admin-api.ts';
import { FleetNode, type NodeWatcher, type ObserveOptions } from './fleet-node.ts';
import { hashSeedOf } from './hash-seed.ts';
import type { Hosts } from './hosts.ts';
import { NodeFiles } from './node-files.ts';
import { unreachable } from './node-link.ts';
import type { ClusterPeer, NodeObservation } from './node-observation.ts';
import { nodeRequest } from './node-request.ts';
import { PulseWatch } from './pulse-watch.ts';
import type { Store } from './store.ts';
import type { CacheRecord, NodeRecord } from './store-records.ts';
import { Takeovers } from './takeovers.ts';

export interface FleetHandlers extends NodeWatcher {
  /** The process of a node that should run has certainly ended; how, if that was seen. */
  onExit(nodeId: string, end: NodeEnd | null): void;
}

export interface StartOptions {
  /** Unsharded replica: the node it follows from its first moment on. */
  readonly replicaOf: NodeRecord | null;
  /** Function libraries to begin with, of FUNCTION DUMP. */
  readonly functions?: Uint8Array | null;
  readonly signal?: AbortSignal;
}

const POLL_MS = 1_000;
const NODE_TIMEOUT_MS = 5_000;
/** A daemon that starts waits no longer for a node that does not answer: others may need it more. */
const MEETING_MS = 300;

export class Fleet {
  readonly hosts: Hosts;
  readonly #store: Store;
  /** What the nodes find when they start. */
  readonly files: NodeFiles;
  readonly takeovers = new Takeovers();
  readonly #handlers: FleetHandlers;
  readonly #log: Logger;
  readonly #nodes = new Map<string, FleetNode>();
  #subscription: Disposable | null = null;
  /** Hosts whose nodes have not been taken up yet. */
  #unlisted: ReadonlySet<string> = new Set();
  readonly #pulses: PulseWatch;
  #poll: NodeJS.Timeout | null = null;
  #polling = false;

  constructor(hosts: Hosts, store: Store, nodesDir: string, handlers: FleetHandlers, log: Logger) {
    this.hosts = hosts;
    this.#store = store;
    this.files = new NodeFiles(nodesDir, log);
    this.#handlers = handlers;
    this.#log = log;
    this.#pulses = new PulseWatch({
      nodes: () => this.#nodes.values(),
      activity: (nodes) => this.hosts.activity(nodes.flatMap((node) => this.#placeOf(node.id))),
      log,
    });
  }

  /** Finds the nodes of the store that run, and begins to watch. Touches none of them. */
  async adopt(): Promise<void> {
    // Before the first is found: one that ends while we look is told too.
    this.#subscription = this.hosts.onNodeEnd((end) => this.#ended(end));
    for (const node of this.#store.nodes()) this.#node(node.id);
    // One that hangs since before this daemon came is silent from now on.
    this.#pulses.start();
    await this.#take(new Set(this.hosts.all.map(({ id }) => id)));
    this.#poll = setInterval(() => void this.#pollAll(), POLL_MS);
    this.#poll.unref();
  }

  /** Takes up what runs on these hosts; of those that do not answer, everything may run, and they are asked again. */
  async #take(hostIds: ReadonlySet<string>): Promise<void> {
    const wanted = this.#store.nodes().filter((node) => hostIds.has(node.hostId));
    const byId = new Map(wanted.map((node) => [node.id, node]));
    const { nodes: found, unreached } = await this.hosts.list();
    await Promise.all(
      found.map(async (running) => {
        if (!hostIds.has(running.hostId) || this.pid(running.nodeId) !== null) return;
        const node = byId.get(running.nodeId);
        if (node === undefined) {
          if (this.#store.warm.has(running.nodeId)) return;
          // Left by a cache whose deletion, or whose creation, was cut short.
          this.#log.warn({ node: running.nodeId, pid: running.pid }, 'stopping a node of no cache');
          const stop = { graceMs: 0, forget: true };
          await this.hosts.on(running.hostId, (host) => host.stopNode(running.nodeId, stop));
          return;
        }
        this.#log.info({ node: node.id, pid: running.pid, port: running.port }, 'node adopted');
        await Promise.race([this.#meet(node, running), delay(MEETING_MS, null, { ref: false })]);
      }),
    );
    this.#unlisted = new Set(unreached.filter((id) => hostIds.has(id)));
    for (const node of wanted) {
      const fleetNode = this.#node(node.id);
      if (this.#unlisted.has(node.hostId)) fleetNode.presume();
      else if (fleetNode.isPresumed) {
        fleetNode.died();
        this.#handlers.onExit(node.id, null);
      }
    }
  }

  /** It ran before this daemon did. */
  async #meet(node: NodeRecord, running: HostedNode): Promise<void> {
    await this.#attach(node, running, false);
    await this.observe(node.id);
  }

  /**
   * Nodes of a host that is taken as dead are no longer nodes: others have their places. Whatever runs there under their
   * names is ended as soon as the host can be reached.
   */
  giveUpHost(
    hostId: string,
    nodes: readonly NodeRecord[],
    successors: readonly NodeRecord[],
  ): void {
    for (const { id } of nodes) {
      this.#nodes.get(id)?.died();
      this.#nodes.delete(id);
    }
    for (const { id } of successors) this.#node(id);
    this.#unlisted = new Set([...this.#unlisted, hostId]);
  }

  /** Where a node listens. @throws NodeError HOST_UNKNOWN */
  address(node: Pick<NodeRecord, 'hostId'>): string {
    return this.hosts.address(node.hostId);
  }

  /** Nothing of its host answers. */
  isOnLostHost(nodeId: string): boolean {
    return this.#placeOf(nodeId).some(({ hostId }) => this.hosts.isLost(hostId));
  }

  isAlive(nodeId: string): boolean {
    return this.#nodes.get(nodeId)?.isAlive ?? false;
  }

  isBusy(nodeId: string): boolean {
    const node = this.#nodes.get(nodeId);
    return node !== undefined && (node.starting || node.stopping);
  }

  pid(nodeId: string): number | null {
    return this.#nodes.get(nodeId)?.pid ?? null;
  }

  observation(nodeId: string): NodeObservation | null {
    return this.#nodes.get(nodeId)?.observation ?? null;
  }

  peers(nodeId: string): readonly ClusterPeer[] | null {
    return this.#nodes.get(nodeId)?.peers ?? null;
  }

  hasData(nodeId: string): boolean {
    return this.#nodes.get(nodeId)?.hasData ?? false;
  }

  goneForMs(nodeId: string): number {
    return this.#nodes.get(nodeId)?.goneForMs ?? 0;
  }

  /** What a node's process does instead of answering; null while it answers, is busy, or does not run. */
  hangs(nodeId: string): string | null {
    return this.#nodes.get(nodeId)?.hangs ?? null;
  }

  /** How long a node that runs has not answered; 0 for one that does. */
  silentForMs(nodeId: string): number {
    return this.#nodes.get(nodeId)?.silentForMs ?? 0;
  }

  /** Milliseconds to wait before a node that keeps dying young may be started again. */
  restartDueInMs(nodeId: string): number {
    return this.#nodes.get(nodeId)?.restartDueInMs ?? 0;
  }

  /** How long a node has run, as far as this daemon has seen; 0 for one that does not. */
  runsForMs(nodeId: string): number {
    return this.#nodes.get(nodeId)?.runsForMs ?? 0;
  }

  /** How often, in a row, a node did not come to run or ended soon after; and why it did not start last. */
  failedRuns(nodeId: string): { readonly count: number; readonly cause: unknown } {
    const node = this.#nodes.get(nodeId);
    return { count: node?.failedRuns ?? 0, cause: node?.lastStartFailure ?? null };
  }

  /** @param role what the node is meant to be; while it is not, it is on its way */
  state(nodeId: string, role: NodeRecord['role']): NodeStatus['state'] {
    return this.#nodes.get(nodeId)?.state(role) ?? 'lost';
  }

  /** Makes the node's process run. Does nothing if it does. */
  async start(cache: CacheRecord, node: NodeRecord, options: StartOptions): Promise<void> {
    const fleetNode = this.#node(node.id);
    if (fleetNode.isAlive) return;
    fleetNode.starting = true;
    try {
      const functions = options.functions ?? null;
      const loads = this.files.writeFunctions(node.id, functions);
      const request = nodeRequest(
        cache,
        this.#store.users(cache.id),
        node,
        this.#store.shards.get(cache.id, node.shard),
        hashSeedOf(this.#store),
        options.replicaOf,
        (one) => this.address(one),
      );
      let running: HostedNode;
      try {
        running = await this.hosts.on(node.hostId, (host) =>
          host.startNode(request, options.signal),
        );
      } catch (error) {
        // Without them is better than not at all, should it be they that it stumbles over.
        const mayBeThem = error instanceof NodeError && error.code === 'NODE_START_FAILED' && loads;
        if (!mayBeThem) throw error;
        this.files.writeFunctions(node.id, null);
        running = await this.hosts.on(node.hostId, (host) =>
          host.startNode(request, options.signal),
        );
      }
      this.files.writeFunctions(node.id, null);
      await this.#attach(node, running, true);
      if (functions !== null && !loads) await this.restoreFunctions(node.id, functions);
      this.#store.updateNode(node.id, { aclVersion: cache.aclVersion });
      fleetNode.failedStarts = 0;
    } catch (error) {
      fleetNode.failedStarts++;
      fleetNode.lastStartFailure = error;
      throw error;
    } finally {
      fleetNode.starting = false;
    }
    await this.observe(node.id);
  }

  /** Takes a process that runs already as that of a node, which the store has by now. */
  async take(node: NodeRecord, running: HostedNode): Promise<void> {
    await this.#attach(node, running, true);
    await this.observe(node.id);
  }

  /** Ends the process, if there is one, without consequences. */
  async stop(nodeId: string, graceMs: number): Promise<void> {
    const node = this.#node(nodeId);
    node.stopping = true;
    node.disconnect();
    try {
      await this.#onHostOf(nodeId, (host) => host.stopNode(nodeId, { graceMs }));
      node.ended();
    } finally {
      node.stopping = false;
      // One that could not be ended goes on.
      await node.connect();
    }
  }

  /** Stops it if need be and removes what it has on disk. */
  async remove(nodeId: string, graceMs: number): Promise<void> {
    await this.stop(nodeId, graceMs);
    await this.#onHostOf(nodeId, (host) => host.stopNode(nodeId, { forget: true }));
    this.#nodes.delete(nodeId);
  }

  /**
   * Sends one command as the system user.
   *
   * @throws NodeError when the node does not answer in time or answers with an error
   */
  async call(
    nodeId: string,
    args: readonly (string | number)[],
    timeoutMs = NODE_TIMEOUT_MS,
  ): Promise<unknown> {
    return this.#known(nodeId).call(args, timeoutMs);
  }

  /** As `call`, for commands that hold up their connection (aside-links.ts). */
  async callAside(
    nodeId: string,
    args: readonly (string | number)[],
    timeoutMs = NODE_TIMEOUT_MS,
  ): Promise<unknown> {
    return this.#known(nodeId).callAside(args, timeoutMs);
  }

  /** As `call`, for arguments and replies that are not text. */
  async callForBytes(
    nodeId: string,
    [command, ...args]: readonly [string, ...(string | number | Buffer)[]],
    timeoutMs = NODE_TIMEOUT_MS,
  ): Promise<unknown> {
    return this.#known(nodeId).admin.callForBytes({ timeoutMs }, command, ...args);
  }

  /** Asks a node for its role, offset and sizes (one round trip). Null when it does not answer in time. */
  async observe(nodeId: string, options: ObserveOptions = {}): Promise<NodeObservation | null> {
    return (await this.#nodes.get(nodeId)?.observe(options)) ?? null;
  }

  /** @throws NodeError */
  async dumpFunctions(nodeId: string, timeoutMs = NODE_TIMEOUT_MS): Promise<Buffer> {
    const { admin } = this.#known(nodeId);
    return (await admin.callForBytes({ timeoutMs }, 'FUNCTION', 'DUMP')) as Buffer;
  }

  /** Adds the libraries to those of a node, in place of its own of the same name. @throws NodeError */
  async restoreFunctions(nodeId: string, dump: Uint8Array): Promise<void> {
    const bytes = Buffer.from(dump);
    await this.#known(nodeId).admin.callWith({}, 'FUNCTION', 'RESTORE', bytes, 'REPLACE');
  }

  /** The daemon leaves, the nodes stay. */
  detach(): void {
    if (this.#poll !== null) clearInterval(this.#poll);
    this.#pulses.stop();
    this.#subscription?.[Symbol.dispose]();
    for (const node of this.#nodes.values()) {
      node.stopping = true;
      node.disconnect();
    }
  }

  #node(nodeId: string): FleetNode {
    let node = this.#nodes.get(nodeId);
    if (node === undefined) {
      node = new FleetNode(nodeId, this.#handlers, this.#log);
      this.#nodes.set(nodeId, node);
    }
    return node;
  }

  /** @throws NodeError NODE_UNREACHABLE */
  #known(nodeId: string): FleetNode {
    const node = this.#nodes.get(nodeId);
    if (node === undefined) throw unreachable(nodeId);
    return node;
  }

  async #attach(node: NodeRecord, running: HostedNode, isNew: boolean): Promise<void> {
    const { systemSecret } = this.#store.cache(node.cacheId)!;
    await this.#node(node.id).attach(running, systemSecret, isNew);
  }

  #ended(end: NodeEnd): void {
    const node = this.#nodes.get(end.nodeId);
    if (node?.pid !== end.pid) return;
    node.died();
    if (!node.stopping && !end.requested) this.#handlers.onExit(end.nodeId, end);
  }

  /** The host of a node of a cache; none for one that is no more. */
  #placeOf(nodeId: string): { nodeId: string; hostId: string }[] {
    const node = this.#store.node(nodeId);
    return node === undefined ? [] : [{ nodeId, hostId: node.hostId }];
  }

  async #onHostOf(nodeId: string, work: (host: Host) => Promise<void>): Promise<void> {
    for (const { hostId } of this.#placeOf(nodeId)) await this.hosts.on(hostId, work);
  }

  async #pollAll(): Promise<void> {
    // One round at a time: a hung node is asked once per timeout, not once per second.
    if (this.#polling) return;
    this.#polling = true;
    await Promise.all([...this.#nodes.keys()].map((nodeId) => this.observe(nodeId)));
    await this.hosts.lookForLost();
    if (this.#unlisted.size > 0) await this.#take(this.#unlisted).catch(() => undefined);
    this.#polling = false;
  }
}
