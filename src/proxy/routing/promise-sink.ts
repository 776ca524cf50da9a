/** Hands a reply to a promise: for the questions of the cold paths. */
import { messageOf } from '../../lib/errors.ts';
import { errorReply, IN_DOUBT } from '../proxy-error.ts';
import type { Request, RequestPool } from './request.ts';
import type { RequestSink } from './request-sink.ts';

export interface PromiseSinkOptions {
  /** Whoever wanted to know has gone; the proxy itself has not. */
  readonly abandoned?: () => boolean;
  /** See RequestSink. What is kept when the reply is whole is the asker's to let go. */
  readonly onKept?: (sizeBytes: number) => void;
}

export class PromiseSink implements RequestSink {
  readonly takesParts = true;
  readonly #resolve: (reply: Buffer) => void;
  readonly #pool: RequestPool;
  readonly #options: PromiseSinkOptions;

  constructor(
    resolve: (reply: Buffer) => void,
    pool: RequestPool,
    options: PromiseSinkOptions = {},
  ) {
    this.#resolve = resolve;
    this.#pool = pool;
    this.#options = options;
  }

  get abandoned(): boolean {
    return this.#options.abandoned?.() ?? false;
  }

  onReply(request: Request, buf: Buffer, start: number, end: number): void {
    const { replyParts } = request;
    this.#pool.give(request);
    this.#resolve(
      replyParts === null ? Buffer.from(buf.subarray(start, end)) : putTogether(replyParts),
    );
  }
  onRetrying(): void {}
  /** Nobody waits for it: the rest need not be kept. */
  onPiece(): boolean {
    return this.abandoned;
  }
  onKept(_: Request, sizeBytes: number): void {
    this.#options.onKept?.(sizeBytes);
  }
  onLastPiece(request: Request): void {
    this.onBroken(request);
  }
  onBroken(request: Request): void {
    this.#pool.give(request);
    this.#resolve(IN_DOUBT);
  }
}

/** There may be no room for it; the connection on which it came is others', too. */
function putTogether(parts: readonly Buffer[]): Buffer {
  try {
    return Buffer.concat(parts);
  } catch (error) {
    return errorReply(`ERR ${messageOf(error)}`);
  }
}
