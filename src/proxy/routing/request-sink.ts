import type { Request } from './request.ts';

/**
 * Who waits for a reply: a session, a split request that gathers its parts, or the proxy itself. Errors of the wire are
 * replies like others (`-...`), never exceptions.
 */
export interface RequestSink {
  /** Nobody waits any more: a request that was not sent need not be. */
  readonly abandoned: boolean;
  /** A reply that came in pieces may stay so (`request.replyParts`): a large one is not put together at the cost of all. */
  readonly takesParts?: boolean;
  /** The request begins to wait for another try. */
  onRetrying(request: Request): void;
  /**
   * May it be tried again now? Not while another request of its session is with a node, nor before an earlier one: which of
   * them came first there would be anybody's guess.
   *
   * @param tick the same number for all that is asked in one go, in which what was allowed before is on its way
   */
  mayTryAgain?(request: Request, tick: number): boolean;
  /** The whole reply is `buf[start, end)`, or the concatenation of `request.replyParts` when those are there (`takesParts`). */
  onReply(request: Request, buf: Buffer, start: number, end: number): void;
  /**
   * A piece of a reply that goes on. True: the sink has taken it and wants the rest the same way. False: keep it until
   * the reply is whole.
   */
  onPiece(request: Request, buf: Buffer, start: number, end: number): boolean;
  /** So many bytes more of the reply are kept until it is whole; a negative number: they are lost with their connection. */
  onKept?(request: Request, sizeBytes: number): void;
  /** The last piece of a reply that onPiece took. */
  onLastPiece(request: Request, buf: Buffer, start: number, end: number): void;
  /** The rest of a reply that onPiece took will never come. */
  onBroken(request: Request): void;
}

/** For the requests of a client that has gone: replies are thrown away. */
export class DiscardSink implements RequestSink {
  readonly abandoned = true;
  readonly takesParts = true;
  readonly #give: (request: Request) => void;

  constructor(give: (request: Request) => void) {
    this.#give = give;
  }

  onRetrying(): void {}
  onReply(request: Request): void {
    if (!request.superseded) this.#give(request);
  }
  onPiece(): boolean {
    return true;
  }
  onLastPiece(request: Request): void {
    this.#give(request);
  }
  onBroken(request: Request): void {
    this.#give(request);
  }
}
