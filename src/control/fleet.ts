/**
 * The nodes as processes: what runs, how to talk to it, and what it said last. Owns the running nodes and one admin
 * connection to each; decides nothing. Whoever wants a node's end to have consequences listens to `onExit`.
 */
import type { Logger } from 'pino';
import { AdminClient, NodeReplyError } from '../engine/admin-client.ts';
import type { Host, HostedNode, NodeEnd } from '../engine/host.ts';
import { NodeError } from '../engine/node-error.ts';
import type { NodeStatus } from '../model/admin-api.ts';
import { SYSTEM_USER_NAME } from '../model/user.ts';
import { NodeFiles } from './node-files.ts';
import { nodeRequest } from './node-request.ts';
import {
  observationOf,
  parseClusterNodes,
  parseInfo,
  type ClusterPeer,
  type NodeObservation,
} from './node-observation.ts';
import type { Store } from './store.ts';
import type { CacheRecord, NodeRecord } from './store-records.ts';

export interface FleetHandlers {
  /** The process of a node that should run has certainly ended. */
  onExit(nodeId: string): void;
  /** It runs but has not answered for HUNG_AFTER_MS; and once it answers again. */
  onHung(nodeId: string, hung: boolean): void;
  /** It says that it has another role than the last time. */
  onRoleChange(nodeId: string): void;
}

export interface StartOptions {
  /** Unsharded replica: the node it follows from its first moment on. */
  readonly replicaOf: NodeRecord | null;
  /** Function libraries to begin with, of FUNCTION DUMP. */
  readonly functions?: Uint8Array | null;
  readonly signal?: AbortSignal;
}

interface Entry {
  running: HostedNode | null;
  admin: AdminClient | null;
  observation: NodeObservation | null;
  peers: readonly ClusterPeer[] | null;
  hasData: boolean;
  silentSinceMs: number | null;
  /** Questions without an answer, in a row. */
  silences: number;
  hung: boolean;
  starting: boolean;
  stopping: boolean;
  goneSinceMs: number | null;
  startedAtMs: number;
  youngDeaths: number;
}

const INFO_SECTIONS = ['server', 'memory', 'persistence', 'stats', 'replication', 'keyspace'];
const RECONNECT_MS = 50;
const POLL_MS = 1_000;
const POLL_TIMEOUT_MS = 2_000;
const HUNG_AFTER_MS = 4_000;
/** A node that dies this soon after its start, and again, is started with growing delay. */
const YOUNG_MS = 10_000;
const RESTART_DELAY_LAST_MS = 10_000;
const NODE_TIMEOUT_MS = 5_000;

export class Fleet {
  readonly #host: Host;
  readonly #store: Store;
  /** What the nodes find when they start. */
  readonly files: NodeFiles;
  readonly #handlers: FleetHandlers;
  readonly #log: Logger;
  readonly #entries = new Map<string, Entry>();
  #subscription: Disposable | null = null;
  #poll: NodeJS.Timeout | null = null;
  #polling = false;

  constructor(host: Host, store: Store, nodesDir: string, handlers: FleetHandlers, log: Logger) {
    this.#host = host;
    this.#store = store;
    this.files = new NodeFiles(nodesDir, log);
    this.#handlers = handlers;
    this.#log = log;
  }

