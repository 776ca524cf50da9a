/**
 * Brings the requests of one cache to the nodes that can answer them. What a request means is the session's business; here
 * it is bytes, a slot, a lane and a deadline.
 *
 *   session ─ route() ─> lane.upstreams[owner of slot] ─> node        (a large request: a connection for itself)
 *                 ^                                         │ error reply or loss
 *                 └──────── TakeBack, until the deadline <──┘
 */
import type { Logger } from 'pino';
import type { TopologyCache } from '../../model/topology.ts';
import { SYSTEM_USER_NAME } from '../../model/user.ts';
import { FLAG_READONLY } from '../../protocol/command-table.ts';
import { encodeRequest } from '../../protocol/request-encoder.ts';
import { decodeReply, RespError, textOf, type RespValue } from '../../protocol/resp-value.ts';
import { CommandBook } from '../command-book.ts';
import type { BlockPool } from '../io/out-queue.ts';
import type { ReadBuffer } from '../io/read-buffer.ts';
import { Slab } from '../io/slab.ts';
import type { Turn } from '../io/turn.ts';
import { CommandWeights } from '../command-weights.ts';
import type { Meter } from '../meter.ts';
import { RequestLimit } from '../request-limit.ts';
import { SlotHeat } from '../slot-heat.ts';
import { NearCache } from '../near-cache/near-cache.ts';
import { Connections } from './connections.ts';
import type { Lane, LaneKind } from './lane.ts';
import { MissingScripts } from './missing-scripts.ts';
import { NodeMap, type RouterNode } from './node-map.ts';
import { NodeQuestions, type AskOptions } from './node-questions.ts';
import type { Request, RequestPool } from './request.ts';
import { ReaderChoice } from './reader-choice.ts';
import { SlotLearner } from './slot-learner.ts';
import { StallWatch } from './stall-watch.ts';
import { TakeBack } from './take-back.ts';
import type { Upstream } from './upstream.ts';

export interface RouterParts {
  readonly turn: Turn;
  readonly pool: RequestPool;
  readonly blocks: BlockPool;
  readonly read: ReadBuffer;
  readonly log: Logger;
  readonly meter: Meter;
  /** Absent: one that counts. */
  readonly heat?: SlotHeat;
  /** Proxies that share the cache's request limit; absent: this is the only one. */
  readonly proxies?: number;
  /** See MissingScripts; absent: there are no other proxies. */
  readonly peerScript?: (sha: string) => Promise<Uint8Array | null>;
}

const HOUSEKEEPING_MS = 1000;

export class CacheRouter {
  cache: TopologyCache;
  readonly map = new NodeMap();
  /** The engine's commands; null until a node has been asked. Learned anew when the cache's engine line changes. */
  book: CommandBook | null = null;
  /** Full version of the engine that answered last. */
  engineVersion: string;
  readonly meter: Meter;
  readonly heat: SlotHeat;
  readonly limit: RequestLimit;
  readonly turn: Turn;
  readonly pool: RequestPool;
  readonly blocks: BlockPool;
  readonly read: ReadBuffer;
  readonly log: Logger;
  /** Replies that wait for an older one of their session. */
  readonly stash = new Slab();
  readonly connections: Connections;
  readonly scripts: MissingScripts;
  /** Null: the cache has none. */
  near: NearCache | null = null;

  readonly #proxies: number;
  readonly #takeBack: TakeBack;
  readonly #questions: NodeQuestions;
  readonly #stallWatch: StallWatch;
  readonly #learner: SlotLearner;
  readonly #readers: ReaderChoice;
  readonly #weights = new CommandWeights(this);
  #readyWaiters: (() => void)[] = [];
  /** The cache's engine line when the book was learned. */
  #bookLine: string | null = null;
  readonly #housekeeping: NodeJS.Timeout;

  constructor(cache: TopologyCache, parts: RouterParts) {
    this.cache = cache;
    this.engineVersion = cache.engineVersion;
    this.turn = parts.turn;
    this.pool = parts.pool;
    this.blocks = parts.blocks;
    this.read = parts.read;
    this.log = parts.log;
    this.meter = parts.meter;
    this.heat = parts.heat ?? new SlotHeat(performance.now());
    this.limit = new RequestLimit(() => this.cache.deadlineMs);
    this.#proxies = parts.proxies ?? 1;
    this.limit.setMaximum(cache.limits.ecpuPerSecondMaximum, this.#proxies);
    const { map, turn, meter, stash, pool, log, read } = this;
    const deadlineMs = () => this.cache.deadlineMs;
    const route = (request: Request) => this.route(request);
    const refresh = () => this.refresh();
    this.scripts = new MissingScripts({
      map,
      question: (node, args) => this.#questions.once(node, args),
      peerScript: parts.peerScript ?? (() => Promise.resolve(null)),
      deadlineMs,
    });
    const { scripts } = this;
    this.#takeBack = new TakeBack({ map, turn, meter, stash, deadlineMs, route, refresh, scripts });
    this.connections = new Connections({
      map,
      turn,
      read,
      log,
      cacheName: cache.name,
      system: systemKind(cache),
      takeBack: this.#takeBack,
      onBroken: (node) => {
        this.#readers.avoid(node);
        refresh();
      },
      onSharedClosed: (node) => scripts.forgetNode(node),
    });
    const { connections } = this;
    const questions = new NodeQuestions({
      pool,
      turn,
      connections,
      route,
      routeWithScripts: (request) => this.routeWithScripts(request),
    });
    this.#questions = questions;
    this.#stallWatch = new StallWatch({ connections, questions, turn, deadlineMs });
    this.#readers = new ReaderChoice(map, (node, args) => questions.once(node, args));
    this.#learner = new SlotLearner({
      map,
      log,
      cache: () => this.cache,
      question: (node, args) => questions.once(node, args),
      onLearned: () => {
        void this.#readers.look();
        return this.#learnCommands();
      },
    });
    this.#adoptSeeds();
    this.#keepNear();
    this.#housekeeping = setInterval(() => this.#keepHouse(), HOUSEKEEPING_MS);
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
    this.limit.setMaximum(cache.limits.ecpuPerSecondMaximum, this.#proxies);
    this.#adoptSeeds();
    this.#keepNear();
    this.refresh();
  }

