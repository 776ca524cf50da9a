/**
 * A request between its arrival and its reply. Requests are pooled: the hot path makes no object. A request is in one
 * session's list (the order of replies), and while a node works on it in one upstream's list (the order of that
 * connection); both lists are intrusive.
 */
import type { Command } from '../../protocol/command-table.ts';
import type { RequestSink } from './request-sink.ts';
import type { Lane } from './lane.ts';
import type { Slab } from '../io/slab.ts';
import type { Upstream } from './upstream.ts';

/** In no upstream's list: not sent yet, or to be sent again. */
export const REQUEST_WAITING = 0;
/** In an upstream's list. */
export const REQUEST_SENT = 1;
/** A node answered that it cannot now; waits for the next try. */
export const REQUEST_RETRYING = 2;
/** Its reply is known. */
export const REQUEST_DONE = 3;

/** Slot of a request that names no key. */
export const NO_SLOT = -1;

/**
 * A request above this has a connection to its node for itself (BoundedConnections), unless it could overtake another one
 * of its session there. More than what one read brings: it stands in memory of its own.
 */
export const LARGE_REQUEST_BYTES = 1024 * 1024;

/** What a request in a session's list stands for, when it is sent in parts. */
export interface RequestParts {
  /** Answers those that wait for another try and that a later request has overtaken. */
  giveUp(isOvertaken: (part: Request) => boolean): void;
  /** Does one of these wait for another try? */
  waitsFor(isOvertaken: (part: Request) => boolean): boolean;
  /** Is one of them with a node, or on its way there? */
  readonly underWay: boolean;
}

export class Request {
  /** Who gets the reply. */
  sink: RequestSink | null = null;
  /** Next of the same session. */
  next: Request | null = null;
  /** Next of the same upstream. */
  nextUpstream: Request | null = null;
  state = REQUEST_WAITING;
  /** Grows from request to request of a session. */
  sequence = 0;
  /** The request's bytes. */
  buf: Buffer | null = null;
  /** They do not change any more; else they stand in a read buffer and hold only while the event lasts. */
  stable = false;
  start = 0;
  end = 0;
  command: Command | null = null;
  slot = NO_SLOT;
  /** Executing it twice is harmless: it may be sent again when its outcome is unknown. */
  repeatable = false;
  /** It touches no keys but those of its slot. */
  staysInSlot = false;
  /** Replies that precede the one that counts (ASKING's, or MULTI's and QUEUEDs'). */
  skipReplies = 0;
  /** Of these, the ones that every try has: MULTI's and the QUEUEDs. */
  precedingReplies = 0;
  /** Of a transaction: the scripts that its node must have before it is sent. */
  scripts: ReadonlySet<string> | null = null;
  /** This try is preceded by ASKING. */
  asking = false;
  /** The shared connections that it goes over. */
  lane: Lane | null = null;
  /** A node of its own choice (a part of a fan-out), or -1 to route by slot. */
  node = -1;
  /** A connection of its own, or null for the lane's. */
  fixed: Upstream | null = null;
  /** Large, and nothing else of its session is under way: not over the lane's shared connection. */
  alone = false;
  /** CLIENT REPLY OFF or SKIP: the client gets no reply. */
  muted = false;
  /** First error among the skipped replies. */
  skippedError: Buffer | null = null;
  /** ECPU that it costs at least; 0: it is not metered. */
  weight = 0;
  /** Bytes of the reply that have left in pieces. */
  streamedBytes = 0;
  /** Which part of a split request this is. */
  part = 0;
  /** Of a place in a session's list: its parts, once one of them waits for another try. */
  parts: RequestParts | null = null;
  startedUs = 0;
  deadlineUs = 0;
  tries = 0;
  /** When it was tried again last. */
  triedUs = 0;
  /** The reply, or the error of the last try; a reply in several chunks is in replyParts. */
  replyBuf: Buffer | null = null;
  replyStart = 0;
  replyEnd = 0;
  replyParts: Buffer[] | null = null;
  /** Bytes in replyParts that the sink has been told of. */
  keptBytes = 0;
  /** Part of the reply has gone to the client already: it cannot be taken back. */
  streaming = false;
  /** Answered by its session while it waited in the retry queue, which still knows it: not to be pooled. */
  superseded = false;
}

export class RequestPool {
  #free: Request | null = null;
  #count = 0;

  take(): Request {
    const request = this.#free;
    if (request === null) return new Request();
    this.#free = request.next;
    this.#count--;
    request.next = null;
    return request;
  }

  give(request: Request): void {
    request.sink = null;
    request.nextUpstream = null;
    request.state = REQUEST_WAITING;
    request.buf = null;
    request.stable = false;
    request.command = null;
    request.slot = NO_SLOT;
    request.repeatable = false;
    request.staysInSlot = false;
    request.skipReplies = 0;
    request.precedingReplies = 0;
    request.scripts = null;
    request.asking = false;
    request.lane = null;
    request.node = -1;
    request.fixed = null;
    request.alone = false;
    request.muted = false;
    request.skippedError = null;
    request.weight = 0;
    request.streamedBytes = 0;
    request.part = 0;
    request.parts = null;
    request.tries = 0;
    request.triedUs = 0;
    request.deadlineUs = 0;
    request.replyBuf = null;
    request.replyParts = null;
    request.keptBytes = 0;
    request.streaming = false;
    if (this.#count >= FREE_MAXIMUM) return;
    this.#count++;
    request.next = this.#free;
    this.#free = request;
  }
}

/** Bounds what a burst leaves behind. */
const FREE_MAXIMUM = 65_536;

/** Makes the request's bytes stable: a copy, if they stand in a read buffer. */
export function keepBytes(request: Request, slab: Slab): void {
  if (request.stable) return;
  slab.copy(request.buf!, request.start, request.end);
  request.buf = slab.buf;
  request.start = slab.start;
  request.end = slab.end;
  request.stable = true;
}
