/**
 * The requests of one session that are under way, oldest first, and the order in which their replies leave: a reply waits in
 * its request until it is the head's.
 *
 *   enqueue() ─> head (oldest) .. tail        reply of the head ─> output, and with it all behind it that wait answered
 *
 * Bounded in number, in bytes, and in the bytes of replies that wait.
 */
import type { Slab } from './io/slab.ts';
import type { Turn } from './io/turn.ts';
import type { Meter } from './meter.ts';
import type { RequestLimit } from './request-limit.ts';
import { overtakenBy } from './retry-order.ts';
import type { CacheRouter } from './routing/cache-router.ts';
import {
  REQUEST_DONE,
  REQUEST_RETRYING,
  type Request,
  type RequestParts,
  type RequestPool,
} from './routing/request.ts';
import type { RequestSink } from './routing/request-sink.ts';
import { hideMove } from './routing/retry-queue.ts';
import { OUTPUT_PAUSE_BYTES, type SessionOutput } from './session-output.ts';
import type { SlotHeat } from './slot-heat.ts';
import { STALL_DRAIN, STALL_FULL, type Stalls } from './stalls.ts';

const PENDING_MAXIMUM = 1024;
const PENDING_MAXIMUM_BYTES = 32 * 1024 * 1024;

export class SessionReplies implements RequestSink {
  readonly abandoned = false;
  readonly takesParts = true;
  /** Nothing comes after the requests under way: the session ends when they are answered. */
  last = false;
  readonly #router: CacheRouter;
  readonly #turn: Turn;
  readonly #meter: Meter;
  readonly #heat: SlotHeat;
  readonly #limit: RequestLimit;
  readonly #pool: RequestPool;
  readonly #stash: Slab;
  readonly #output: SessionOutput;
  readonly #stalls: Stalls;
  #head: Request | null = null;
  #tail: Request | null = null;
  #pending = 0;
  #pendingBytes = 0;
  /** Replies, and parts of replies, that wait for an older one or for their other parts. */
  #heldBytes = 0;
  /** Requests that wait for another try, at most. */
  #retrying = 0;
  #sequence = 0;
  /** As of this tick of the retry queue: what waits, in its order, by sequence; and how far that has been allowed. */
  #due: readonly number[] = [];
  #allowed = 0;
  #tick = -1;

  constructor(router: CacheRouter, output: SessionOutput, stalls: Stalls) {
    this.#router = router;
    this.#turn = router.turn;
    this.#meter = router.meter;
    this.#heat = router.heat;
    this.#limit = router.limit;
    this.#pool = router.pool;
    this.#stash = router.stash;
    this.#output = output;
    this.#stalls = stalls;
  }

  /** Of the requests under way and of the replies that wait. */
  get sizeBytes(): number {
    return this.#pendingBytes + this.#heldBytes;
  }

  /** Requests under way. */
  get pending(): number {
    return this.#pending;
  }

  /** The one that is answered next. */
  get oldest(): Request | null {
    return this.#head;
  }

  /** The place of the next one (Request.sequence). */
  get nextSequence(): number {
    return this.#sequence + 1;
  }

  get empty(): boolean {
    return this.#head === null;
  }

  /** As much under way as a session may have. */
  get full(): boolean {
    return this.#pending >= PENDING_MAXIMUM || this.#pendingBytes > PENDING_MAXIMUM_BYTES;
  }

  /** Does a request wait for another try? */
  get retrying(): boolean {
    return this.#retrying !== 0;
  }

  /** A part of the head's reply has left, and the rest is to come. */
  get midReply(): boolean {
    return this.#head !== null && this.#head.streaming;
  }

