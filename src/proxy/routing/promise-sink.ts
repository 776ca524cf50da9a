/** Hands a reply to a promise: for the questions of the cold paths. */
import type { Request, RequestPool } from './request.ts';
import type { RequestSink } from './request-sink.ts';

export class PromiseSink implements RequestSink {
  readonly #resolve: (reply: Buffer) => void;
  readonly #pool: RequestPool;
  readonly #abandoned: () => boolean;

  /** @param abandoned has whoever wanted to know gone? The proxy itself has not */
  constructor(
    resolve: (reply: Buffer) => void,
    pool: RequestPool,
    abandoned: () => boolean = () => false,
  ) {
    this.#resolve = resolve;
    this.#pool = pool;
    this.#abandoned = abandoned;
  }

  get abandoned(): boolean {
    return this.#abandoned();
  }

  onReply(request: Request, buf: Buffer, start: number, end: number): void {
    this.#pool.give(request);
    this.#resolve(Buffer.from(buf.subarray(start, end)));
  }
  onRetrying(): void {}
  onPiece(): boolean {
    return false;
  }
  onLastPiece(): void {}
  onBroken(): void {}
}
