/**
 * A question to one certain node, without another try: for those who would rather ask somebody else than wait for it.
 * (CacheRouter.ask waits and retries as a client's request does.)
 */
import { encodeRequest } from '../protocol/request-encoder.ts';
import { decodeReply, RespError, type RespValue } from '../protocol/resp-value.ts';
import type { CacheRouter } from './routing/cache-router.ts';
import type { Lane } from './routing/lane.ts';
import type { Request } from './routing/request.ts';
import type { RequestSink } from './routing/request-sink.ts';

/** What a node says that cannot answer now. */
const UNABLE: ReadonlySet<string> = new Set([
  'CLUSTERDOWN',
  'LOADING',
  'MASTERDOWN',
  'TRYAGAIN',
  'INDOUBT',
  'NODELOST',
]);

/** Resolves to the node's reply, or to null when it cannot be had from it now. Only for commands that may run twice. */
export function askOnce(
  router: CacheRouter,
  node: number,
  args: readonly (string | number | Uint8Array)[],
  lane: Lane = router.systemLane,
): Promise<RespValue | null> {
  return new Promise((resolve) => {
    const request = router.pool.take();
    request.sink = new OnceSink((reply) => {
      router.pool.give(request);
      const value = decodeReply(reply);
      resolve(value instanceof RespError && UNABLE.has(value.kind) ? null : value);
    });
    const bytes = encodeRequest(args);
    request.buf = bytes;
    request.start = 0;
    request.end = bytes.length;
    request.lane = lane;
    request.node = node;
    request.repeatable = true;
    router.turn.tick();
    request.startedUs = router.turn.nowUs;
    router.route(request);
  });
}

class OnceSink implements RequestSink {
  /** Nobody waits for a second try. */
  readonly abandoned = true;
  readonly #resolve: (reply: Buffer) => void;

  constructor(resolve: (reply: Buffer) => void) {
    this.#resolve = resolve;
  }

  onReply(_request: Request, buf: Buffer, start: number, end: number): void {
    // The bytes are the connection's, which reads its next ones into them.
    this.#resolve(Buffer.from(buf.subarray(start, end)));
  }
  onRetrying(): void {}
  onPiece(): boolean {
    return false;
  }
  onLastPiece(): void {}
  onBroken(): void {}
}
