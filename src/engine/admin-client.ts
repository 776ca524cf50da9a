/**
 * The control plane's connection to one node: plain request and reply, nothing behind the caller's back. No offline
 * queue, no retry, no reconnection: a broken connection is news, and what to do about it is the caller's to decide.
 */
import { Redis, ReplyError } from 'iovalkey';
import { messageOf } from '../lib/errors.ts';
import { NodeError } from './node-error.ts';

export interface AdminClientOptions {
  readonly host: string;
  readonly port: number;
  readonly username?: string;
  readonly password?: string;
  /** For connecting and logging in. Default 2000. */
  readonly connectTimeoutMs?: number;
  /** For a reply, where a call does not say otherwise. Default 5000. */
  readonly callTimeoutMs?: number;
  readonly signal?: AbortSignal;
}

export interface CallOptions {
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
}

export type CallArgument = string | number | Buffer;

const CONNECT_TIMEOUT_MS = 2000;
const CALL_TIMEOUT_MS = 5000;

/** A node answered with an error. `replyCode` is its first word: ERR, NOAUTH, CLUSTERDOWN, LOADING, ... */
export class NodeReplyError extends NodeError {
  readonly replyCode: string;

  constructor(node: string, reply: string, cause: unknown) {
    super('NODE_REPLIED_ERROR', `Node ${node} replied: ${reply}`, { cause });
    this.replyCode = /^[A-Z]+/.exec(reply)?.[0] ?? 'ERR';
  }
}

export class AdminClient {
  readonly #redis: Redis;
  readonly #node: string;
  readonly #callTimeoutMs: number;
  readonly #closed = Promise.withResolvers<void>();
  #isOpen = true;

  private constructor(redis: Redis, node: string, callTimeoutMs: number) {
    this.#redis = redis;
    this.#node = node;
    this.#callTimeoutMs = callTimeoutMs;
    redis.once('close', () => {
      this.#isOpen = false;
      this.#closed.resolve();
    });
  }

  /**
   * Connects and logs in.
   *
   * @throws NodeError NODE_UNREACHABLE, NODE_TIMEOUT, NODE_ABORTED; NodeReplyError if the login is refused
   */
  static async connect(options: AdminClientOptions): Promise<AdminClient> {
    const { host, port, username, password } = options;
    const node = `${host}:${port}`;
    const timeoutMs = options.connectTimeoutMs ?? CONNECT_TIMEOUT_MS;
    const redis = new Redis({
      host,
      port,
      lazyConnect: true,
      enableOfflineQueue: false,
      enableReadyCheck: false,
      autoResubscribe: false,
      autoResendUnfulfilledCommands: false,
      maxRetriesPerRequest: 0,
      retryStrategy: () => null,
      reconnectOnError: null,
      // Ours goes first: it covers the login too, and says which of the two it was.
      connectTimeout: timeoutMs + 1000,
    });
    // What goes wrong reaches the caller through its own call.
    let socketError: unknown;
    redis.on('error', (error) => (socketError = error));
    const client = new AdminClient(redis, node, options.callTimeoutMs ?? CALL_TIMEOUT_MS);
    try {
      const login = async () => {
        await redis.connect();
        if (password !== undefined) await redis.call('AUTH', username ?? 'default', password);
      };
      await bounded(login(), timeoutMs, options.signal, () => `connecting to node ${node}`);
      return client;
    } catch (error) {
      client.close();
      if (error instanceof NodeError) throw error;
      if (error instanceof ReplyError) throw new NodeReplyError(node, messageOf(error), error);
      const cause = socketError ?? error;
      throw new NodeError(
        'NODE_UNREACHABLE',
        `Node ${node} cannot be reached (${messageOf(cause)}).`,
        { cause },
      );
    }
  }

  get isOpen(): boolean {
    return this.#isOpen;
  }

  /** Sends a command, strings in and strings out. See callWith. */
  call(command: string, ...args: readonly CallArgument[]): Promise<unknown> {
    return this.callWith({}, command, ...args);
  }

  /**
   * Sends a command. After NODE_TIMEOUT, NODE_ABORTED or NODE_CONNECTION_CLOSED its outcome is unknown.
   *
   * @throws NodeReplyError for an error reply; NodeError NODE_TIMEOUT, NODE_ABORTED, NODE_CONNECTION_CLOSED
   */
  async callWith(
    options: CallOptions,
    command: string,
    ...args: readonly CallArgument[]
  ): Promise<unknown> {
    return this.#send(options, command, this.#redis.call.bind(this.#redis, command, ...args));
  }

  /** As callWith, with strings of the reply as they are, for what is not text. */
  async callForBytes(
    options: CallOptions,
    command: string,
    ...args: readonly CallArgument[]
  ): Promise<unknown> {
    return this.#send(options, command, this.#redis.callBuffer.bind(this.#redis, command, ...args));
  }

  async #send(
    options: CallOptions,
    command: string,
    send: () => Promise<unknown>,
  ): Promise<unknown> {
    if (!this.#isOpen) throw this.#closedError(undefined);
    const timeoutMs = options.timeoutMs ?? this.#callTimeoutMs;
    try {
      const what = () => `${command} on node ${this.#node}`;
      return await bounded(send(), timeoutMs, options.signal, what);
    } catch (error) {
      if (error instanceof NodeError) throw error;
      if (error instanceof ReplyError)
        throw new NodeReplyError(this.#node, messageOf(error), error);
      throw this.#closedError(error);
    }
  }

  /** Calls back once, as soon as the connection has closed, whoever closed it; also if it has already. */
  onClose(listener: () => void): void {
    void this.#closed.promise.then(listener);
  }

  /** Closes at once; calls under way end with NODE_CONNECTION_CLOSED. */
  close(): void {
    this.#isOpen = false;
    this.#redis.disconnect();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #closedError(cause: unknown): NodeError {
    return new NodeError(
      'NODE_CONNECTION_CLOSED',
      `The connection to node ${this.#node} has closed.`,
      { cause },
    );
  }
}

async function bounded<T>(
  work: Promise<T>,
  timeoutMs: number,
  signal: AbortSignal | undefined,
  what: () => string,
): Promise<T> {
  // If we stop waiting, the rest of it must not surface as an unhandled rejection.
  work.catch(() => {});
  const { promise: stopped, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => {
    reject(new NodeError('NODE_TIMEOUT', `No answer within ${timeoutMs} ms ${what()}.`));
  }, timeoutMs);
  const abort = () =>
    reject(new NodeError('NODE_ABORTED', `Given up ${what()}.`, { cause: signal?.reason }));
  if (signal?.aborted === true) abort();
  signal?.addEventListener('abort', abort, { once: true });
  try {
    return await Promise.race([work, stopped]);
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener('abort', abort);
  }
}