  /** Sends a request to the node it belongs to. Hot. */
  route(request: Request): void {
    const lane = request.lane!;
    let node = request.node;
    if (node < 0) {
      node = this.map.ownerOf(request.slot);
      if (node < 0) {
        this.#takeBack.keep(request);
        return;
      }
      if (lane.kind.readonly && request.tries === 0 && isRead(request))
        node = this.#readers.choose(lane, node);
    }
    const upstream = request.alone
      ? this.connections.bounded.largeFor(lane, node)
      : (lane.upstreams[node] ?? this.connections.openShared(lane, node));
    upstream.send(request);
  }

  /** As `route`, for a transaction: its scripts (Request.scripts) are seen to first. */
  routeWithScripts(request: Request): void {
    this.#takeBack.sendWithScripts(request);
  }

  /** Sends a request once more that has been answered; `buf[start, end)` is its reply if the deadline comes first. */
  again(request: Request, buf: Buffer, start: number, end: number): void {
    this.#takeBack.again(request, buf, start, end);
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

  /** The lane of the proxy's own questions. */
  get systemLane(): Lane {
    return this.connections.system;
  }

  /** Is the connection for this slot's node so far behind that its client should not be read? */
  congestedUpstream(request: Request): Upstream | null {
    const node = this.map.ownerOf(request.slot);
    const upstream = node < 0 ? null : (request.lane?.upstreams[node] ?? null);
    return upstream !== null && upstream.congested ? upstream : null;
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
    return this.#questions.askBytes(bytes, options);
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

  /** Asks the nodes for the slot map again, soon; many calls make one question. */
  refresh(): void {
    this.#learner.refresh();
  }

  close(): void {
    clearInterval(this.#housekeeping);
    this.#weights.close();
    this.near?.close();
    this.limit.close();
    this.#learner.close();
    this.connections.close();
    this.#takeBack.close();
  }

  /**
   * Do nodes that are taken out owe this proxy nothing, and will be sent nothing? What is read over a connection of its own
   * (XREAD BLOCK) does not count: it is asked anew elsewhere.
   */
  get hasLeft(): boolean {
    const leaving = this.map.nodes.filter((node) => node.leaving);
    if (leaving.length === 0) return true;
    const owners = new Set(this.map.owners);
    return leaving.every(({ index }) => !owners.has(index) && !this.connections.isOwedBy(index));
  }

  #adoptSeeds(): void {
    this.map.setLeaving(this.cache.leaving ?? []);
    for (const seed of this.cache.nodes) {
      const node = this.map.at(seed.host, seed.port);
      node.id = seed.id;
      if (!this.cache.sharding && !this.ready) node.primary = seed.role === 'primary';
    }
  }

  /** The users may be others now: what was kept for them is not given any more. */
  #keepNear(): void {
    const { near, connections } = this;
    if (!this.cache.nearCache) {
      near?.close();
      this.near = null;
      connections.executed = null;
    } else if (near === null) {
      const made = new NearCache(this);
      this.near = made;
      connections.executed = (request) => made.onExecuted(request);
    } else near.dropAll();
  }

  /** The command table, once for each engine line. True when it is known. */
  async #learnCommands(): Promise<boolean> {
    const line = this.cache.engineVersion;
    if (this.book !== null && this.#bookLine === line) return true;
    const node = this.#nodeOfLine(line);
    if (node < 0) return this.book !== null;
    const reply = await this.#questions.once(node, ['COMMAND']);
    if (reply === null || reply instanceof RespError) return false;
    const info = textOf(await this.#questions.once(node, ['INFO', 'server']));
    this.engineVersion = /valkey_version:(\S+)/.exec(info ?? '')?.[1] ?? this.engineVersion;
    this.book = new CommandBook(reply, this.cache.sharding);
    void this.#weights.ask();
    this.#bookLine = line;
    const waiters = this.#readyWaiters;
    this.#readyWaiters = [];
    for (const callback of waiters) callback();
    return true;
  }

  /**
   * A node to learn the commands of a line from; -1: nobody now. A cache goes back to an older line before any node of it
   * runs: the table that is known stays until then.
   */
  #nodeOfLine(line: string): number {
    const ofLine = this.cache.nodes
      .filter((seed) => seed.engineLine === line)
      .map((seed) => this.map.find(seed.host, seed.port))
      .filter((node) => node !== null);
    const best = ofLine.find((node) => node.primary && node.known) ?? ofLine[0];
    if (best !== undefined) return best.index;
    return this.book === null ? this.anyPrimary() : -1;
  }

  #keepHouse(): void {
    this.connections.dropIdle();
    this.#stallWatch.look();
    this.#learner.keepFresh();
    void this.#readers.look();
  }
}

function systemKind(cache: TopologyCache): LaneKind {
  return {
    user: SYSTEM_USER_NAME,
    secret: cache.systemSecret,
    systemSecret: cache.systemSecret,
    resp: 3,
    database: 0,
    readonly: false,
    sharded: false,
    noTouch: false,
  };
}

function isRead(request: Request): boolean {
  return request.command !== null && (request.command.flags & FLAG_READONLY) !== 0;
}
