/** Gathers the replies of the parts of one request; the merged one takes the request's place in its session. */
import type { PlannedCommand } from './command-book.ts';
import { PLAN_SPLIT } from './command-plan.ts';
import { ecpuOf } from './ecpu-metering.ts';
import {
  LARGE_REQUEST_BYTES,
  REQUEST_DONE,
  REQUEST_RETRYING,
  type Request,
  type RequestParts,
} from './routing/request.ts';
import type { RequestSink } from './routing/request-sink.ts';
import { hideMove } from './routing/retry-queue.ts';
import type { Session } from './session.ts';

export class Gather implements RequestSink, RequestParts {
  readonly #session: Session;
  readonly #planned: PlannedCommand;
  readonly #merge: (replies: readonly Buffer[]) => Buffer;
  readonly #place: Request;
  /** Large parts have connections for themselves. */
  readonly #alone: boolean;
  readonly #replies: Buffer[];
  /** Of the ECPU that the whole costs at least. */
  readonly #partWeight: number;
  /** Parts that wait for another try: they are in no session's list, their place waits for them. */
  readonly #waiting = new Set<Request>();
  #missing: number;
  #sizeBytes = 0;

  constructor(
    session: Session,
    planned: PlannedCommand,
    parts: number,
    requestBytes: number,
    merge: (replies: readonly Buffer[]) => Buffer,
  ) {
    this.#session = session;
    this.#planned = planned;
    this.#merge = merge;
    this.#alone = session.goesAlone(requestBytes);
    this.#place = session.answers.reserve(planned, requestBytes);
    // Each part takes its node's time; what takes 1 whatever it is, takes that as a whole.
    if (planned.metering === 'measured') this.#place.weight = planned.weight * parts;
    this.#partWeight = this.#place.weight / parts;
    this.#replies = Array.from({ length: parts });
    this.#missing = parts;
  }

  get abandoned(): boolean {
    return this.#session.closed;
  }

  /** Sends part number `part`, by its slot or to a node of its own choice (`node` >= 0). `bytes` must not change any more. */
  send(part: number, bytes: Buffer, slot: number, node: number): void {
    const { router } = this.#session.service;
    const request = router.pool.take();
    request.sink = this;
    const caching = this.#session.client.tracking?.prefix ?? null;
    if (caching !== null) {
      bytes = Buffer.concat([caching, bytes]);
      request.precedingReplies = 1;
      request.skipReplies = 1;
    }
    request.buf = bytes;
    request.start = 0;
    request.end = bytes.length;
    request.stable = true;
    request.command = this.#planned.command;
    request.repeatable = this.#planned.repeatable;
    request.staysInSlot = this.#planned.kind === PLAN_SPLIT;
    request.lane = this.#session.lane;
    request.slot = slot;
    request.node = node;
    request.part = part;
    request.alone = this.#alone && bytes.length > LARGE_REQUEST_BYTES;
    request.startedUs = router.turn.nowUs;
    router.route(request);
  }

  onRetrying(part: Request): void {
    if (this.#session.closed) return;
    this.#waiting.add(part);
    this.#place.state = REQUEST_RETRYING;
    this.#place.parts = this;
    this.#session.replies.onRetrying();
  }

  mayTryAgain(_: Request, tick: number): boolean {
    return this.#session.replies.mayTryAgain(this.#place, tick);
  }

  get underWay(): boolean {
    let waiting = 0;
    for (const part of this.#waiting) if (part.state === REQUEST_RETRYING) waiting++;
    return this.#missing > waiting;
  }

  waitsFor(isOvertaken: (part: Request) => boolean): boolean {
    for (const part of this.#waiting)
      if (part.state === REQUEST_RETRYING && isOvertaken(part)) return true;
    return false;
  }

  giveUp(isOvertaken: (part: Request) => boolean): void {
    for (const part of this.#waiting) {
      if (part.state !== REQUEST_RETRYING || !isOvertaken(part)) continue;
      part.state = REQUEST_DONE;
      part.superseded = true;
      hideMove(part);
      this.onReply(part, part.replyBuf!, part.replyStart, part.replyEnd);
    }
  }

  onReply(request: Request, buf: Buffer, start: number, end: number): void {
    if (!this.#session.closed && this.#session.replies.comesTooEarly(request, this.#place)) {
      this.#session.service.router.again(request, buf, start, end);
      return;
    }
    const { keptBytes } = request;
    if (this.#planned.kind === PLAN_SPLIT) this.#countSlot(request, end - start);
    this.#replies[request.part] = Buffer.from(buf.subarray(start, end));
    this.#waiting.delete(request);
    this.#missing--;
    if (!this.#session.closed) this.#session.replies.onPartAnswered(request, this.#place);
    if (!request.superseded) this.#session.service.router.pool.give(request);
    if (this.#session.closed) return;
    this.#hold(end - start - keptBytes);
    if (this.#missing > 0) return;
    this.#session.replies.hold(-this.#sizeBytes);
    this.#session.answers.complete(this.#place, this.#merge(this.#replies));
  }

  onPiece(): boolean {
    return false;
  }

  onKept(_: Request, sizeBytes: number): void {
    this.#hold(sizeBytes);
  }

  onLastPiece(): void {}
  onBroken(): void {}

  #countSlot({ slot, start, end }: Request, replyBytes: number): void {
    const ecpu = ecpuOf(this.#partWeight, end - start + replyBytes);
    this.#session.service.router.heat.countSlot(slot, ecpu, end - start, replyBytes);
  }

  #hold(sizeBytes: number): void {
    this.#sizeBytes += sizeBytes;
    this.#session.replies.hold(sizeBytes);
  }
}
