/**
 * A client that shows everything: raw bytes out, the bytes of each reply in. Unlike a client library it hides no order, no
 * type and no error, which is what a differential test is about.
 */
import { connect as connectPlain, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import {
  ReplyScanner,
  REPLY_INCOMPLETE,
  REPLY_MALFORMED,
} from '../../src/protocol/reply-scanner.ts';
import { encodeRequest } from '../../src/protocol/request-encoder.ts';
import { decodeReply, type RespValue } from '../../src/protocol/resp-value.ts';

export type Word = string | number | Uint8Array;

export interface WireOptions {
  readonly port: number;
  readonly host?: string;
  /** PEM of the authority to trust; TLS when it is there. */
  readonly ca?: Buffer;
  readonly timeoutMs?: number;
}

const TIMEOUT_MS = 15_000;
const PUSH = 62;

export class Wire {
  /** RESP3 pushes, apart from the replies. */
  readonly pushes: Buffer[] = [];
  closed = false;
  readonly #socket: Socket;
  readonly #timeoutMs: number;
  readonly #scanner = new ReplyScanner();
  readonly #replies: Buffer[] = [];
  #parts: Buffer[] = [];
  #waiter: (() => void) | null = null;

  private constructor(socket: Socket, timeoutMs: number) {
    this.#socket = socket;
    this.#timeoutMs = timeoutMs;
    socket.on('data', (chunk: Buffer) => this.#onData(chunk));
    socket.on('error', () => socket.destroy());
    socket.on('close', () => {
      this.closed = true;
      this.#wake();
    });
  }

  static open(options: WireOptions): Promise<Wire> {
    const { port, host = '127.0.0.1', ca, timeoutMs = TIMEOUT_MS } = options;
    return new Promise((resolve, reject) => {
      const socket =
        ca === undefined
          ? connectPlain({ port, host, noDelay: true })
          : connectTls({ port, host, ca, servername: 'localhost' });
      socket.once('error', reject);
      socket.once(ca === undefined ? 'connect' : 'secureConnect', () => {
        socket.off('error', reject);
        resolve(new Wire(socket, timeoutMs));
      });
    });
  }

  /** Sends bytes as they are. */
  write(bytes: Uint8Array): void {
    this.#socket.write(bytes);
  }

  send(...words: Word[]): void {
    this.write(encodeRequest(words));
  }

  /** No more input: the server may still answer. */
  endInput(): void {
    this.#socket.end();
  }

  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  close(): void {
    this.#socket.destroy();
  }

  /** The next reply's bytes; null when the server has closed the connection. */
  async reply(): Promise<Buffer | null> {
    await this.#until(() => this.#replies.length > 0 || this.closed, 'a reply');
    return this.#replies.shift() ?? null;
  }

  async replies(count: number): Promise<Buffer[]> {
    const list: Buffer[] = [];
    for (let i = 0; i < count; i++) {
      const reply = await this.reply();
      if (reply === null) throw new Error(`closed after ${i} of ${count} replies`);
      list.push(reply);
    }
    return list;
  }

  async push(): Promise<Buffer> {
    await this.#until(() => this.pushes.length > 0 || this.closed, 'a push');
    const push = this.pushes.shift();
    if (push === undefined) throw new Error('closed while waiting for a push');
    return push;
  }

  /** Waits until the server closes the connection; what it says before is thrown away. */
  async untilClosed(): Promise<void> {
    await this.#until(() => this.closed, 'the end');
  }

  /** One command, one reply, as bytes. */
  async ask(...words: Word[]): Promise<Buffer> {
    this.send(...words);
    return (await this.replies(1))[0]!;
  }

  /** One command, one reply, decoded. */
  async value(...words: Word[]): Promise<RespValue> {
    return decodeReply(await this.ask(...words));
  }

  #onData(chunk: Buffer): void {
    let pos = 0;
    while (pos < chunk.length) {
      const end = this.#scanner.scan(chunk, pos, chunk.length);
      if (end === REPLY_MALFORMED) {
        this.#replies.push(Buffer.from(`malformed: ${chunk.toString('latin1', pos, pos + 80)}`));
        this.#socket.destroy();
        break;
      }
      if (end === REPLY_INCOMPLETE) {
        this.#parts.push(chunk.subarray(pos));
        break;
      }
      const reply = Buffer.concat([...this.#parts, chunk.subarray(pos, end)]);
      this.#parts = [];
      (reply[0] === PUSH ? this.pushes : this.#replies).push(reply);
      pos = end;
    }
    this.#wake();
  }

  #wake(): void {
    this.#waiter?.();
    this.#waiter = null;
  }

  async #until(done: () => boolean, what: string): Promise<void> {
    while (!done()) {
      let timer: NodeJS.Timeout | undefined;
      await new Promise<void>((resolve, reject) => {
        this.#waiter = resolve;
        timer = setTimeout(
          () => reject(new Error(`no sign of ${what} in ${this.#timeoutMs} ms`)),
          this.#timeoutMs,
        );
      });
      clearTimeout(timer);
    }
  }
}
