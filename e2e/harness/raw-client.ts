/**
 * A client for tests that shows everything: raw bytes out, the bytes of each reply in. Unlike a client library it hides no
 * order, no type and no error, and sends nothing of its own accord.
 *
 * Replies and RESP3 pushes are taken in the order in which they came (`next`, and what is made of it: `raw`, `call`, ...), or
 * each for itself (`reply`, `push`).
 */
import { connect as connectPlain, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect as connectTls } from 'node:tls';
import {
  REPLY_INCOMPLETE,
  REPLY_MALFORMED,
  ReplyScanner,
} from '../../src/protocol/reply-scanner.ts';
import { encodeRequest } from '../../src/protocol/request-encoder.ts';
import { decodeReply, textOf, type RespValue } from '../../src/protocol/resp-value.ts';

export type Argument = string | number | Uint8Array;

export interface RawClientOptions {
  readonly host?: string;
  /** PEM of the authority to trust; TLS when it is there. */
  readonly ca?: Buffer;
  /** How long whatever is waited for may take. */
  readonly timeoutMs?: number;
}

type Kind = 'any' | 'reply' | 'push';

interface Waiter {
  readonly kind: Kind;
  readonly timer: NodeJS.Timeout;
  resolve(received: Buffer): void;
  reject(error: Error): void;
}

const TIMEOUT_MS = 60_000;
const PUSH = 62;

export class RawClient {
  closed = false;
  readonly #socket: Socket;
  readonly #timeoutMs: number;
  readonly #scanner = new ReplyScanner();
  /** What nobody has asked for yet. */
  readonly #received: Buffer[] = [];
  #waiters: Waiter[] = [];
  #parts: Buffer[] = [];
  readonly #end = Promise.withResolvers<void>();

