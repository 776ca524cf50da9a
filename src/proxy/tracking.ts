/**
 * Client-side caching of one session (CLIENT TRACKING; the engine's tracking.c). The nodes remember what a connection has
 * read, so a session that tracks has a lane of its own: each of its connections turns tracking on before anything else, and
 * what they push goes to the session, after the replies that are under way. A connection that is lost takes its memory with
 * it: then the client is told to forget everything.
 *
 *   RESP3          session <─ push ─ lane connection
 *   REDIRECT       other session of this proxy <─ push or message ─ lane connection
 *   RESP2 + REDIRECT   ... <─ receiver, a RESP3 connection beside each lane connection, which redirects to it
 */
import { encodeRequest } from '../protocol/request-encoder.ts';
import { encodeReply, RespMap, RespPush, RespSet, type RespValue } from '../protocol/resp-value.ts';
import { laneHandshake, type Lane, type LaneKind, type LaneTracking } from './routing/lane.ts';
import type { Session } from './session.ts';
import type { Handshake, Upstream } from './routing/upstream.ts';

export interface TrackingOptions {
  /** Id of the client that gets the invalidations; 0: the one that tracks. */
  readonly redirect: number;
  readonly bcast: boolean;
  readonly optIn: boolean;
  readonly optOut: boolean;
  readonly noLoop: boolean;
  /** Latin1; of BCAST. */
  readonly prefixes: readonly string[];
}

const HELLO = encodeRequest(['HELLO']);
/** How often a session in BCAST mode looks for primaries that it does not hear; others look for slots that have moved. */
const WATCH_MS = 500;
const RECONNECT_MS = 10;
const INVALIDATE_HEAD = Buffer.from('>2\r\n$10\r\ninvalidate\r\n');
/** What a RESP2 client gets that has subscribed to anything (tracking.c, sendTrackingMessage). */
const MESSAGE_HEAD = Buffer.from('*3\r\n$7\r\nmessage\r\n$20\r\n__redis__:invalidate\r\n');
const NULL_RESP2 = Buffer.from('$-1\r\n');
const NULL_RESP3 = Buffer.from('_\r\n');

export class Tracking implements LaneTracking {
  readonly key: string;
  readonly options: TrackingOptions;
  /** Of the session's CLIENT TRACKING commands, counted. */
  readonly generation: number;
  /** CLIENT CACHING was said: it holds for the next command. */
  caching = false;
  /** The client to redirect to has gone. */
  redirectBroken = false;

  readonly #session: Session;
  readonly #lanes = new Set<Lane>();
  /** RESP3 connections to which a RESP2 session's connections redirect. */
  readonly #receivers = new Map<Upstream, number>();
  readonly #timer: NodeJS.Timeout;
  #epoch: number;
  /** The session's count of commands when its client was last told to forget everything. */
  #forgotAt = -1;
  #closed = false;

  constructor(session: Session, options: TrackingOptions, generation: number) {
    this.#session = session;
    this.options = options;
    this.generation = generation;
    this.key = `${session.id}.${generation}`;
    this.#epoch = session.service.router.epoch;
    this.#timer = setInterval(() => this.#watch(), WATCH_MS).unref();
  }

  /** What a session's lane must know; undefined where the engine would send nothing: RESP2 that is not redirected. */
  forLane(resp: 2 | 3): LaneTracking | undefined {
    return resp === 3 || this.options.redirect !== 0 ? this : undefined;
  }

  /** The session is on this lane from now on. Earlier ones stay: they remember what was read over them. */
  adopt(lane: Lane): void {
    this.#lanes.add(lane);
  }