  /** Gives the request the next place. `sizeBytes`: its own, or of what is under way in its stead. Hot. */
  enqueue(request: Request, sizeBytes: number): void {
    request.sink = this;
    request.sequence = ++this.#sequence;
    if (this.#tail === null) this.#head = request;
    else this.#tail.next = request;
    this.#tail = request;
    this.#pending++;
    this.#pendingBytes += sizeBytes;
  }

  /** See RequestSink. Hot. */
  onReply(request: Request, buf: Buffer, start: number, end: number): void {
    if (this.#retrying > 0 && this.comesTooEarly(request, request)) {
      this.#router.again(request, buf, start, end);
      return;
    }
    if (buf[start] === MINUS) this.#meter.failed(buf, start, end);
    if (request.part >= 0) this.#meter.answered(request.part, this.#turn.nowUs - request.startedUs);
    if (request.weight > 0)
      this.#charge(request, request.replyParts === null ? end - start : sizeOf(request.replyParts));
    if (this.#retrying > 0) this.#settleRetries(request, request);
    request.state = REQUEST_DONE;
    if (request.keptBytes > 0) this.hold(-request.keptBytes);
    if (request !== this.#head) {
      this.#holdBack(request, buf, start, end);
      return;
    }
    if (!request.muted) {
      if (request.replyParts === null) this.#output.write(buf, start, end);
      else this.#output.writeStable(request.replyParts);
    }
    this.#advance();
  }

  onPiece(request: Request, buf: Buffer, start: number, end: number): boolean {
    if (request !== this.#head || request.muted) return false;
    this.#output.write(buf, start, end);
    request.streamedBytes += end - start;
    return true;
  }

  onKept(_: Request, sizeBytes: number): void {
    this.hold(sizeBytes);
  }

  onLastPiece(request: Request, buf: Buffer, start: number, end: number): void {
    if (request.part >= 0) this.#meter.answered(request.part, this.#turn.nowUs - request.startedUs);
    if (request.weight > 0) this.#charge(request, request.streamedBytes + end - start);
    this.#output.write(buf, start, end);
    this.#output.writeHeldPushes();
    this.#advance();
  }

  onBroken(): void {
    // Half a reply is out: nothing that follows could be understood.
    this.#output.destroy();
  }

  onRetrying(): void {
    this.#retrying++;
  }

  /** In the order of the list, and only when nothing is under way: else a later one could come before an earlier one. */
  mayTryAgain({ sequence }: Request, tick: number): boolean {
    if (tick !== this.#tick) {
      this.#tick = tick;
      this.#due = this.#listDue();
      this.#allowed = 0;
    }
    // Of a place several parts may ask.
    if (this.#allowed > 0 && this.#due[this.#allowed - 1] === sequence) return true;
    if (this.#due[this.#allowed] !== sequence) return false;
    this.#allowed++;
    return true;
  }

  #listDue(): number[] {
    const due: number[] = [];
    for (let request = this.#head; request !== null; request = request.next) {
      if (request.state === REQUEST_DONE) continue;
      if (request.state !== REQUEST_RETRYING || request.parts?.underWay === true) return [];
      due.push(request.sequence);
    }
    return due;
  }

  /**
   * It has run before an earlier one that waits and that touches the same. What only reads can be asked again, after that one:
   * neither gets an error, and its reply is of the right moment. Not one whose reply is there in pieces: it may be large.
   *
   * @param place of it in the list: itself, or what it is a part of
   */
  comesTooEarly(done: Request, place: Request): boolean {
    // With an error from a try of its own it has not run: that is its reply.
    if (!done.repeatable || done.fixed !== null || done.replyBuf !== null) return false;
    if (done.replyParts !== null || this.#retrying === 0) return false;
    const isOvertaken = overtakenBy(done, this.#router);
    for (let request = this.#head; request !== null && request !== place; request = request.next) {
      if (request.state !== REQUEST_RETRYING) continue;
      if (request.parts === null ? isOvertaken(request) : request.parts.waitsFor(isOvertaken))
        return true;
    }
    return false;
  }

  /** A part of what stands in this place has run, or may have. */
  onPartAnswered(part: Request, place: Request): void {
    if (this.#retrying > 0) this.#settleRetries(part, place);
  }

  /** A reply, or a part of one, waits; a negative number: it does not any more. */
  hold(sizeBytes: number): void {
    this.#heldBytes += sizeBytes;
    if (sizeBytes <= 0 || this.#heldBytes <= OUTPUT_PAUSE_BYTES) return;
    this.#stalls.begin(STALL_FULL);
    this.#output.noteMemory();
    if (this.#heldBytes > this.#router.cache.limits.outputMaximumBytes)
      this.#output.cutSlowReader();
  }

  /** Nobody waits any more: what is on its way gets `discard` for its replies. */
  abandon(discard: RequestSink): void {
    for (let request = this.#head; request !== null;) {
      const next: Request | null = request.next;
      request.next = null;
      request.sink = discard;
      request = next;
    }
    this.#head = null;
    this.#tail = null;
  }

  #charge(request: Request, replyBytes: number): void {
    const { slot, weight, start, end } = request;
    const ecpu = this.#heat.count(slot, weight, end - start, replyBytes);
    // It took one token when it was let in.
    if (this.#limit.active) this.#limit.charge(ecpu - 1);
  }

  #holdBack(request: Request, buf: Buffer, start: number, end: number): void {
    if (request.muted) request.replyParts = null;
    if (request.replyParts === null) {
      const stash = this.#stash;
      stash.copy(buf, start, request.muted ? start : end);
      request.replyBuf = stash.buf;
      request.replyStart = stash.start;
      request.replyEnd = stash.end;
    } else {
      request.replyStart = 0;
      request.replyEnd = sizeOf(request.replyParts);
    }
    this.hold(request.replyEnd - request.replyStart);
    const head = this.#head!;
    if (head.state !== REQUEST_DONE) return;
    // Settled just now, for this one: nothing else would bring it on its way.
    this.#writeHeld(head);
    this.#advance();
  }

  /** The head is answered: it leaves, and with it all behind it that are answered already. */
  #advance(): void {
    const pool = this.#pool;
    let head = this.#head!;
    for (;;) {
      const next = head.next;
      this.#pending--;
      this.#pendingBytes -= head.end - head.start;
      if (!head.superseded) pool.give(head);
      this.#head = next;
      if (next === null) {
        this.#tail = null;
        this.#retrying = 0;
        if (this.last) this.#output.flushSoon();
        break;
      }
      if (next.state !== REQUEST_DONE) break;
      head = next;
      this.#writeHeld(head);
    }
    if (this.#stalls.reasons !== 0) this.#easeStalls();
  }

  #easeStalls(): void {
    const stalls = this.#stalls;
    this.#output.noteMemory();
    if (this.#head === null) stalls.end(STALL_DRAIN);
    if (
      this.#pending < PENDING_MAXIMUM / 2 &&
      this.#pendingBytes < PENDING_MAXIMUM_BYTES / 2 &&
      this.#heldBytes <= OUTPUT_PAUSE_BYTES
    )
      stalls.end(STALL_FULL);
  }

  /** Writes the reply of a request that was answered before its turn. */
  #writeHeld(request: Request): void {
    this.hold(request.replyStart - request.replyEnd);
    if (request.muted) return;
    if (request.replyParts === null)
      this.#output.write(request.replyBuf!, request.replyStart, request.replyEnd);
    else this.#output.writeStable(request.replyParts);
  }

  /**
   * An earlier request that waits and that this one has overtaken gets the error that made it wait.
   *
   * @param place of `done` in the list: itself, or what it is a part of
   */
  #settleRetries(done: Request, place: Request): void {
    // One that has an error from a try of its own has not run.
    const ran = done.replyBuf === null;
    const isOvertaken = overtakenBy(done, this.#router);
    const split: RequestParts[] = [];
    let waiting = 0;
    let before = true;
    for (let request = this.#head; request !== null; request = request.next) {
      if (request === place) before = false;
      if (request.state !== REQUEST_RETRYING) continue;
      if (ran && before && request.parts !== null) split.push(request.parts);
      if (ran && before && isOvertaken(request)) {
        request.state = REQUEST_DONE;
        request.superseded = true;
        hideMove(request);
        this.hold(request.replyEnd - request.replyStart - request.keptBytes);
        request.keptBytes = 0;
      } else {
        waiting++;
      }
    }
    this.#retrying = waiting;
    // Last: the place of one that has all its parts then is answered, and the list changes.
    for (const parts of split) parts.giveUp(isOvertaken);
  }
}

function sizeOf(parts: readonly Buffer[]): number {
  return parts.reduce((sum, part) => sum + part.length, 0);
}

const MINUS = 45;
