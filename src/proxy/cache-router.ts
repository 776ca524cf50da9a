/**
 * Brings the requests of one cache to the nodes that can answer them, and again when they could not: MOVED, ASK,
 * TRYAGAIN, CLUSTERDOWN, LOADING, a lost connection. Owns the slot map and the shared connections. What a request means is
 * the session's business; here it is bytes, a slot, a lane and a deadline.
 *
 *   session ─ route() ─> lane.upstreams[owner of slot] ─> node
 *                 ^                                         │ error reply or loss
 *                 └───── retry queue, until the deadline <──┘
 */
import type { Logger } from 'pino';
import type { TopologyCache } from '../model/topology.ts';
import { SYSTEM_USER_NAME } from '../model/user.ts';
import { FLAG_READONLY } from '../protocol/command-table.ts';
import { SLOT_COUNT } from '../protocol/hash-slot.ts';
import { encodeRequest } from '../protocol/request-encoder.ts';
import { decodeReply, RespError, textOf, type RespValue } from '../protocol/resp-value.ts';
import { CommandBook } from './command-book.ts';
import { Lane, laneKey, type LaneKind } from './lane.ts';
import type { Meter } from './meter.ts';
import type { BlockPool } from './out-queue.ts';
import type { ReadBuffer } from './read-buffer.ts';
import { Slab } from './slab.ts';
import { CLUSTER_DOWN, IN_DOUBT, errorReply } from './proxy-error.ts';
import { NO_SLOT, REQUEST_RETRYING, REQUEST_WAITING, RequestPool, type Request } from './request.ts';
import type { RequestSink } from './request-sink.ts';
import { readSlotMap, type KnownNode } from './slot-refresh.ts';
import type { Turn } from './turn.ts';
import { Upstream, type Handshake, type UpstreamOwner } from './upstream.ts';

/** A node that this proxy has heard of. Indexes are never reused while the router lives. */
export interface RouterNode {
  readonly index: number;
  readonly host: string;
  readonly port: number;
  /** Id at the control plane; empty for one learned from MOVED only. */
  id: string;
  primary: boolean;
  /** Index of the primary that a replica follows; its own for a primary. */
  primaryIndex: number;
  /** In the last view of the cluster. */
  known: boolean;
}

export interface RouterParts {
  readonly turn: Turn;
  readonly pool: RequestPool;
  readonly blocks: BlockPool;
  readonly read: ReadBuffer;
  readonly log: Logger;
  readonly meter: Meter;
}

/** Immediate tries after MOVED or ASK; then the map is in motion and each further try waits. */
const IMMEDIATE_TRIES = 5;
const RETRY_TICK_MS = 5;
/** The slot map is asked for at least this often. */
const REFRESH_MS = 5000;
/** Private connections kept for the next blocking command, for each lane and node. */
const FREE_PRIVATE_MAXIMUM = 32;
/** Lanes that nobody uses are closed after this. */
const LANE_IDLE_MS = 60_000;
/** Requests that may wait for a node, all sessions together: each session is bounded, this bounds their sum. */
const RETRIES_MAXIMUM = 200_000;

const TEXT_MOVED = Buffer.from('-MOVED ');
const TEXT_ASK = Buffer.from('-ASK ');
/** Errors by which a node says that it cannot do it now, and did not do it. */
const RETRIABLE = ['-TRYAGAIN', '-CLUSTERDOWN', '-LOADING', '-MASTERDOWN', '-UNBLOCKED'].map((text) => Buffer.from(text));
const TEXT_READONLY = Buffer.from('-READONLY');
const TEXT_EXECABORT = Buffer.from('-EXECABORT');

export class CacheRouter implements UpstreamOwner {
  cache: TopologyCache;
  /** Changes with every change of the slot map: requests of one session never overtake each other across a change. */
  epoch = 0;
  /** Owner of each slot as a node index, -1 for none. */
  readonly owners = new Int32Array(SLOT_COUNT).fill(-1);
  readonly nodes: RouterNode[] = [];
  /** The engine's commands; null until a node has been asked. */
  book: CommandBook | null = null;
  /** Full version of the engine that answered last. */
  engineVersion: string;
  readonly meter: Meter;
  readonly turn: Turn;
  readonly pool: RequestPool;
  readonly blocks: BlockPool;
  readonly read: ReadBuffer;
  readonly log: Logger;
  /** Replies that wait for an older one of their session. */
  readonly stash = new Slab();

