/** Hands a reply to a promise: for the questions of the cold paths. */
import type { Request, RequestPool } from './request.ts';
import type { RequestSink } from './request-sink.ts';

export class PromiseSink implements RequestSink {
  readonly abandoned = false;
  readonly #resolve: (reply: Buffer) => void;
  readonly #pool: RequestPool;

  constructor(resolve: (reply: Buffer) => void, pool: RequestPool) {
    this.#resolve = resolve;
    this.#pool = pool;
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
