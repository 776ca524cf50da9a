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
import type { TopologyCache } from '../../model/topology.ts';
import { SYSTEM_USER_NAME } from '../../model/user.ts';
import { FLAG_READONLY } from '../../protocol/command-table.ts';
import { SLOT_COUNT } from '../../protocol/hash-slot.ts';
import { encodeRequest } from '../../protocol/request-encoder.ts';
import { decodeReply, RespError, textOf, type RespValue } from '../../protocol/resp-value.ts';
import { CommandBook } from '../command-book.ts';
import { Lane, laneKey, type LaneKind } from './lane.ts';
import { NodeMap, type RouterNode } from './node-map.ts';
import type { Meter } from '../meter.ts';
import type { BlockPool } from '../io/out-queue.ts';
import type { ReadBuffer } from '../io/read-buffer.ts';
import { Slab } from '../io/slab.ts';
import { CLUSTER_DOWN, IN_DOUBT, errorReply } from '../proxy-error.ts';
import { NO_SLOT, REQUEST_WAITING, RequestPool, type Request } from './request.ts';
import { PromiseSink } from './promise-sink.ts';
import { RetryQueue } from './retry-queue.ts';
import { SlotLearner } from './slot-learner.ts';
import type { Turn } from '../io/turn.ts';
import { Upstream, type Handshake, type UpstreamOwner } from './upstream.ts';

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
const LOSS_LOG_MS = 1000;
/** Private connections kept for the next blocking command, for each lane and node. */
const FREE_PRIVATE_MAXIMUM = 32;
/** Lanes that nobody uses are closed after this. */
const LANE_IDLE_MS = 60_000;

const TEXT_MOVED = Buffer.from('-MOVED ');
const TEXT_ASK = Buffer.from('-ASK ');
/**
 * Errors by which a node says that it cannot do it now, and did not do it. More than their codes: a script, which did
 * something, may end with `TRYAGAIN in a minute` of its own, and must not be run again and again for it.
 */
const RETRIABLE = [
  '-TRYAGAIN Multiple keys request',
  '-CLUSTERDOWN The cluster is down',
  '-CLUSTERDOWN Hash slot not served',
  '-LOADING Valkey is loading',
  '-LOADING Redis is loading',
  '-MASTERDOWN Link with MASTER is down',
  '-UNBLOCKED force unblock',
].map((text) => Buffer.from(text));
const TEXT_READONLY = Buffer.from("-READONLY You can't write against a read only replica");
const TEXT_EXECABORT = Buffer.from('-EXECABORT');