  /** Finds the nodes of the store that run, and begins to watch. Touches none of them. */
  async adopt(): Promise<void> {
    // Before the first is found: one that ends while we look is told too.
    this.#subscription = this.#host.onNodeEnd((end) => this.#ended(end));
    const wanted = new Map(this.#store.nodes().map((node) => [node.id, node]));
    for (const id of wanted.keys()) this.#entry(id);
    const found = await this.#host.list();
    await Promise.all(
      found.map(async (running) => {
        const node = wanted.get(running.nodeId);
        if (node === undefined) {
          // Left by a cache whose deletion, or whose creation, was cut short.
          this.#log.warn({ node: running.nodeId, pid: running.pid }, 'stopping a node of no cache');
          await this.#host.stopNode(running.nodeId, { graceMs: 0, forget: true });
          return;
        }
        await this.#attach(node, running);
        this.#log.info({ node: node.id, pid: running.pid, port: running.port }, 'node adopted');
        await this.observe(node.id);
      }),
    );
    this.#poll = setInterval(() => void this.#pollAll(), POLL_MS);
    this.#poll.unref();
  }

  isAlive(nodeId: string): boolean {
    return (this.#entries.get(nodeId)?.running ?? null) !== null;
  }

  isBusy(nodeId: string): boolean {
    const entry = this.#entries.get(nodeId);
    return entry !== undefined && (entry.starting || entry.stopping);
  }

  pid(nodeId: string): number | null {
    return this.#entries.get(nodeId)?.running?.pid ?? null;
  }

  observation(nodeId: string): NodeObservation | null {
    return this.#entries.get(nodeId)?.observation ?? null;
  }

  peers(nodeId: string): readonly ClusterPeer[] | null {
    return this.#entries.get(nodeId)?.peers ?? null;
  }

  hasData(nodeId: string): boolean {
    return this.#entries.get(nodeId)?.hasData ?? false;
  }

  goneForMs(nodeId: string): number {
    const since = this.#entries.get(nodeId)?.goneSinceMs ?? null;
    return since === null ? 0 : Date.now() - since;
  }

  /** Milliseconds to wait before a node that keeps dying young may be started again. */
  restartDueInMs(nodeId: string): number {
    const entry = this.#entries.get(nodeId);
    if (entry === undefined || entry.youngDeaths <= 1) return 0;
    const delayMs = Math.min(RESTART_DELAY_LAST_MS, 250 * 2 ** (entry.youngDeaths - 2));
    return Math.max(0, delayMs - this.goneForMs(nodeId));
  }

  /** @param role what the node is meant to be; while it is not, it is on its way */
  state(nodeId: string, role: NodeRecord['role']): NodeStatus['state'] {
    const entry = this.#entries.get(nodeId);
    if (entry?.stopping) return 'stopping';
    if (entry?.starting) return 'starting';
    if (entry === undefined || entry.running === null || entry.hung) return 'lost';
    const seen = entry.observation;
    if (seen === null) return 'starting';
    if (role === 'replica' && seen.role !== 'replica') return 'starting';
    return seen.loading || (seen.role === 'replica' && !seen.linkUp) ? 'syncing' : 'online';
  }

  /** Makes the node's process run. Does nothing if it does. */
  async start(cache: CacheRecord, node: NodeRecord, options: StartOptions): Promise<void> {
    const entry = this.#entry(node.id);
    if (entry.running !== null) return;
    entry.starting = true;
    try {
      const functions = options.functions ?? null;
      const loads = this.files.writeFunctions(node.id, functions);
      const request = nodeRequest(cache, this.#store.users(cache.id), node, options.replicaOf);
      let running: HostedNode;
      try {
        running = await this.#host.startNode(request, options.signal);
      } catch (error) {
        // Without them is better than not at all, should it be they that it stumbles over.
        const mayBeThem = error instanceof NodeError && error.code === 'NODE_START_FAILED' && loads;
        if (!mayBeThem) throw error;
        this.files.writeFunctions(node.id, null);
        running = await this.#host.startNode(request, options.signal);
      }
      this.files.writeFunctions(node.id, null);
      await this.#attach(node, running);
      if (functions !== null && !loads) await this.restoreFunctions(node.id, functions);
      this.#store.updateNode(node.id, { aclVersion: cache.aclVersion });
    } finally {
      entry.starting = false;
    }
    await this.observe(node.id);
  }

  /** Ends the process, if there is one, without consequences. */
  async stop(nodeId: string, graceMs: number): Promise<void> {
    const entry = this.#entry(nodeId);
    entry.stopping = true;
    entry.admin?.close();
    entry.admin = null;
    await this.#host.stopNode(nodeId, { graceMs });
    entry.running = null;
    entry.stopping = false;
  }

  /** Stops it if need be and removes what it has on disk. */
  async remove(nodeId: string, graceMs: number): Promise<void> {
    await this.stop(nodeId, graceMs);
    await this.#host.stopNode(nodeId, { forget: true });
    this.#entries.delete(nodeId);
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
    const [name = '', ...rest] = args.map(String);
    return this.#admin(nodeId).callWith({ timeoutMs }, name, ...rest);
  }

  #admin(nodeId: string): AdminClient {
    const admin = this.#entries.get(nodeId)?.admin ?? null;
    if (admin === null) {
      throw new NodeError('NODE_UNREACHABLE', `There is no connection to node ${nodeId}.`);
    }
    return admin;
  }

  /**
   * Asks a node for its role, offset and sizes (one round trip). Null when it does not answer in time.
   *
   * @param cluster ask for CLUSTER NODES too
   */
  async observe(
    nodeId: string,
    options: { timeoutMs?: number; cluster?: boolean } = {},
  ): Promise<NodeObservation | null> {
    const entry = this.#entries.get(nodeId);
    const running = entry?.running ?? null;
    if (entry === undefined || running === null) return null;
    const timeoutMs = options.timeoutMs ?? POLL_TIMEOUT_MS;
    try {
      const [info, peers] = await Promise.all([
        this.call(nodeId, ['INFO', ...INFO_SECTIONS], timeoutMs),
        options.cluster ? this.call(nodeId, ['CLUSTER', 'NODES'], timeoutMs) : null,
      ]);
      if (entry.running !== running) return null;
      const roleBefore = entry.observation?.role;
      entry.observation = observationOf(parseInfo(String(info)));
      if (peers !== null) entry.peers = parseClusterNodes(String(peers));
      const seen = entry.observation;
      // After a restart of the daemon a link that is down tells nothing; an offset above the initial one does.
      if (seen.role === 'replica' && (seen.linkUp || seen.offset > 1)) entry.hasData = true;
      this.#answers(nodeId, entry);
      if (roleBefore !== undefined && roleBefore !== seen.role) this.#handlers.onRoleChange(nodeId);
      return seen;
    } catch (error) {
      if (entry.running !== running) return null;
      // BUSY (a long script) or LOADING: it lives, and what it said last is still the best there is.
      if (error instanceof NodeReplyError) {
        this.#answers(nodeId, entry);
        return entry.observation;
      }
      this.#silent(nodeId, entry);
      return null;
    }
  }

  /** @throws NodeError */
  async dumpFunctions(nodeId: string, timeoutMs = NODE_TIMEOUT_MS): Promise<Buffer> {
    return (await this.#admin(nodeId).callForBytes({ timeoutMs }, 'FUNCTION', 'DUMP')) as Buffer;
  }

  /** Adds the libraries to those of a node, in place of its own of the same name. @throws NodeError */
  async restoreFunctions(nodeId: string, dump: Uint8Array): Promise<void> {
    const bytes = Buffer.from(dump);
    await this.#admin(nodeId).callWith({}, 'FUNCTION', 'RESTORE', bytes, 'REPLACE');
  }

  /** How long a node that runs has not answered; 0 for one that does. */
  silentForMs(nodeId: string): number {
    const entry = this.#entries.get(nodeId);
    if (entry === undefined || entry.silentSinceMs === null) return 0;
    // One late answer is no silence: this process itself may have been held up.
    return entry.silences < 3 ? 0 : Date.now() - entry.silentSinceMs;
  }

  /** The daemon leaves, the nodes stay. */
  detach(): void {
    if (this.#poll !== null) clearInterval(this.#poll);
    this.#subscription?.[Symbol.dispose]();
    for (const entry of this.#entries.values()) {
      entry.stopping = true;
      entry.admin?.close();
    }
  }

  #entry(nodeId: string): Entry {
    let entry = this.#entries.get(nodeId);
    if (entry === undefined) {
      entry = {
        running: null,
        admin: null,
        observation: null,
        peers: null,
        hasData: false,
        silentSinceMs: null,
        silences: 0,
        hung: false,
        starting: false,
        stopping: false,
        goneSinceMs: Date.now(),
        startedAtMs: 0,
        youngDeaths: 0,
      };
      this.#entries.set(nodeId, entry);
    }
    return entry;
  }

  async #attach(node: NodeRecord, running: HostedNode): Promise<void> {
    const cache = this.#store.cache(node.cacheId)!;
    const entry = this.#entry(node.id);
    entry.running = running;
    entry.observation = null;
    entry.peers = null;
    entry.hasData = false;
    entry.silentSinceMs = null;
    entry.silences = 0;
    entry.hung = false;
    entry.goneSinceMs = null;
    entry.startedAtMs = Date.now();
    await this.#connect(entry, running, cache.systemSecret);
  }

  /** Connects, and again whenever the connection breaks while the process lives. */
  async #connect(entry: Entry, running: HostedNode, password: string): Promise<void> {
    const wanted = () => entry.running === running && !entry.stopping;
    let admin: AdminClient;
    try {
      admin = await AdminClient.connect({
        host: running.host,
        port: running.port,
        username: SYSTEM_USER_NAME,
        password,
      });
    } catch (error) {
      if (!wanted()) return;
      this.#log.warn({ node: running.nodeId, err: error }, 'node cannot be talked to');
      this.#reconnectLater(entry, running, password);
      return;
    }
    if (!wanted()) {
      admin.close();
      return;
    }
    entry.admin = admin;
    admin.onClose(() => {
      if (entry.admin === admin) entry.admin = null;
      if (wanted()) this.#reconnectLater(entry, running, password);
    });
  }

  #reconnectLater(entry: Entry, running: HostedNode, password: string): void {
    setTimeout(() => {
      if (entry.running === running && !entry.stopping && entry.admin === null) {
        void this.#connect(entry, running, password);
      }
    }, RECONNECT_MS).unref();
  }