  readonly #lanes = new Map<string, Lane>();
  readonly #systemLane: Lane;
  #retries: Request[] = [];
  #retryTimer: NodeJS.Timeout | null = null;
  #refreshing = false;
  #refreshAgain = false;
  #refreshedAtMs = 0;
  #readyWaiters: (() => void)[] = [];
  /** Sessions that wait for a congested upstream. */
  readonly #drainWaiters = new Map<Upstream, Set<() => void>>();
  readonly #pushHandlers = new Map<Upstream, (reply: Buffer) => void>();
  readonly #closeHandlers = new Map<Upstream, (error: Error | null) => void>();
  #housekeeping: NodeJS.Timeout;
  #closed = false;

  constructor(cache: TopologyCache, parts: RouterParts) {
    this.cache = cache;
    this.engineVersion = cache.engineVersion;
    this.turn = parts.turn;
    this.pool = parts.pool;
    this.blocks = parts.blocks;
    this.read = parts.read;
    this.log = parts.log;
    this.meter = parts.meter;
    this.#systemLane = new Lane(this.#systemKind());
    this.#adoptSeeds();
    this.#housekeeping = setInterval(() => this.#keepHouse(), 1000);
    this.#housekeeping.unref();
    this.refresh();
  }

  /** Can requests be routed: the command table and the owners are known? */
  get ready(): boolean {
    return this.book !== null;
  }

  /** Calls back once the router is ready (at once if it is). */
  whenReady(callback: () => void): void {
    if (this.ready) callback();
    else this.#readyWaiters.push(callback);
  }

  /** Takes a newer picture of the same cache. */
  update(cache: TopologyCache): void {
    this.cache = cache;
    this.#adoptSeeds();
    this.refresh();
  }

  /** The lane of this kind; made on first use. The caller counts itself in `sessions`. */
  lane(kind: LaneKind): Lane {
    const key = laneKey(kind);
    let lane = this.#lanes.get(key);
    if (lane === undefined) {
      lane = new Lane(kind);
      this.#lanes.set(key, lane);
    }
    return lane;
  }

  /** Sends a request to the node it belongs to. Hot. */
  route(request: Request): void {
    const lane = request.lane!;
    let node = request.node;
    if (node < 0) {
      node = request.slot === NO_SLOT ? this.anyPrimary() : this.owners[request.slot]!;
      if (node < 0) {
        this.#retryLater(request, CLUSTER_DOWN, 0, CLUSTER_DOWN.length);
        return;
      }
      if (lane.kind.readonly) node = this.#readerOf(node, request);
    }
    const upstream = lane.upstreams[node] ?? this.#open(lane, node);
    upstream.send(request);
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
    for (let slot = 0; slot < SLOT_COUNT; slot++) {
      const owner = this.owners[slot]!;
      if (owner >= 0) seen.add(owner);
    }
    return [...seen];
  }

  /** Every replica in the last view. */
  replicas(): number[] {
    return this.nodes.filter((node) => node.known && !node.primary).map((node) => node.index);
  }

  /** Node that owns the slot (any primary without one); -1 when nobody does now. */
  ownerOf(slot: number): number {
    return slot === NO_SLOT ? this.anyPrimary() : this.owners[slot]!;
  }

  /** Is the connection for this slot's node so far behind that its client should not be read? */
  congestedUpstream(request: Request): Upstream | null {
    const node = request.slot === NO_SLOT ? this.anyPrimary() : this.owners[request.slot]!;
    const upstream = node < 0 ? null : (request.lane?.upstreams[node] ?? null);
    return upstream !== null && upstream.congested ? upstream : null;
  }

  onceDrained(upstream: Upstream, callback: () => void): void {
    const waiters = this.#drainWaiters.get(upstream) ?? new Set();
    waiters.add(callback);
    this.#drainWaiters.set(upstream, waiters);
  }

