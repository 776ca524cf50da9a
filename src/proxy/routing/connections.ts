/**
 * The connections of one cache to its nodes. Shared ones belong to a lane and a node and carry the requests of many
 * clients; private ones have a state of their own (a blocked command, WATCH, MONITOR, subscriptions), or a large
 * request for themselves, and one user at a time.
 * What a request means and where it belongs is not decided here.
 */
import type { Logger } from 'pino';
import type { ReadBuffer } from '../io/read-buffer.ts';
import type { Turn } from '../io/turn.ts';
import { BoundedConnections } from './bounded-connections.ts';
import { Lane, laneKey, type LaneKind } from './lane.ts';
import type { NodeMap } from './node-map.ts';
import type { Request } from './request.ts';
import type { TakeBack } from './take-back.ts';
import { Upstream, type Handshake, type UpstreamOwner } from './upstream.ts';

export interface ConnectionsParts {
  readonly map: NodeMap;
  readonly turn: Turn;
  readonly read: ReadBuffer;
  readonly log: Logger;
  readonly cacheName: string;
  /** What the system user's own questions go over. */
  readonly system: LaneKind;
  /** Gets the requests that a connection did not answer. */
  readonly takeBack: TakeBack;
  /** A connection to this node broke that nobody here had closed. */
  readonly onBroken: (node: number) => void;
  /** A shared connection to this node is closed, for whatever reason. */
  readonly onSharedClosed: (node: number) => void;
}

export interface PrivateHandlers {
  readonly onPush?: (reply: Buffer) => void;
  readonly onClosed?: (error: Error | null) => void;
}

const LOSS_LOG_MS = 1000;
/** Private connections kept for the next blocking command, for each lane and node. */
const FREE_PRIVATE_MAXIMUM = 32;
/** Lanes that nobody uses are closed after this. */
const LANE_IDLE_MS = 60_000;
/** Nobody owns the slot: a connection that fails at once, which its user handles as any lost one. */
const NOWHERE = { host: '127.0.0.1', port: 1 };

export class Connections implements UpstreamOwner {
  /** The system user's: for the proxy's own questions. Never dropped. */
  readonly system: Lane;
  /** Told of every reply to what may have changed something. */
  executed: ((request: Request) => void) | null = null;
  /** Of the private ones, those whose requests have a deadline. */
  readonly bounded = new BoundedConnections((lane, node) => this.openLike(lane, node));
  readonly #parts: ConnectionsParts;
  readonly #lanes = new Map<string, Lane>();
  /** Sessions that wait for a congested connection. */
  readonly #drainWaiters = new Map<Upstream, Set<() => void>>();
  readonly #pushHandlers = new Map<Upstream, (reply: Buffer) => void>();
  readonly #closeHandlers = new Map<Upstream, (error: Error | null) => void>();
  /** When the loss of a connection to a node was last logged, by node index. */
  readonly #lossLoggedMs = new Map<number, number>();
  readonly #open = new Set<Upstream>();
  #closed = false;

  constructor(parts: ConnectionsParts) {
    this.#parts = parts;
    this.system = new Lane(parts.system);
  }

