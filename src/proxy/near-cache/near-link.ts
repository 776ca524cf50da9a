/**
 * The tracking connection to one node: RESP3, so that invalidations come on it in one order with replies. What is kept was
 * read over it, hence the node remembers to tell of any change; a PING that is answered confirms that all changes up to the
 * moment when it was sent have been told.
 *
 *   fill ──> ACL DRYRUN, GET, PTTL ──> node ──> replies, invalidations, PONGs in the order in which they happened
 */
import { encodeRequest } from '../../protocol/request-encoder.ts';
import { decodeReply, itemsOf, type RespValue } from '../../protocol/resp-value.ts';
import type { CacheRouter } from '../routing/cache-router.ts';
import { laneHandshake } from '../routing/lane.ts';
import { DiscardSink, type RequestSink } from '../routing/request-sink.ts';
import type { Request } from '../routing/request.ts';
import type { Upstream } from '../routing/upstream.ts';

export interface NearLinkOwner {
  /** These keys have changed; null: any may have. */
  onInvalid(link: NearLink, keys: readonly Uint8Array[] | null): void;
  /** The connection is gone, and with it what the node remembered. */
  onLost(link: NearLink): void;
}

/** `told`: false when nothing is known, because the node does not answer. */
export type FenceCallback = (told: boolean) => void;

const TRACKING_ON = encodeRequest(['CLIENT', 'TRACKING', 'ON']);
const PING = encodeRequest(['PING']);
const INVALIDATE = 'invalidate';
/** Without an answer for this long the connection is taken for dead: another one is made. */
const DEAD_US = 1_000_000;
const PLUS = 43;

export class NearLink implements RequestSink {
  readonly abandoned = false;
  readonly node: number;
  /** All changes before this moment (Turn's clock) have been told. */
  confirmedUs = 0;
  closed = false;
  /** When something was sent over it last. */
  sentUs = 0;
  readonly #router: CacheRouter;
  readonly #owner: NearLinkOwner;
  readonly #upstream: Upstream;
  readonly #unheard: DiscardSink;
  /** Selected by what was sent last. */
  #database = 0;
  #pingSentUs = 0;
  /** Called when the PING under way is answered, and when the one after it is. */
  #waiting: FenceCallback[] = [];
  #next: FenceCallback[] = [];

  constructor(router: CacheRouter, node: number, owner: NearLinkOwner) {
    this.#router = router;
    this.node = node;
    this.#owner = owner;
    this.#unheard = new DiscardSink((request) => router.pool.give(request));
    const begin = laneHandshake(router.systemLane.kind);
    this.#upstream = router.connections.openPrivate(
      node,
      { bytes: Buffer.concat([begin.bytes, TRACKING_ON]), replies: begin.replies + 1 },
      { onPush: (push) => this.#onPush(push), onClosed: () => this.#onClosed() },
    );
  }

  /** It has been asked for longer than `patienceUs` and has not answered: who waits for it waits in vain. */
  isSilent(nowUs: number, patienceUs: number): boolean {
    return this.#pingSentUs !== 0 && nowUs - this.#pingSentUs > patienceUs;
  }

  /** Sends commands, in this order and nothing between them; their replies go to `sink`, `part` telling which is which. */
  send(sink: RequestSink, database: number, commands: readonly Uint8Array[], slot: number): void {
    if (database !== this.#database) {
      this.#database = database;
      this.#sendOne(this.#unheard, encodeRequest(['SELECT', database]), -1, -1);
    }
    for (const [part, bytes] of commands.entries())
      this.#sendOne(sink, bytes as Buffer, part, slot);
  }

  /** Has `confirmedUs` follow, soon. */
  ping(): void {
    if (this.#pingSentUs !== 0 || this.closed) return;
    this.#pingSentUs = this.#router.turn.nowUs;
    this.#sendOne(this, PING, -1, -1);
  }

  /** Calls back when all that had happened before now has been told, or when that takes too long. */
  fence(callback: FenceCallback): void {
    if (this.closed) {
      callback(false);
    } else if (this.#pingSentUs === 0) {
      this.#waiting.push(callback);
      this.ping();
    } else {
      // The one under way may have been there before what is asked about.
      this.#next.push(callback);
    }
  }

  /** Called every few milliseconds: nobody waits for a node that does not answer. */
  look(nowUs: number, patienceUs: number): void {
    if (!this.isSilent(nowUs, patienceUs)) return;
    this.#release();
    if (this.isSilent(nowUs, DEAD_US))
      this.#upstream.destroy(new Error('its tracking connection is silent'));
  }

  close(): void {
    this.#upstream.destroy();
  }

  // ---- the PONG (RequestSink) ----------------------------------------------------------------------------------------

  onReply(request: Request, buf: Buffer, start: number): void {
    this.#router.pool.give(request);
    if (buf[start] !== PLUS) return;
    this.confirm(this.#pingSentUs);
    this.#pingSentUs = 0;
    const waiting = this.#waiting;
    this.#waiting = this.#next;
    this.#next = [];
    if (this.#waiting.length > 0) this.ping();
    for (const callback of waiting) callback(true);
  }

  onRetrying(): void {}
  onPiece(): boolean {
    return false;
  }
  onLastPiece(): void {}
  onBroken(): void {}

  /** What was sent at this moment has been answered. */
  confirm(sentUs: number): void {
    if (sentUs > this.confirmedUs) this.confirmedUs = sentUs;
  }

  #sendOne(sink: RequestSink, bytes: Buffer, part: number, slot: number): void {
    const { pool, turn, systemLane } = this.#router;
    const request = pool.take();
    request.sink = sink;
    request.buf = bytes;
    request.start = 0;
    request.end = bytes.length;
    request.stable = true;
    request.lane = systemLane;
    request.fixed = this.#upstream;
    request.repeatable = true;
    request.part = part;
    request.slot = slot;
    request.startedUs = turn.nowUs;
    this.sentUs = turn.nowUs;
    this.#upstream.send(request);
  }

  #onPush(push: Buffer): void {
    const [kind, keys] = itemsOf(decodeReply(push)) as [Uint8Array, RespValue];
    if (Buffer.from(kind).toString() !== INVALIDATE) return;
    this.#owner.onInvalid(this, keys === null ? null : (itemsOf(keys) as readonly Uint8Array[]));
  }

  #onClosed(): void {
    this.closed = true;
    this.#owner.onLost(this);
    this.#release();
  }

  #release(): void {
    const waiting = [...this.#waiting, ...this.#next];
    this.#waiting = [];
    this.#next = [];
    for (const callback of waiting) callback(false);
  }
}