export class CacheRouter implements UpstreamOwner {
  cache: TopologyCache;
  readonly map = new NodeMap();
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
  readonly #retries: RetryQueue;
  readonly #learner: SlotLearner;
  #readyWaiters: (() => void)[] = [];
  /** Sessions that wait for a congested upstream. */
  readonly #drainWaiters = new Map<Upstream, Set<() => void>>();
  readonly #pushHandlers = new Map<Upstream, (reply: Buffer) => void>();
  readonly #closeHandlers = new Map<Upstream, (error: Error | null) => void>();
  /** When the loss of a connection to a node was last logged, by node index. */
  readonly #lossLoggedMs = new Map<number, number>();
  /** Stalled connections whose node is being probed. */
  readonly #probed = new Set<Upstream>();
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
    this.#retries = new RetryQueue({
      turn: this.turn,
      meter: this.meter,
      stash: this.stash,
      deadlineMs: () => this.cache.deadlineMs,
      again: (request) => this.#again(request),
      onTried: () => this.refresh(),
    });
    this.#learner = new SlotLearner({
      map: this.map,
      log: this.log,
      cache: () => this.cache,
      question: (node, args) => this.#question(node, args),
      onLearned: () => this.#learnCommands(),
    });
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
      node = this.map.ownerOf(request.slot);
      if (node < 0) {
        this.#retries.add(request, CLUSTER_DOWN, 0, CLUSTER_DOWN.length);
        return;
      }
      if (lane.kind.readonly && request.tries === 0 && isRead(request))
        node = this.map.readerOf(node, request.slot);
    }
    const upstream = lane.upstreams[node] ?? this.#open(lane, node);
    upstream.send(request);
  }

  /** See NodeMap. */
  get epoch(): number {
    return this.map.epoch;
  }

  get owners(): Int32Array {
    return this.map.owners;
  }

  get nodes(): readonly RouterNode[] {
    return this.map.nodes;
  }

  anyPrimary(): number {
    return this.map.anyPrimary();
  }

  primaries(): number[] {
    return this.map.primaries();
  }

  replicas(): number[] {
    return this.map.replicas();
  }

  ownerOf(slot: number): number {
    return this.map.ownerOf(slot);
  }

  /** Is the connection for this slot's node so far behind that its client should not be read? */
  congestedUpstream(request: Request): Upstream | null {
    const node = this.map.ownerOf(request.slot);
    const upstream = node < 0 ? null : (request.lane?.upstreams[node] ?? null);
    return upstream !== null && upstream.congested ? upstream : null;
  }

  onceDrained(upstream: Upstream, callback: () => void): void {
    const waiters = this.#drainWaiters.get(upstream) ?? new Set();
    waiters.add(callback);
    this.#drainWaiters.set(upstream, waiters);
  }

  /** A question of a cold path. Resolves to the reply, an error reply included; waits and retries as any request does. */
  ask(
    args: readonly (string | number | Uint8Array)[],
    options: AskOptions = {},
  ): Promise<RespValue> {
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
    if (upstream.closed || free.length >= FREE_PRIVATE_MAXIMUM || !this.#lanes.has(lane.key))
      upstream.destroy();
    else free.push(upstream);
  }

  /** Takes what a MOVED says into the map; anything else makes the map be asked for. */
  follow(error: RespError): void {
    const [, slot, address] = error.message.split(' ');
    const colon = address?.lastIndexOf(':') ?? -1;
    if (error.kind === 'MOVED' && address !== undefined && colon > 0) {
      const node = this.map.find(address.slice(0, colon), Number(address.slice(colon + 1)));
      if (node !== null) this.map.setOwner(Number(slot), node.index);
    }
    this.refresh();
  }

  /** Handshake for a private connection of the system's own. */
  get systemLane(): Lane {
    return this.#systemLane;
  }

  onErrorReply(
    upstream: Upstream,
    request: Request,
    buf: Buffer,
    start: number,
    end: number,
  ): void {
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
      this.#retries.add(request, CLUSTER_DOWN, 0, CLUSTER_DOWN.length);
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
      this.#logLoss(upstream, error);
      this.refresh();
    }
  }

  /** A node that is gone is tried every few milliseconds: one line a second says it as well. */
  #logLoss(upstream: Upstream, error: Error): void {
    const now = performance.now();
    if (now - (this.#lossLoggedMs.get(upstream.node) ?? -Infinity) < LOSS_LOG_MS) return;
    this.#lossLoggedMs.set(upstream.node, now);
    const { name } = this.cache;
    this.log.warn(
      { cache: name, node: upstream.address, err: error.message },
      'lost a node connection',
    );
  }

  onDrain(upstream: Upstream): void {
    const waiters = this.#drainWaiters.get(upstream);
    this.#drainWaiters.delete(upstream);
    for (const callback of waiters ?? []) callback();
  }

  /** Asks the nodes for the slot map again, soon; many calls make one question. */
  refresh(): void {
    this.#learner.refresh();
  }

  close(): void {
    this.#closed = true;
    clearInterval(this.#housekeeping);
    this.#learner.close();
    for (const lane of [...this.#lanes.values(), this.#systemLane]) {
      for (const upstream of [...lane.upstreams, ...lane.free.flat()]) upstream?.destroy();
    }
    this.#retries.close();
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
      systemSecret: this.cache.systemSecret,
      resp: 3,
      database: 0,
      readonly: false,
      sharded: false,
      noTouch: false,
    };
  }

  #open(lane: Lane, node: number): Upstream {
    const { host, port } = this.nodes[node]!;
    const upstream = new Upstream(
      { host, port },
      node,
      lane.handshake(node),
      this,
      this.turn,
      this.read,
    );
    lane.upstreams[node] = upstream;
    const { tracking } = lane.kind;
    if (tracking !== undefined) {
      this.#pushHandlers.set(upstream, (push) => tracking.onPush(push));
      this.#closeHandlers.set(upstream, () => tracking.onClosed(node));
    }
    return upstream;
  }

  /** Handles an error that a client need not see. True: the request is on its way again. */
  #takeBack(
    upstream: Upstream,
    request: Request,
    buf: Buffer,
    start: number,
    end: number,
  ): boolean {
    if (startsWith(buf, start, TEXT_MOVED))
      return this.#redirect(upstream, request, buf, start, end, false);
    if (startsWith(buf, start, TEXT_ASK))
      return this.#redirect(upstream, request, buf, start, end, true);
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
    this.#retries.add(request, buf, start, end);
    return true;
  }

  #redirect(
    upstream: Upstream,
    request: Request,
    buf: Buffer,
    start: number,
    end: number,
    ask: boolean,
  ): boolean {
    if (request.fixed !== null) return false;
    const [, slotText, address] = buf.toString('latin1', start, end - 2).split(' ');
    const slot = Number(slotText);
    const colon = address?.lastIndexOf(':') ?? -1;
    if (address === undefined || colon < 0 || !(slot >= 0 && slot < SLOT_COUNT)) return false;
    // A script can answer with any error: where it is told to go is not taken on its word.
    if (slot !== request.slot && isScript(request)) return false;
    const node = this.map.find(
      address.slice(0, colon) || upstream.address.host,
      Number(address.slice(colon + 1)),
    );
    request.tries++;
    this.meter.retries++;
    this.refresh();
    if (node === null) {
      // Nobody is logged in to whom the nodes have not named: whoever it is would be given the users' secrets.
      request.node = -1;
      request.asking = false;
      this.#retries.add(request, buf, start, end);
      return true;
    }
    if (ask) {
      request.asking = true;
      request.node = node.index;
    } else {
      request.node = -1;
      request.asking = false;
      request.slot = slot;
      this.map.setOwner(slot, node.index);
    }
    if (request.tries > IMMEDIATE_TRIES) this.#retries.add(request, buf, start, end);
    else this.#again(request);
    return true;
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

  #adoptSeeds(): void {
    for (const seed of this.cache.nodes) {
      const node = this.map.at(seed.host, seed.port);
      node.id = seed.id;
      if (!this.cache.sharding && !this.ready) node.primary = seed.role === 'primary';
    }
  }

  /** The command table, once. True when it is known. */
  async #learnCommands(): Promise<boolean> {
    if (this.book !== null) return true;
    if (this.anyPrimary() < 0) return false;
    const reply = await this.#question(this.anyPrimary(), ['COMMAND']);
    if (reply === null || reply instanceof RespError) return false;
    const info = textOf(await this.#question(this.anyPrimary(), ['INFO', 'server']));
    this.engineVersion = /valkey_version:(\S+)/.exec(info ?? '')?.[1] ?? this.engineVersion;
    this.book = new CommandBook(reply, this.cache.sharding);
    const waiters = this.#readyWaiters;
    this.#readyWaiters = [];
    for (const callback of waiters) callback();
    return true;
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
        resolve(
          value instanceof RespError && textOf(value.message)?.startsWith('CLUSTERDOWN')
            ? null
            : value,
        );
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
    this.#learner.keepFresh();
  }

  /**
   * A node that has owed replies for the whole deadline without a byte may hang, or be busy with one long command. One that
   * still answers on another connection (PONG, BUSY) is given more time; the others' connections are cut, so that requests
   * go elsewhere or are answered.
   */
  #watchStalled(nowUs: number): void {
    for (const lane of [...this.#lanes.values(), this.#systemLane]) {
      for (const upstream of lane.upstreams) {
        if (!upstream || upstream.pending === 0 || this.#probed.has(upstream)) continue;
        if (nowUs - upstream.lastActivityUs < this.cache.deadlineMs * 1000) continue;
        void this.#probe(upstream);
      }
    }
  }

  async #probe(stalled: Upstream): Promise<void> {
    this.#probed.add(stalled);
    const probe = this.openPrivate(stalled.node, this.#systemLane.handshake(stalled.node));
    const answer = this.askBytes(PING, { fixed: probe });
    const silence = new Promise<null>((resolve) =>
      setTimeout(() => resolve(null), QUESTION_MS).unref(),
    );
    const reply = await Promise.race([answer, silence]);
    probe.destroy();
    this.#probed.delete(stalled);
    if (reply !== null && !reply.equals(LOST_CONNECTION)) stalled.lastActivityUs = this.turn.nowUs;
    else stalled.destroy(new Error(`the node has not answered for ${this.cache.deadlineMs} ms`));
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
const PING = encodeRequest(['PING']);
/** Nobody owns the slot: a connection that fails at once, which its user handles as any lost one. */
const NOWHERE = { host: '127.0.0.1', port: 1 };
/** A connection that was its own state (WATCH, a blocked command) is gone; what it was sent last was not executed. */
const LOST_CONNECTION = errorReply('NODELOST The connection to the node was lost');

function isScript(request: Request): boolean {
  return request.command?.categories.includes('@scripting') === true;
}

function isRead(request: Request): boolean {
  return request.command !== null && (request.command.flags & FLAG_READONLY) !== 0;
}

function startsWith(buf: Buffer, start: number, text: Buffer): boolean {
  if (buf.length - start < text.length) return false;
  for (let i = 0; i < text.length; i++) if (buf[start + i] !== text[i]) return false;
  return true;
}