  /** A question of a cold path. Resolves to the reply, an error reply included; waits and retries as any request does. */
  ask(args: readonly (string | number | Uint8Array)[], options: AskOptions = {}): Promise<RespValue> {
    return this.askBytes(encodeRequest(args), options).then(decodeReply);
  }

  /** As `ask`, raw: the encoded request in, the reply's bytes out. */
  askBytes(bytes: Buffer, options: AskOptions = {}): Promise<Buffer> {
    return new Promise((resolve) => {
      const request = this.pool.take();
      request.sink = new PromiseSink(resolve, this.pool);
      request.buf = bytes;
      request.start = 0;
      request.stable = true;
      request.end = bytes.length;
      request.lane = options.lane ?? this.#systemLane;
      request.fixed = options.fixed ?? null;
      request.node = options.node ?? -1;
      request.slot = options.slot ?? NO_SLOT;
      request.repeatable = options.repeatable ?? true;
      request.precedingReplies = options.preceding ?? 0;
      request.skipReplies = request.precedingReplies;
      this.turn.tick();
      request.startedUs = this.turn.nowUs;
      if (request.fixed === null) this.route(request);
      else request.fixed.send(request);
    });
  }

  /** A connection of its own to a node: for a command that blocks, WATCH, MONITOR, subscriptions. */
  openPrivate(node: number, handshake: Handshake, handlers: PrivateHandlers = {}): Upstream {
    const { host, port } = this.nodes[node] ?? NOWHERE;
    const upstream = new Upstream({ host, port }, node, handshake, this, this.turn, this.read);
    if (handlers.onPush !== undefined) this.#pushHandlers.set(upstream, handlers.onPush);
    if (handlers.onClosed !== undefined) this.#closeHandlers.set(upstream, handlers.onClosed);
    return upstream;
  }

  /** A private connection like the lane's, used before if there is one. Give it back, or destroy it. */
  privateFor(lane: Lane, node: number): Upstream {
    const free = lane.free[node];
    while (free !== undefined && free.length > 0) {
      const upstream = free.pop()!;
      if (!upstream.closed) return upstream;
    }
    return this.openLike(lane, node);
  }

  /** A new private connection of the lane's kind. */
  openLike(lane: Lane, node: number, handlers: PrivateHandlers = {}): Upstream {
    const { tracking } = lane.kind;
    if (tracking === undefined) return this.openPrivate(node, lane.handshake(node), handlers);
    return this.openPrivate(node, lane.handshake(node), {
      onPush: (push) => tracking.onPush(push),
      onClosed: (error) => {
        tracking.onClosed(node);
        handlers.onClosed?.(error);
      },
    });
  }

  /** Closes a lane that nobody is on any more. */
  dropLane(lane: Lane): void {
    this.#lanes.delete(lane.key);
    for (const upstream of [...lane.upstreams, ...lane.free.flat()]) upstream?.destroy();
  }

