/**
 * What becomes of a request that a node did not answer: the router takes it back and sends it again. To another node after
 * MOVED or ASK, at once; after TRYAGAIN, CLUSTERDOWN, LOADING and their like, or when the connection died, a little later,
 * until the request's deadline. Other errors are the client's.
 */
import { SLOT_COUNT } from '../../protocol/hash-slot.ts';
import type { Slab } from '../io/slab.ts';
import type { Turn } from '../io/turn.ts';
import type { Meter } from '../meter.ts';
import { CLUSTER_DOWN, errorReply, IN_DOUBT } from '../proxy-error.ts';
import type { MissingScripts, ScriptSearch } from './missing-scripts.ts';
import type { NodeMap } from './node-map.ts';
import { REQUEST_WAITING, type Request } from './request.ts';
import { RetryQueue, type RetryVerdict } from './retry-queue.ts';
import type { Upstream } from './upstream.ts';

export interface TakeBackParts {
  readonly map: NodeMap;
  readonly turn: Turn;
  readonly meter: Meter;
  readonly stash: Slab;
  readonly deadlineMs: () => number;
  /** Sends a request to the node it belongs to. */
  readonly route: (request: Request) => void;
  /** Has the nodes asked who owns what. */
  readonly refresh: () => void;
  readonly scripts: MissingScripts;
}

/** Immediate tries after MOVED or ASK; then the map is in motion and each further try waits. */
const IMMEDIATE_TRIES = 5;

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
const TEXT_NOSCRIPT = Buffer.from('-NOSCRIPT No matching script');
const TEXT_REDIRECT = Buffer.from('-REDIRECT ');
const TEXT_EXECABORT = Buffer.from('-EXECABORT');
const ABORTED_BECAUSE = Buffer.from('-EXECABORT Transaction discarded because of: ');

/** A connection that was its own state (WATCH, a blocked command) is gone; what it was sent last was not executed. */
export const LOST_CONNECTION = errorReply('NODELOST The connection to the node was lost');

/** What is known of a request that was answered with NOSCRIPT. */
interface Sought {
  /** Null: it has ended, and the request was sent again. */
  readonly search: ScriptSearch | null;
  /** Of the request: the object may be another one's by then. */
  readonly startedUs: number;
  /** The request was not sent before (performance.now()). */
  readonly sentMs: number;
}

export class TakeBack {
  readonly #parts: TakeBackParts;
  readonly #map: NodeMap;
  readonly #retries: RetryQueue;
  /** Requests whose script is looked for; by when they came, for they are used again for others. */
  readonly #sought = new WeakMap<Request, Sought>();