  close(): void {
    this.#closed = true;
    clearInterval(this.#timer);
    for (const lane of this.#lanes) this.#session.service.router.connections.dropLane(lane);
    for (const receiver of this.#receivers.keys()) receiver.destroy();
  }

  /** In BCAST mode every primary must know of the session before anything is read. */
  async reachAll(): Promise<void> {
    const { lane } = this.#session;
    if (!this.options.bcast || lane === null || !this.#lanes.has(lane)) return;
    const { router } = this.#session.service;
    const missing = router.primaries().filter((node) => !lane.upstreams[node]?.ready);
    await Promise.all(missing.map((node) => router.askBytes(HELLO, { lane, node })));
  }

  /** CLIENT CACHING as the node must hear it right before the next command; null when it was not said. */
  get prefix(): Buffer | null {
    if (!this.caching) return null;
    return encodeRequest(['CLIENT', 'CACHING', this.options.optIn ? 'YES' : 'NO']);
  }

  /** CLIENT TRACKINGINFO. */
  info(): RespValue {
    const { bcast, optIn, optOut, noLoop, redirect, prefixes } = this.options;
    const flags = [
      'on',
      ...(bcast ? ['bcast'] : []),
      ...(optIn ? ['optin', ...(this.caching ? ['caching-yes'] : [])] : []),
      ...(optOut ? ['optout', ...(this.caching ? ['caching-no'] : [])] : []),
      ...(noLoop ? ['noloop'] : []),
      ...(this.redirectBroken ? ['broken_redirect'] : []),
    ];
    const sorted = [...prefixes].sort().map((prefix) => Buffer.from(prefix, 'latin1'));
    return RespMap.of({ flags: new RespSet(flags), redirect, prefixes: sorted });
  }

  // ---- what its connections say --------------------------------------------------------------------------------------

  handshake(kind: LaneKind, node: number): Handshake {
    const { tracking: _, ...plain } = kind;
    const begin = laneHandshake(plain);
    const replies = begin.replies + 1;
    if (kind.resp === 3)
      return { bytes: Buffer.concat([begin.bytes, trackingOn(this.options, 0)]), replies };
    const bytes = this.#receiver(plain, node).then((id) =>
      Buffer.concat([begin.bytes, trackingOn(this.options, id)]),
    );
    // When nobody waits for it any more, its failure is nobody's business.
    bytes.catch(() => {});
    return { bytes, replies };
  }

  onPush(push: Buffer): void {
    if (this.#closed || !startsWith(push, INVALIDATE_HEAD)) return;
    const payload = push.subarray(INVALIDATE_HEAD.length);
    this.#deliver(payload[0] === STAR ? payload : null);
  }

  onClosed(node: number): void {
    for (const [receiver, at] of this.#receivers) if (at === node) receiver.destroy();
    if (this.#closed) return;
    this.#deliver(null);
    if (this.options.bcast) setTimeout(() => void this.#reachAgain(), RECONNECT_MS).unref();
  }

  /** Opens the connection that gets the invalidations of a RESP2 connection to `node`; resolves to its id there. */
  async #receiver(plain: LaneKind, node: number): Promise<number> {
    const { router } = this.#session.service;
    const receiver = router.connections.openPrivate(node, laneHandshake({ ...plain, resp: 3 }), {
      onPush: (push) => this.onPush(push),
      onClosed: () => {
        this.#receivers.delete(receiver);
        // Without it the connection tracks for nobody: it ends, too, and the client is told to forget.
        for (const lane of this.#lanes)
          lane.upstreams[node]?.destroy(new Error('its invalidations were lost'));
        if (!this.#closed) this.#deliver(null);
      },
    });
    this.#receivers.set(receiver, node);
    await router.askBytes(HELLO, { fixed: receiver });
    if (receiver.closed) throw new Error('no connection for invalidations');
    return receiver.clientId;
  }

  /** Sends invalidated keys (an array, encoded), or null for all, to whom they are for. */
  #deliver(keys: Buffer | null): void {
    const session = this.#session;
    const { redirect } = this.options;
    if (keys === null) {
      // FLUSHALL comes from every shard: once is enough while the client has asked for nothing new.
      if (session.commands === this.#forgotAt && (redirect === 0 || session.replies.pending === 0))
        return;
      this.#forgotAt = session.commands;
    }
    if (redirect === 0) {
      if (session.client.resp === 3)
        session.pushes.pushAfterReplies(Buffer.concat([INVALIDATE_HEAD, keys ?? NULL_RESP3]));
      return;
    }
    const target = session.service.sessions.get(redirect);
    if (target === undefined || target.end.left) {
      this.redirectBroken = true;
      if (session.client.resp === 3) {
        session.pushes.pushAfterReplies(
          encodeReply(new RespPush(['tracking-redir-broken', redirect]), 3),
        );
      }
    } else if (target.client.resp === 3) {
      target.pushes.push(Buffer.concat([INVALIDATE_HEAD, keys ?? NULL_RESP3]));
    } else if ((target.client.subscriptions?.count ?? 0) > 0) {
      target.pushes.push(Buffer.concat([MESSAGE_HEAD, keys ?? NULL_RESP2]));
    }
  }

  #watch(): void {
    const { epoch } = this.#session.service.router;
    if (this.options.bcast) {
      void this.#reachAgain();
    } else if (epoch !== this.#epoch) {
      // Keys that have moved are written elsewhere now, where nobody knows what this client has read.
      this.#deliver(null);
    }
    this.#epoch = epoch;
  }

  async #reachAgain(): Promise<void> {
    if (!this.#closed && !this.#session.closed) await this.reachAll();
  }
}

/** `CLIENT TRACKING ON` with these options; `redirect` is the engine's id, or 0. */
export function trackingOn(options: TrackingOptions, redirect: number): Buffer {
  const { bcast, optIn, optOut, noLoop, prefixes } = options;
  return encodeRequest([
    'CLIENT',
    'TRACKING',
    'ON',
    ...(redirect === 0 ? [] : ['REDIRECT', redirect]),
    ...(bcast ? ['BCAST'] : []),
    ...(optIn ? ['OPTIN'] : []),
    ...(optOut ? ['OPTOUT'] : []),
    ...(noLoop ? ['NOLOOP'] : []),
    ...prefixes.flatMap((prefix) => ['PREFIX', Buffer.from(prefix, 'latin1')]),
  ]);
}

function startsWith(buf: Buffer, head: Buffer): boolean {
  return buf.length >= head.length && buf.compare(head, 0, head.length, 0, head.length) === 0;
}

const STAR = 42;