  private constructor(socket: Socket, timeoutMs: number) {
    this.#socket = socket;
    this.#timeoutMs = timeoutMs;
    socket.on('data', (chunk: Buffer) => this.#onData(chunk));
    socket.on('error', () => socket.destroy());
    socket.on('close', () => {
      this.closed = true;
      for (const { reject, timer } of this.#waiters.splice(0)) {
        clearTimeout(timer);
        reject(new Error('connection closed'));
      }
      this.#end.resolve();
    });
  }

  static connect(port: number, options: RawClientOptions = {}): Promise<RawClient> {
    const { host = '127.0.0.1', ca, timeoutMs = TIMEOUT_MS } = options;
    return new Promise((resolve, reject) => {
      const socket =
        ca === undefined
          ? connectPlain({ port, host, noDelay: true })
          : connectTls({ port, host, ca, servername: 'localhost' });
      socket.once('error', reject);
      socket.once(ca === undefined ? 'connect' : 'secureConnect', () => {
        socket.off('error', reject);
        resolve(new RawClient(socket, timeoutMs));
      });
    });
  }

  /** Connects to a server that is only just starting. */
  static async whenUp(port: number, credentials?: readonly [string, string]): Promise<RawClient> {
    const deadline = performance.now() + TIMEOUT_MS;
    for (;;) {
      try {
        const client = await RawClient.connect(port);
        if (credentials !== undefined) await client.expectOk('AUTH', ...credentials);
        const pong = textOf(await client.call('PING'));
        if (pong === 'PONG') return client;
        client.close();
      } catch (error) {
        if (performance.now() > deadline) throw error;
      }
      await sleep(20);
    }
  }

  /** One command; its reply decoded, an error reply as a RespError. */
  async call(...args: Argument[]): Promise<RespValue> {
    return decodeReply(await this.raw(...args));
  }

  /** One command; the bytes of its reply. */
  raw(...args: Argument[]): Promise<Buffer> {
    this.send(...args);
    return this.next();
  }

  /** The reply as text. */
  async text(...args: Argument[]): Promise<string> {
    const reply = await this.call(...args);
    const text = textOf(reply);
    if (text === null) throw new Error(`${args.join(' ')}: no text but ${JSON.stringify(reply)}`);
    return text;
  }

  async expectOk(...args: Argument[]): Promise<void> {
    const reply = await this.raw(...args);
    if (reply.toString() !== '+OK\r\n') throw new Error(`${args.join(' ')}: ${reply.toString()}`);
  }

  /** One command; its reply is for `next` or `reply`. */
  send(...args: Argument[]): void {
    this.write(encodeRequest(args));
  }

  /** Sends bytes as they are. */
  write(bytes: Uint8Array | string): void {
    this.#socket.write(bytes);
  }

  /** The next reply, or push, that comes. @throws when the server has closed the connection, or nothing comes */
  next(): Promise<Buffer> {
    return this.#take('any');
  }

  /** The next reply; pushes stay for `push`. Null when the server has closed the connection. @throws when none comes */
  async reply(): Promise<Buffer | null> {
    try {
      return await this.#take('reply');
    } catch (error) {
      if (this.closed) return null;
      throw error;
    }
  }

  async replies(count: number): Promise<Buffer[]> {
    const list: Buffer[] = [];
    for (let i = 0; i < count; i++) list.push(await this.#take('reply'));
    return list;
  }

  /** The next push; replies stay. @throws as `next` */
  push(): Promise<Buffer> {
    return this.#take('push');
  }

  /** All pushes that have come and were not asked for. */
  takePushes(): Buffer[] {
    const pushes = this.#received.filter((each) => isOf('push', each));
    this.#received.splice(0, Infinity, ...this.#received.filter((each) => isOf('reply', each)));
    return pushes;
  }

  /** Waits until the server closes the connection. */
  async untilClosed(): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_resolve, reject) => {
      timer = setTimeout(() => reject(this.#lateError('the end')), this.#timeoutMs);
    });
    await Promise.race([this.#end.promise, late]).finally(() => clearTimeout(timer));
  }

  /** No more input: the server may still answer. */
  endInput(): void {
    this.#socket.end();
  }

  /** Reads nothing any more. */
  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  close(): void {
    this.#socket.destroy();
  }

  #take(kind: Kind): Promise<Buffer> {
    const at = this.#received.findIndex((each) => isOf(kind, each));
    if (at >= 0) return Promise.resolve(this.#received.splice(at, 1)[0]!);
    if (this.closed) return Promise.reject(new Error('connection closed'));
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#waiters = this.#waiters.filter((each) => each !== waiter);
        reject(this.#lateError(kind === 'push' ? 'a push' : 'a reply'));
      }, this.#timeoutMs);
      // A test that waits for a blocked client no more ends without it.
      timer.unref();
      const waiter: Waiter = { kind, timer, resolve, reject };
      this.#waiters.push(waiter);
    });
  }

  #onData(chunk: Buffer): void {
    let pos = 0;
    while (pos < chunk.length) {
      const end = this.#scanner.scan(chunk, pos, chunk.length);
      if (end === REPLY_MALFORMED) {
        this.#on(Buffer.from(`malformed: ${chunk.toString('latin1', pos, pos + 80)}`));
        this.#socket.destroy();
        return;
      }
      if (end === REPLY_INCOMPLETE) {
        this.#parts.push(chunk.subarray(pos));
        return;
      }
      const received = Buffer.concat([...this.#parts, chunk.subarray(pos, end)]);
      this.#parts = [];
      pos = end;
      this.#on(received);
    }
  }

  #on(received: Buffer): void {
    const at = this.#waiters.findIndex(({ kind }) => isOf(kind, received));
    if (at < 0) {
      this.#received.push(received);
      return;
    }
    const [waiter] = this.#waiters.splice(at, 1);
    clearTimeout(waiter!.timer);
    waiter!.resolve(received);
  }

  #lateError(what: string): Error {
    return new Error(`no sign of ${what} in ${this.#timeoutMs} ms`);
  }
}

function isOf(kind: Kind, received: Buffer): boolean {
  return kind === 'any' || (received[0] === PUSH) === (kind === 'push');
}
