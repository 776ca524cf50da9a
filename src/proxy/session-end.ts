/**
 * How a session ends. The client sends no more: what it asked is still answered, then our side is closed. Or it has heard
 * its last reply (QUIT, a protocol error). Or the connection is gone.
 */
import type { Session } from './session.ts';
import { STALL_CLOSING } from './stalls.ts';

export class SessionEnd {
  /** Our side of the connection is closed: it gets nothing any more. */
  left = false;
  readonly #session: Session;
  #afterReplies = false;
  /** The client sends no more. */
  #ended = false;
  #onGone: (() => void) | null = null;

  constructor(session: Session) {
    this.#session = session;
    const { socket } = session;
    socket.on('error', () => socket.destroy());
    socket.on('end', () => this.#onEnd());
    socket.on('close', () => this.#onClose());
  }

  /** Called when the connection closes: a blocked command's connection goes with it. */
  set onGone(callback: (() => void) | null) {
    this.#onGone = callback;
    if (callback === null) return;
    if (this.#session.closed) callback();
    // Nothing is read from it any more, so nothing would ever tell that it has gone.
    else if (this.#ended) this.#session.socket.destroy();
  }

  /** Lets the replies under way out, then closes. */
  closeAfterReplies(): void {
    this.#afterReplies = true;
    this.#session.stall(STALL_CLOSING);
    this.#finish();
  }

  /** All that was gathered has been given to the socket. */
  onFlushed(): void {
    const { replies, input } = this.#session;
    if (!replies.last || !replies.empty) return;
    if (this.#afterReplies || input.read) this.#leave();
  }

  /** The session has gone on: there may be nothing more to come. */
  onResumed(): void {
    if (this.#ended) this.#session.output.flushSoon();
  }

  /** All is said. For the other clients this one is gone now, however long it keeps its side open. */
  #leave(): void {
    this.#session.output.end();
    if (this.left) return;
    this.left = true;
    this.#session.service.commands.onClosed(this.#session);
  }

  /** Has the connection closed on our side once all is answered and written. */
  #finish(): void {
    this.#session.replies.last = true;
    this.#session.output.flushSoon();
  }

  #onEnd(): void {
    this.#ended = true;
    // A blocked command would take an element that nobody receives: the engine ends it as well.
    if (this.#onGone !== null) this.#session.socket.destroy();
    else this.#finish();
  }

  #onClose(): void {
    if (this.#session.closed) return;
    this.left = true;
    this.#session.onClosed();
    this.#onGone?.();
    this.#session.service.forget(this.#session);
  }
}
