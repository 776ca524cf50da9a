/**
 * Requests that no node could take just now. All of them are tried again every few milliseconds, in the order in which they
 * came here, until the cache's deadline; then they get the answer that made them wait. One behind which its session has
 * others under way waits until those are answered: they may make its next try come too late (retry-order.ts).
 */
import type { Meter } from '../meter.ts';
import { CLUSTER_DOWN } from '../proxy-error.ts';
import { keepBytes, REQUEST_RETRYING, REQUEST_WAITING, type Request } from './request.ts';
import type { Slab } from '../io/slab.ts';
import type { Turn } from '../io/turn.ts';

const TICK_MS = 5;
/** A large request is sent whole again with each try: the pause before one grows, up to this. */
const LARGE_PAUSE_MAXIMUM_MS = 250;
/** Requests that may wait, all sessions together: each session is bounded, this bounds their sum. */
const WAITING_MAXIMUM = 200_000;

export interface RetryQueueParts {
  readonly turn: Turn;
  readonly meter: Meter;
  readonly stash: Slab;
  readonly deadlineMs: () => number;
  /** Sends a request once more. */
  readonly again: (request: Request) => void;
  /** Some were sent once more: it is worth to ask who owns what now. */
  readonly onTried: () => void;
  /** Whether what a request waits for has come, or never will. */
  readonly verdict: (request: Request) => RetryVerdict;
}

export type RetryVerdict = 'try' | 'wait' | 'give-up';

export class RetryQueue {
  readonly #parts: RetryQueueParts;
  #waiting: Request[] = [];
  #timer: NodeJS.Timeout | null = null;
  #closed = false;
  #ticks = 0;

  constructor(parts: RetryQueueParts) {
    this.#parts = parts;
  }

  /** Keeps the request for another try; `buf[start, end)` is its answer if the deadline comes first. */
  add(request: Request, buf: Buffer, start: number, end: number): void {
    const { meter, stash } = this.#parts;
    const sink = request.sink!;
    if (request.deadlineUs === 0) {
      // From when it came, not from when it first had to wait: a node that hung has used its time up already.
      request.deadlineUs = request.startedUs + this.#parts.deadlineMs() * 1000;
      meter.held++;
    }
    if (this.#closed || sink.abandoned || this.#waiting.length >= WAITING_MAXIMUM) {
      // As one that has waited: it has not run.
      request.replyBuf = buf;
      request.replyStart = start;
      request.replyEnd = end;
      sink.onReply(request, buf, start, end);
      return;
    }
    request.state = REQUEST_RETRYING;
    sink.onRetrying(request);
    keepBytes(request, stash);
    stash.copy(buf, start, end);
    request.replyBuf = stash.buf;
    request.replyStart = stash.start;
    request.replyEnd = stash.end;
    this.#waiting.push(request);
    this.#timer ??= setTimeout(() => this.#tick(), TICK_MS);
  }

  /** Everything that waits gets an answer; nothing waits any more. */
  close(): void {
    this.#closed = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const request of waiting) if (request.state === REQUEST_RETRYING) this.#giveUp(request);
  }

  #tick(): void {
    const { turn, meter } = this.#parts;
    this.#timer = null;
    turn.tick();
    this.#ticks++;
    const due = this.#waiting;
    this.#waiting = [];
    let tried = false;
    for (const request of due) {
      // Answered meanwhile, to keep the order of its session.
      if (request.state !== REQUEST_RETRYING) continue;
      if (request.sink!.abandoned || turn.nowUs > request.deadlineUs) {
        this.#giveUp(request);
        continue;
      }
      const verdict = this.#parts.verdict(request);
      if (verdict === 'give-up') {
        this.#giveUp(request);
        continue;
      }
      if (verdict === 'wait' || !this.#isDue(request)) {
        this.#waiting.push(request);
        continue;
      }
      request.tries++;
      request.triedUs = turn.nowUs;
      meter.retries++;
      tried = true;
      this.#parts.again(request);
    }
    if (this.#waiting.length > 0) this.#timer ??= setTimeout(() => this.#tick(), TICK_MS);
    if (tried) this.#parts.onTried();
  }

  #isDue(request: Request): boolean {
    const { tries, triedUs } = request;
    if (request.alone && tries > 0) {
      const pauseMs = Math.min(TICK_MS * tries * tries, LARGE_PAUSE_MAXIMUM_MS);
      if (this.#parts.turn.nowUs - triedUs < pauseMs * 1000) return false;
    }
    return request.sink!.mayTryAgain?.(request, this.#ticks) ?? true;
  }

  #giveUp(request: Request): void {
    request.state = REQUEST_WAITING;
    hideMove(request);
    request.sink!.onReply(request, request.replyBuf!, request.replyStart, request.replyEnd);
  }
}

/** An error that tells where a slot has gone to is none of a client's business: the request was not executed. */
export function hideMove(request: Request): void {
  const first = request.replyBuf![request.replyStart + 1];
  if (first !== UPPER_M && first !== UPPER_A) return;
  request.replyBuf = CLUSTER_DOWN;
  request.replyStart = 0;
  request.replyEnd = CLUSTER_DOWN.length;
}

/** First letters of MOVED (and MASTERDOWN) and ASK. */
const UPPER_M = 77;
const UPPER_A = 65;