  /** All lanes, the system's last. */
  get lanes(): readonly Lane[] {
    return [...this.#lanes.values(), this.system];
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

  /** Closes a lane that nobody is on any more. */
  dropLane(lane: Lane): void {
    this.#lanes.delete(lane.key);
    this.#closeAll(lane);
  }

  /** Closes what has been nobody's for a while. Called about once a second. */
  dropIdle(): void {
    this.bounded.dropIdle();
    const now = performance.now();
    for (const lane of this.#lanes.values()) {
      if (lane.sessions > 0) lane.idleSinceMs = 0;
      else if (lane.idleSinceMs === 0) lane.idleSinceMs = now;
      else if (now - lane.idleSinceMs > LANE_IDLE_MS) this.dropLane(lane);
    }
  }

  /** Opens the lane's shared connection to a node. */
  openShared(lane: Lane, node: number): Upstream {
    const upstream = this.#connect(node, lane.handshake(node));
    lane.upstreams[node] = upstream;
    const { tracking } = lane.kind;
    if (tracking !== undefined) {
      this.#pushHandlers.set(upstream, (push) => tracking.onPush(push));
      this.#closeHandlers.set(upstream, () => tracking.onClosed(node));
    }
    return upstream;
  }

  /** A connection of its own to a node: for a command that blocks, WATCH, MONITOR, subscriptions. */
  openPrivate(node: number, handshake: Handshake, handlers: PrivateHandlers = {}): Upstream {
    const upstream = this.#connect(node, handshake);
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

  /** Gives a private connection back that has no state left on it. */
  givePrivate(lane: Lane, upstream: Upstream): void {
    const free = (lane.free[upstream.node] ??= []);
    const dropped = lane !== this.system && this.#lanes.get(lane.key) !== lane;
    if (upstream.closed || free.length >= FREE_PRIVATE_MAXIMUM || dropped) upstream.destroy();
    else free.push(upstream);
  }

  /** Whether requests are under way to a node that would not go unnoticed if they were lost. */
  isOwedBy(node: number): boolean {
    const shared = new Set([
      ...this.lanes.flatMap((lane) => lane.upstreams),
      ...this.bounded.all(),
    ]);
    for (const upstream of this.#open) {
      if (upstream.node !== node || upstream.pending === 0) continue;
      if (shared.has(upstream) || !upstream.onlyReads) return true;
    }
    return false;
  }

  /** Calls back once the node takes bytes again. */
  onceDrained(upstream: Upstream, callback: () => void): void {
    const waiters = this.#drainWaiters.get(upstream) ?? new Set();
    waiters.add(callback);
    this.#drainWaiters.set(upstream, waiters);
  }

  /** Shared connections to a node and requests under way on them, for the metrics. */
  load(node: number): { connections: number; pending: number; connected: boolean } {
    let connections = 0;
    let pending = 0;
    let connected = false;
    for (const lane of this.lanes) {
      const upstream = lane.upstreams[node];
      if (!upstream) continue;
      connections++;
      pending += upstream.pending;
      connected ||= upstream.ready;
    }
    return { connections, pending, connected };
  }

  close(): void {
    this.#closed = true;
    for (const lane of this.lanes) this.#closeAll(lane);
  }

  // ---- what the connections tell -------------------------------------------------------------------------------------

  onErrorReply(
    upstream: Upstream,
    request: Request,
    buf: Buffer,
    start: number,
    end: number,
  ): void {
    this.#parts.takeBack.onErrorReply(upstream, request, buf, start, end);
  }

  onExecuted(request: Request): void {
    this.executed?.(request);
  }

  onLost(upstream: Upstream, request: Request, sent: boolean): void {
    this.#parts.takeBack.onLost(upstream, request, sent);
  }

  onPush(upstream: Upstream, reply: Buffer): void {
    this.#pushHandlers.get(upstream)?.(reply);
  }

  onReady(): void {}

  onClosed(upstream: Upstream, error: Error | null): void {
    this.#open.delete(upstream);
    for (const lane of this.lanes) {
      if (lane.upstreams[upstream.node] !== upstream) continue;
      lane.upstreams[upstream.node] = null;
      this.#parts.onSharedClosed(upstream.node);
    }
    this.bounded.onClosed(upstream);
    this.#pushHandlers.delete(upstream);
    const onClosed = this.#closeHandlers.get(upstream);
    this.#closeHandlers.delete(upstream);
    this.onDrain(upstream);
    onClosed?.(error);
    if (error !== null && !this.#closed) {
      this.#logLoss(upstream, error);
      this.#parts.onBroken(upstream.node);
    }
  }

  onDrain(upstream: Upstream): void {
    const waiters = this.#drainWaiters.get(upstream);
    this.#drainWaiters.delete(upstream);
    for (const callback of waiters ?? []) callback();
  }

  #closeAll(lane: Lane): void {
    this.bounded.dropLane(lane);
    for (const upstream of [...lane.upstreams, ...lane.free.flat()]) upstream?.destroy();
  }

  #connect(node: number, handshake: Handshake): Upstream {
    const { map, turn, read } = this.#parts;
    const { host, port } = map.nodes[node] ?? NOWHERE;
    const upstream = new Upstream({ host, port }, node, handshake, this, turn, read);
    this.#open.add(upstream);
    return upstream;
  }

  /** A node that is gone is tried every few milliseconds: one line a second says it as well. */
  #logLoss(upstream: Upstream, error: Error): void {
    const now = performance.now();
    if (now - (this.#lossLoggedMs.get(upstream.node) ?? -Infinity) < LOSS_LOG_MS) return;
    this.#lossLoggedMs.set(upstream.node, now);
    const { log, cacheName } = this.#parts;
    log.warn(
      { cache: cacheName, node: upstream.address, err: error.message },
      'lost a node connection',
    );
  }
}
