/** The proxy's own questions to the nodes, for the cold paths: a request like any other, whose reply resolves a promise. */
import { encodeRequest } from '../../protocol/request-encoder.ts';
import { decodeReply, RespError, textOf, type RespValue } from '../../protocol/resp-value.ts';
import type { Turn } from '../io/turn.ts';
import type { Connections } from './connections.ts';
import type { Lane } from './lane.ts';
import { PromiseSink, type PromiseSinkOptions } from './promise-sink.ts';
import { NO_SLOT, type Request, type RequestPool } from './request.ts';
import type { Upstream } from './upstream.ts';

export interface NodeQuestionsParts {
  readonly pool: RequestPool;
  readonly turn: Turn;
  /** A question that names no lane goes over the system's. */
  readonly connections: Connections;
  /** Sends a request to the node it belongs to. */
  readonly route: (request: Request) => void;
  /** As `route`, for one with scripts. */
  readonly routeWithScripts: (request: Request) => void;
}

export interface AskOptions extends PromiseSinkOptions {
  readonly lane?: Lane;
  readonly node?: number;
  readonly slot?: number;
  /** A private connection to ask on. */
  readonly fixed?: Upstream;
  /** There it may wait as long as it likes, whatever the deadline (a command that blocks). */
  readonly mayWait?: boolean;
  /** See Request. */
  readonly alone?: boolean;
  readonly repeatable?: boolean;
  /** See Request. */
  readonly staysInSlot?: boolean;
  /** Replies that come before the one that counts (MULTI's and the QUEUEDs). */
  readonly preceding?: number;
  /** See Request; not with `fixed`. */
  readonly scripts?: ReadonlySet<string> | null;
}

/** How long a node may take over a question that is put to it once. */
export const QUESTION_MS = 500;

export class NodeQuestions {
  readonly #parts: NodeQuestionsParts;

  constructor(parts: NodeQuestionsParts) {
    this.#parts = parts;
  }

  /** The encoded request in, the reply's bytes out, an error reply included; waits and retries as any request does. */
  askBytes(bytes: Buffer, options: AskOptions = {}): Promise<Buffer> {
    const { connections } = this.#parts;
    const { fixed = null } = options;
    const watched = options.mayWait === true ? null : fixed;
    return new Promise((resolve) => {
      const onReply = (reply: Buffer): void => {
        if (watched !== null) connections.bounded.answered(watched);
        resolve(reply);
      };
      if (watched !== null) connections.bounded.asked(watched);
      const request = this.#take(bytes, onReply, options);
      request.lane = options.lane ?? connections.system;
      request.fixed = fixed;
      request.alone = options.alone ?? false;
      request.node = options.node ?? -1;
      request.slot = options.slot ?? NO_SLOT;
      request.repeatable = options.repeatable ?? true;
      request.staysInSlot = options.staysInSlot ?? false;
      request.precedingReplies = options.preceding ?? 0;
      request.skipReplies = request.precedingReplies;
      request.scripts = options.scripts ?? null;
      if (fixed !== null) fixed.send(request);
      else if (request.scripts !== null) this.#parts.routeWithScripts(request);
      else this.#parts.route(request);
    });
  }

  /** Asks one node, once: null when it does not answer in time. */
  once(node: number, args: readonly (string | Uint8Array)[]): Promise<RespValue> {
    return new Promise((resolve) => {
      const timer = setTimeout(() => resolve(null), QUESTION_MS);
      const request = this.#take(encodeRequest(args), (reply) => {
        clearTimeout(timer);
        const value = decodeReply(reply);
        resolve(
          value instanceof RespError && textOf(value.message)?.startsWith('CLUSTERDOWN')
            ? null
            : value,
        );
      });
      request.lane = this.#parts.connections.system;
      request.node = node;
      // Not repeatable and its deadline passed: a node that is gone answers at once.
      request.deadlineUs = 1;
      this.#parts.route(request);
    });
  }

  #take(
    bytes: Buffer,
    resolve: (reply: Buffer) => void,
    options: PromiseSinkOptions = {},
  ): Request {
    const { pool, turn } = this.#parts;
    const request = pool.take();
    request.sink = new PromiseSink(resolve, pool, options);
    request.buf = bytes;
    request.start = 0;
    request.end = bytes.length;
    request.stable = true;
    turn.tick();
    request.startedUs = turn.nowUs;
    return request;
  }
}