  constructor(parts: TakeBackParts) {
    this.#parts = parts;
    this.#map = parts.map;
    this.#retries = new RetryQueue({
      turn: parts.turn,
      meter: parts.meter,
      stash: parts.stash,
      deadlineMs: parts.deadlineMs,
      again: (request) => this.#again(request),
      onTried: parts.refresh,
      verdict: (request) => this.#verdict(request),
    });
  }

  /** Sends a transaction once its scripts are at its node. */
  sendWithScripts(request: Request): void {
    if (this.#hasScripts(request)) this.#parts.route(request);
    else this.keep(request);
  }

  /** Nobody owns its slot now: it waits until somebody does. */
  keep(request: Request): void {
    this.#retries.add(request, CLUSTER_DOWN, 0, CLUSTER_DOWN.length);
  }

  /** It was answered, but too early (SessionReplies.comesTooEarly): it takes its turn behind what waits. */
  again(request: Request, buf: Buffer, start: number, end: number): void {
    this.#retries.add(request, buf, start, end);
  }

  /** See UpstreamOwner. */
  onErrorReply(
    upstream: Upstream,
    request: Request,
    buf: Buffer,
    start: number,
    end: number,
  ): void {
    const reason = startsWith(buf, start, TEXT_EXECABORT) ? request.skippedError : null;
    if (this.#take(upstream, request, buf, start, end)) return;
    if (reason !== null && request.fixed !== null && isNotHere(reason)) {
      // Nothing was executed, and not for a fault of the client's: whoever holds the connection makes of it what that is.
      this.#parts.refresh();
      request.sink!.onReply(request, reason, 0, reason.length);
      return;
    }
    if (reason === null || isRedirection(reason)) {
      request.sink!.onReply(request, buf, start, end);
      return;
    }
    // The client heard QUEUED: only now can it hear why not (multi.c, execCommandAbort).
    const told = Buffer.concat([ABORTED_BECAUSE, reason.subarray(1)]);
    request.sink!.onReply(request, told, 0, told.length);
  }

  /** See UpstreamOwner. */
  onLost(upstream: Upstream, request: Request, sent: boolean): void {
    if (sent && !request.repeatable) {
      request.sink!.onReply(request, IN_DOUBT, 0, IN_DOUBT.length);
    } else if (request.fixed !== null) {
      // Its connection was its state (WATCH, a subscription): nothing to send it over again.
      request.sink!.onReply(request, LOST_CONNECTION, 0, LOST_CONNECTION.length);
    } else {
      if (upstream.node === request.node && !this.#map.nodes[request.node]?.known)
        request.node = -1;
      this.keep(request);
    }
  }

  /** Everything that waits gets an answer; nothing waits any more. */
  close(): void {
    this.#retries.close();
  }

  /** Handles an error that a client need not see. True: the request is on its way again. */
  #take(upstream: Upstream, request: Request, buf: Buffer, start: number, end: number): boolean {
    if (startsWith(buf, start, TEXT_MOVED))
      return this.#redirect(upstream, request, buf, start, end, false);
    if (startsWith(buf, start, TEXT_ASK))
      return this.#redirect(upstream, request, buf, start, end, true);
    if (startsWith(buf, start, TEXT_EXECABORT) && request.skippedError !== null) {
      // A transaction that a node refused to queue was not executed: the reason decides.
      const reason = request.skippedError;
      request.skippedError = null;
      return this.#take(upstream, request, reason, 0, reason.length);
    }
    if (startsWith(buf, start, TEXT_NOSCRIPT)) {
      const { startedUs } = request;
      const before = this.#sought.get(request);
      const sentMs = before?.startedUs === startedUs ? before.sentMs : startedUs / 1000;
      const search = this.#parts.scripts.search(upstream.node, request, sentMs);
      if (search === null) return false;
      this.#sought.set(request, { search, startedUs, sentMs });
      this.#retries.add(request, buf, start, end);
      return true;
    }
    const demoted =
      (startsWith(buf, start, TEXT_READONLY) && !request.lane?.kind.readonly) ||
      (startsWith(buf, start, TEXT_REDIRECT) && !isScript(request));
    if (!demoted && !RETRIABLE.some((text) => startsWith(buf, start, text))) return false;
    if (request.fixed !== null) return false;
    this.#parts.refresh();
    this.#retries.add(request, buf, start, end);
    return true;
  }

  #verdict(request: Request): RetryVerdict {
    if (request.scripts !== null) return this.#hasScripts(request) ? 'try' : 'wait';
    const sought = this.#sought.get(request);
    if (sought === undefined || sought.search === null) return 'try';
    if (sought.startedUs !== request.startedUs) {
      this.#sought.delete(request);
      return 'try';
    }
    if (sought.search.state === 'searching') return 'wait';
    if (sought.search.state !== 'brought') return 'give-up';
    // The same answer once more, from a node that has it by now, is the script's own.
    this.#sought.set(request, { ...sought, search: null, sentMs: performance.now() });
    return 'try';
  }

  /** Does the node that it goes to next have its scripts? If not, they are on their way there. */
  #hasScripts(request: Request): boolean {
    const node = request.node >= 0 ? request.node : this.#map.ownerOf(request.slot);
    if (request.scripts === null || node < 0) return true;
    return this.#parts.scripts.areAt(node, request.scripts, request.startedUs / 1000);
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
    const node = this.#map.find(
      address.slice(0, colon) || upstream.address.host,
      Number(address.slice(colon + 1)),
    );
    request.tries++;
    this.#parts.meter.retries++;
    this.#parts.refresh();
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
      this.#map.setOwner(slot, node.index);
    }
    if (request.tries > IMMEDIATE_TRIES || !this.#hasScripts(request))
      this.#retries.add(request, buf, start, end);
    else this.#again(request);
    return true;
  }

  #again(request: Request): void {
    request.state = REQUEST_WAITING;
    request.replyBuf = null;
    request.skippedError = null;
    request.skipReplies = request.precedingReplies;
    if (request.node >= 0 && !request.asking && !this.#map.nodes[request.node]!.known)
      request.node = -1;
    this.#parts.route(request);
    // ASK is for one try: the next goes by the map again.
    if (request.asking) {
      request.asking = false;
      request.node = -1;
    }
  }
}

function isScript(request: Request): boolean {
  return request.command?.categories.includes('@scripting') === true;
}

/** The node cannot do it now, or is not the one. */
function isNotHere(error: Buffer): boolean {
  return (
    isRedirection(error) ||
    startsWith(error, 0, TEXT_READONLY) ||
    startsWith(error, 0, TEXT_REDIRECT) ||
    RETRIABLE.some((text) => startsWith(error, 0, text))
  );
}

/** Where else to go: none of a client's business. */
function isRedirection(error: Buffer): boolean {
  return startsWith(error, 0, TEXT_MOVED) || startsWith(error, 0, TEXT_ASK);
}

function startsWith(buf: Buffer, start: number, text: Buffer): boolean {
  if (buf.length - start < text.length) return false;
  for (let i = 0; i < text.length; i++) if (buf[start + i] !== text[i]) return false;
  return true;
}