  /** Gives a private connection back that has no state left on it. */
  givePrivate(lane: Lane, upstream: Upstream): void {
    const free = (lane.free[upstream.node] ??= []);
    if (upstream.closed || free.length >= FREE_PRIVATE_MAXIMUM || !this.#lanes.has(lane.key)) upstream.destroy();
    else free.push(upstream);
  }

  /** Ends the blocked command of a private connection: with a null reply, or an error. */
  async unblock(upstream: Upstream, withError: boolean): Promise<void> {
    const how = withError ? 'ERROR' : 'TIMEOUT';
    await this.ask(['CLIENT', 'UNBLOCK', upstream.clientId, how], { node: upstream.node });
  }

  /** Takes what a MOVED says into the map; anything else makes the map be asked for. */
  follow(error: RespError): void {
    const [, slot, address] = error.message.split(' ');
    const colon = address?.lastIndexOf(':') ?? -1;
    if (error.kind === 'MOVED' && address !== undefined && colon > 0) {
      const node = this.#nodeAt(address.slice(0, colon), Number(address.slice(colon + 1)));
      if (this.owners[Number(slot)] !== node.index) this.#setOwner(Number(slot), node.index);
    }
    this.refresh();
  }

  /** Handshake for a private connection of the system's own. */
  get systemLane(): Lane {
    return this.#systemLane;
  }

  onErrorReply(upstream: Upstream, request: Request, buf: Buffer, start: number, end: number): void {
    if (this.#takeBack(upstream, request, buf, start, end)) return;
    request.sink!.onReply(request, buf, start, end);
  }

  onLost(upstream: Upstream, request: Request, sent: boolean): void {
    if (sent && !request.repeatable) {
      request.sink!.onReply(request, IN_DOUBT, 0, IN_DOUBT.length);
    } else if (request.fixed !== null) {
      // Its connection was its state (WATCH, a subscription): nothing to send it over again.
      request.sink!.onReply(request, LOST_CONNECTION, 0, LOST_CONNECTION.length);
    } else {
      if (upstream.node === request.node && !this.nodes[request.node]?.known) request.node = -1;
      this.#retryLater(request, CLUSTER_DOWN, 0, CLUSTER_DOWN.length);
    }
  }

  onPush(upstream: Upstream, reply: Buffer): void {
    this.#pushHandlers.get(upstream)?.(reply);
  }

  onReady(): void {}

  onClosed(upstream: Upstream, error: Error | null): void {
    for (const lane of [...this.#lanes.values(), this.#systemLane]) {
      if (lane.upstreams[upstream.node] === upstream) lane.upstreams[upstream.node] = null;
    }
    this.#pushHandlers.delete(upstream);
    const onClosed = this.#closeHandlers.get(upstream);
    this.#closeHandlers.delete(upstream);
    this.onDrain(upstream);
    onClosed?.(error);
    if (error !== null && !this.#closed) {
      this.log.warn({ cache: this.cache.name, node: upstream.address, err: error.message }, 'lost a node connection');
      this.refresh();
    }
  }

  onDrain(upstream: Upstream): void {
    const waiters = this.#drainWaiters.get(upstream);
    this.#drainWaiters.delete(upstream);
    for (const callback of waiters ?? []) callback();
  }

  /** Asks the nodes for the slot map again, soon; many calls make one question. */
  refresh(): void {
    if (this.#refreshing) {
      this.#refreshAgain = true;
      return;
    }
    this.#refreshing = true;
    this.#refreshedAtMs = performance.now();
    void this.#refreshNow();
  }

  close(): void {
    this.#closed = true;
    clearInterval(this.#housekeeping);
    if (this.#retryTimer !== null) clearTimeout(this.#retryTimer);
    for (const lane of [...this.#lanes.values(), this.#systemLane]) {
      for (const upstream of [...lane.upstreams, ...lane.free.flat()]) upstream?.destroy();
    }
    for (const request of this.#retries) request.sink!.onReply(request, CLUSTER_DOWN, 0, CLUSTER_DOWN.length);
    this.#retries = [];
  }

  /** Connections and requests under way per node, for the metrics. */
  load(node: number): { connections: number; pending: number; connected: boolean } {
    let connections = 0;
    let pending = 0;
    let connected = false;
    for (const lane of [...this.#lanes.values(), this.#systemLane]) {
      const upstream = lane.upstreams[node];
      if (!upstream) continue;
      connections++;
      pending += upstream.pending;
      connected ||= upstream.ready;
    }
    return { connections, pending, connected };
  }

  #systemKind(): LaneKind {
    return {
      user: SYSTEM_USER_NAME,
      secret: this.cache.systemSecret,
      resp: 3,
      database: 0,
      readonly: false,
      sharded: false,
      noTouch: false,
    };
  }

  #open(lane: Lane, node: number): Upstream {
    const { host, port } = this.nodes[node]!;
    const upstream = new Upstream({ host, port }, node, lane.handshake(node), this, this.turn, this.read);
    lane.upstreams[node] = upstream;
    const { tracking } = lane.kind;
    if (tracking !== undefined) {
      this.#pushHandlers.set(upstream, (push) => tracking.onPush(push));
      this.#closeHandlers.set(upstream, () => tracking.onClosed(node));
    }
    return upstream;
  }

  /** A replica of this primary for a reader: reads only, the same one while it is there. */
  #readerOf(primary: number, request: Request): number {
    if (request.command === null || (request.command.flags & FLAG_READONLY) === 0) return primary;
    for (const node of this.nodes) {
      if (!node.known || node.primary || node.primaryIndex !== primary) continue;
      if (request.tries > 0) continue;
      return node.index;
    }
    return primary;
  }

  /** Handles an error that a client need not see. True: the request is on its way again. */
  #takeBack(upstream: Upstream, request: Request, buf: Buffer, start: number, end: number): boolean {
    if (startsWith(buf, start, TEXT_MOVED)) return this.#redirect(upstream, request, buf, start, end, false);
    if (startsWith(buf, start, TEXT_ASK)) return this.#redirect(upstream, request, buf, start, end, true);
    if (startsWith(buf, start, TEXT_EXECABORT) && request.skippedError !== null) {
      // A transaction that a node refused to queue was not executed: the reason decides.
      const reason = request.skippedError;
      request.skippedError = null;
      return this.#takeBack(upstream, request, reason, 0, reason.length);
    }
    const demoted = startsWith(buf, start, TEXT_READONLY) && !request.lane?.kind.readonly;
    if (!demoted && !RETRIABLE.some((text) => startsWith(buf, start, text))) return false;
    if (request.fixed !== null) return false;
    this.refresh();
    this.#retryLater(request, buf, start, end);
    return true;
  }

  #redirect(upstream: Upstream, request: Request, buf: Buffer, start: number, end: number, ask: boolean): boolean {
    if (request.fixed !== null) return false;
    if (ask && request.precedingReplies > 0) {
      // ASKING holds for one command, a transaction is several: it waits until the slot has arrived.
      this.#retryLater(request, buf, start, end);
      return true;
    }
    const [, slotText, address] = buf.toString('latin1', start, end - 2).split(' ');
    const slot = Number(slotText);
    const colon = address?.lastIndexOf(':') ?? -1;
    if (address === undefined || colon < 0 || !(slot >= 0 && slot < SLOT_COUNT)) return false;
    const node = this.#nodeAt(address.slice(0, colon) || upstream.address.host, Number(address.slice(colon + 1)));
    request.tries++;
    this.meter.retries++;
    this.refresh();
    if (ask) {
      request.asking = true;
      request.node = node.index;
    } else {
      request.node = -1;
      request.asking = false;
      request.slot = slot;
      if (this.owners[slot] !== node.index) this.#setOwner(slot, node.index);
    }
    if (request.tries > IMMEDIATE_TRIES) this.#retryLater(request, buf, start, end);
    else this.#again(request);
    return true;
  }

  #setOwner(slot: number, node: number): void {
    this.nodes[node]!.known = true;
    this.owners[slot] = node;
    this.epoch++;
  }

  /** Keeps the request for another try; `buf[start, end)` is its answer if the deadline comes first. */
  #retryLater(request: Request, buf: Buffer, start: number, end: number): void {
    if (request.deadlineUs === 0) {
      request.deadlineUs = this.turn.nowUs + this.cache.deadlineMs * 1000;
      this.meter.held++;
    }
    if (this.#closed || this.#retries.length >= RETRIES_MAXIMUM) {
      request.sink!.onReply(request, buf, start, end);
      return;
    }
    if (request.sink!.abandoned) {
      request.sink!.onReply(request, buf, start, end);
      return;
    }
    request.state = REQUEST_RETRYING;
    request.sink!.onRetrying(request);
    keepBytes(request, this.stash);
    this.stash.copy(buf, start, end);
    request.replyBuf = this.stash.buf;
    request.replyStart = this.stash.start;
    request.replyEnd = this.stash.end;
    this.#retries.push(request);
    this.#retryTimer ??= setTimeout(() => this.#retryAll(), RETRY_TICK_MS);
  }

  #retryAll(): void {
    this.#retryTimer = null;
    this.turn.tick();
    const due = this.#retries;
    this.#retries = [];
    let waiting = false;
    for (const request of due) {
      // Answered meanwhile, to keep the order of its session.
      if (request.state !== REQUEST_RETRYING) continue;
      if (request.sink!.abandoned || this.turn.nowUs > request.deadlineUs) {
        this.#giveUp(request);
        continue;
      }
      request.tries++;
      this.meter.retries++;
      waiting = true;
      this.#again(request);
    }
    if (waiting) this.refresh();
  }