  #ended(end: NodeEnd): void {
    const entry = this.#entries.get(end.nodeId);
    if (entry?.running?.pid !== end.pid) return;
    entry.running = null;
    entry.admin?.close();
    entry.admin = null;
    entry.observation = null;
    entry.goneSinceMs = Date.now();
    entry.youngDeaths = Date.now() - entry.startedAtMs < YOUNG_MS ? entry.youngDeaths + 1 : 0;
    if (!entry.stopping && !end.requested) this.#handlers.onExit(end.nodeId);
  }

  #answers(nodeId: string, entry: Entry): void {
    entry.silentSinceMs = null;
    entry.silences = 0;
    if (entry.hung) {
      entry.hung = false;
      this.#handlers.onHung(nodeId, false);
    }
  }

  #silent(nodeId: string, entry: Entry): void {
    entry.observation = null;
    entry.silentSinceMs ??= Date.now();
    entry.silences++;
    if (!entry.hung && Date.now() - entry.silentSinceMs >= HUNG_AFTER_MS) {
      entry.hung = true;
      this.#handlers.onHung(nodeId, true);
    }
  }

  async #pollAll(): Promise<void> {
    // One round at a time: a hung node is asked once per timeout, not once per second.
    if (this.#polling) return;
    this.#polling = true;
    await Promise.all([...this.#entries.keys()].map((nodeId) => this.observe(nodeId)));
    this.#polling = false;
  }
}
