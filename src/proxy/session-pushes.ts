/** What one client gets without having asked just now: messages, invalidations. It keeps out of the way of replies. */
import type { SessionAnswers } from './session-answers.ts';
import type { SessionOutput } from './session-output.ts';
import type { SessionReplies } from './session-replies.ts';

/** Invalidations that may wait behind replies, requests included. */
const PUSHES_MAXIMUM = 100_000;

export class SessionPushes {
  readonly #answers: SessionAnswers;
  readonly #replies: SessionReplies;
  readonly #output: SessionOutput;
  /** Commands whose replies go before what is pushed meanwhile. */
  #holds = 0;

  constructor(answers: SessionAnswers, replies: SessionReplies, output: SessionOutput) {
    this.#answers = answers;
    this.#replies = replies;
    this.#output = output;
  }

  /** Bytes that are no reply; not into the middle of one. */
  push(bytes: Buffer): void {
    this.#output.push(bytes, this.#replies.midReply || this.#holds > 0);
  }

  /** As `push`, but after the replies of all requests under way: an invalidation must not overtake the read it is about. */
  pushAfterReplies(bytes: Buffer): void {
    if (this.#replies.empty) return this.push(bytes);
    const place = this.#answers.reserve(null);
    place.muted = false;
    place.part = -1;
    this.#answers.complete(place, bytes);
    if (this.#replies.pending > PUSHES_MAXIMUM) this.#output.cutSlowReader();
  }

  /** Until `release`: the reply to the command at hand goes first. Each hold is released once. */
  hold(): void {
    this.#holds++;
  }

  /** What has waited goes now, whatever else holds: who always has a command under way would never hear anything. */
  release(): void {
    this.#holds--;
    if (!this.#replies.midReply) this.#output.writeHeldPushes();
  }
}