  #again(request: Request): void {
    request.state = REQUEST_WAITING;
    request.replyBuf = null;
    request.skippedError = null;
    request.skipReplies = request.precedingReplies;
    if (request.node >= 0 && !request.asking && !this.nodes[request.node]!.known) request.node = -1;
    this.route(request);
    // ASK is for one try: the next goes by the map again.
    if (request.asking) {
      request.asking = false;
      request.node = -1;
    }
  }

  #giveUp(request: Request): void {
    request.state = REQUEST_WAITING;
    const buf = request.replyBuf!;
    const moving = startsWith(buf, request.replyStart, TEXT_MOVED) || startsWith(buf, request.replyStart, TEXT_ASK);
    if (moving) request.sink!.onReply(request, CLUSTER_DOWN, 0, CLUSTER_DOWN.length);
    else request.sink!.onReply(request, buf, request.replyStart, request.replyEnd);
  }

  #adoptSeeds(): void {
    for (const seed of this.cache.nodes) {
      const node = this.#nodeAt(seed.host, seed.port);
      node.id = seed.id;
      if (!this.cache.sharding && !this.ready) node.primary = seed.role === 'primary';
    }
  }

  #nodeAt(host: string, port: number): RouterNode {
    for (const node of this.nodes) if (node.port === port && node.host === host) return node;
    const index = this.nodes.length;
    const node: RouterNode = { index, host, port, id: '', primary: true, primaryIndex: index, known: true };
    this.nodes.push(node);
    return node;
  }

  async #refreshNow(): Promise<void> {
    try {
      await this.#learn();
      if (this.book === null && this.anyPrimary() >= 0) await this.#learnCommands();
    } catch (error) {
      this.log.error({ cache: this.cache.name, err: error }, 'could not learn the slot map');
    }
    this.#refreshing = false;
    if (this.#closed) return;
    if (this.#refreshAgain || this.book === null) {
      this.#refreshAgain = false;
      setTimeout(() => this.refresh(), this.book === null ? 20 : 2).unref();
    }
  }

  async #learn(): Promise<void> {
    const seeds = this.nodes.filter((node) => node.known || this.cache.nodes.some((seed) => seed.id === node.id));
    const map = await readSlotMap(this.cache, seeds, (node, args) => this.#question(node, args));
    if (map === null) return;
    const indexes = map.nodes.map((node) => this.#nodeAt(node.host, node.port).index);
    for (const node of this.nodes) node.known = false;
    map.nodes.forEach((viewed: KnownNode, at) => {
      const node = this.nodes[indexes[at]!]!;
      node.known = true;
      node.primary = viewed.primary;
      node.primaryIndex = viewed.primaryAt >= 0 ? indexes[viewed.primaryAt]! : node.index;
    });
    let changed = false;
    for (let slot = 0; slot < SLOT_COUNT; slot++) {
      const at = map.owners[slot]!;
      const owner = at < 0 ? -1 : indexes[at]!;
      if (this.owners[slot] === owner) continue;
      this.owners[slot] = owner;
      changed = true;
    }
    if (changed) {
      this.epoch++;
      this.log.info({ cache: this.cache.name, epoch: this.epoch, nodes: map.nodes.length }, 'slot map changed');
    }
  }

  async #learnCommands(): Promise<void> {
    const reply = await this.#question(this.anyPrimary(), ['COMMAND']);
    if (reply === null || reply instanceof RespError) return;
    const info = textOf(await this.#question(this.anyPrimary(), ['INFO', 'server']));
    this.engineVersion = /valkey_version:(\S+)/.exec(info ?? '')?.[1] ?? this.engineVersion;
    this.book = new CommandBook(reply, this.cache.sharding);
    const waiters = this.#readyWaiters;
    this.#readyWaiters = [];
    for (const callback of waiters) callback();
  }

  /** Asks one node, once: null when it does not answer in time. */
  #question(node: number, args: readonly string[]): Promise<RespValue> {
    return new Promise((resolve) => {
      const bytes = encodeRequest(args);
      const request = this.pool.take();
      const timer = setTimeout(() => resolve(null), QUESTION_MS);
      const sink = new PromiseSink((reply) => {
        clearTimeout(timer);
        const value = decodeReply(reply);
        resolve(value instanceof RespError && textOf(value.message)?.startsWith('CLUSTERDOWN') ? null : value);
      }, this.pool);
      request.sink = sink;
      request.buf = bytes;
      request.end = bytes.length;
      request.start = 0;
      request.stable = true;
      request.lane = this.#systemLane;
      request.node = node;
      this.turn.tick();
      request.startedUs = this.turn.nowUs;
      // Not repeatable and its deadline passed: a node that is gone answers at once.
      request.deadlineUs = 1;
      this.route(request);
    });
  }

  #keepHouse(): void {
    const now = performance.now();
    for (const lane of this.#lanes.values()) {
      if (lane.sessions > 0) {
        lane.idleSinceMs = 0;
      } else if (lane.idleSinceMs === 0) {
        lane.idleSinceMs = now;
      } else if (now - lane.idleSinceMs > LANE_IDLE_MS) {
        this.#lanes.delete(lane.key);
        for (const upstream of [...lane.upstreams, ...lane.free.flat()]) upstream?.destroy();
      }
    }
    this.#watchStalled(now * 1000);
    // Replicas come and go without a MOVED to tell of it.
    if (now - this.#refreshedAtMs > REFRESH_MS) this.refresh();
  }

  /** A node that has owed replies for the whole deadline without a byte is as good as gone (a hung or cut host). */
  #watchStalled(nowUs: number): void {
    for (const lane of [...this.#lanes.values(), this.#systemLane]) {
      for (const upstream of lane.upstreams) {
        if (!upstream || upstream.pending === 0) continue;
        if (nowUs - upstream.lastActivityUs < this.cache.deadlineMs * 1000) continue;
        upstream.destroy(new Error(`the node has not answered for ${this.cache.deadlineMs} ms`));
      }
    }
  }
}

export interface AskOptions {
  readonly lane?: Lane;
  readonly node?: number;
  readonly slot?: number;
  readonly fixed?: Upstream;
  readonly repeatable?: boolean;
  /** Replies that come before the one that counts (MULTI's and the QUEUEDs). */
  readonly preceding?: number;
}

export interface PrivateHandlers {
  readonly onPush?: (reply: Buffer) => void;
  readonly onClosed?: (error: Error | null) => void;
}

const QUESTION_MS = 500;
/** Nobody owns the slot: a connection that fails at once, which its user handles as any lost one. */
const NOWHERE = { host: '127.0.0.1', port: 1 };
/** A connection that was its own state (WATCH, a blocked command) is gone; what it was sent last was not executed. */
const LOST_CONNECTION = errorReply('NODELOST The connection to the node was lost');

/** Hands a reply to a promise. */
class PromiseSink implements RequestSink {
  readonly abandoned = false;
  readonly #resolve: (reply: Buffer) => void;
  readonly #pool: RequestPool;

  constructor(resolve: (reply: Buffer) => void, pool: RequestPool) {
    this.#resolve = resolve;
    this.#pool = pool;
  }

  onReply(request: Request, buf: Buffer, start: number, end: number): void {
    this.#pool.give(request);
    this.#resolve(Buffer.from(buf.subarray(start, end)));
  }
  onRetrying(): void {}
  onPiece(): boolean {
    return false;
  }
  onLastPiece(): void {}
  onBroken(): void {}
}

/** Makes the request's bytes stable. */
function keepBytes(request: Request, slab: Slab): void {
  if (request.stable) return;
  slab.copy(request.buf!, request.start, request.end);
  request.buf = slab.buf;
  request.start = slab.start;
  request.end = slab.end;
  request.stable = true;
}

function startsWith(buf: Buffer, start: number, text: Buffer): boolean {
  if (buf.length - start < text.length) return false;
  for (let i = 0; i < text.length; i++) if (buf[start + i] !== text[i]) return false;
  return true;
}
