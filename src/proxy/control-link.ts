/**
 * The proxy's end of the link to control (`model/plane-link.ts`). Lost and found again without end; the proxy serves on
 * without it (DESIGN, static stability).
 */
import { connect, type Socket } from 'node:net';
import type { Logger } from 'pino';
import type { ControlToProxy, ProxyToControl } from '../model/plane-link.ts';

const RECONNECT_MS = 200;
/** A topology of very many caches is some megabytes; anything above is not one. */
const LINE_MAXIMUM_BYTES = 64 * 1024 * 1024;
/** Reports wait for control at most to this size, then they are dropped: the next one says the same, or it is sent again. */
const BACKLOG_MAXIMUM_BYTES = 4 * 1024 * 1024;

export class ControlLink {
  readonly #path: string;
  readonly #hello: ProxyToControl;
  readonly #onMessage: (message: ControlToProxy) => void;
  readonly #log: Logger;
  #socket: Socket | null = null;
  #timer: NodeJS.Timeout | null = null;
  #closed = false;
  #number = 0;

  constructor(
    path: string,
    hello: ProxyToControl,
    onMessage: (message: ControlToProxy) => void,
    log: Logger,
  ) {
    this.#path = path;
    this.#hello = hello;
    this.#onMessage = onMessage;
    this.#log = log;
    this.#connect();
  }

  /** Which connection to control this is: 1, 2, 3 ... */
  get number(): number {
    return this.#number;
  }

  /** False: there is no link, or control does not keep up; the message is dropped. */
  send(message: ProxyToControl): boolean {
    const socket = this.#socket;
    if (socket === null || socket.connecting || socket.writableLength > BACKLOG_MAXIMUM_BYTES)
      return false;
    socket.write(`${JSON.stringify(message)}\n`);
    return true;
  }

  close(): void {
    this.#closed = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#socket?.destroy();
  }

  #connect(): void {
    const socket = connect({ path: this.#path });
    this.#socket = socket;
    let parts: string[] = [];
    let size = 0;
    socket.setEncoding('utf8');
    socket.on('connect', () => {
      this.#number++;
      socket.write(`${JSON.stringify(this.#hello)}\n`);
    });
    socket.on('data', (text: string) => {
      const lines = text.split('\n');
      for (const [i, line] of lines.entries()) {
        parts.push(line);
        size += line.length;
        if (size > LINE_MAXIMUM_BYTES) socket.destroy(new Error('a line without an end'));
        if (i === lines.length - 1) break;
        const whole = parts.join('');
        parts = [];
        size = 0;
        this.#take(whole);
      }
    });
    socket.on('error', (error) => this.#log.debug({ err: error.message }, 'control link'));
    socket.on('close', () => {
      if (this.#socket === socket) this.#socket = null;
      if (!this.#closed) this.#timer = setTimeout(() => this.#connect(), RECONNECT_MS);
    });
  }

  #take(line: string): void {
    if (line === '') return;
    try {
      this.#onMessage(JSON.parse(line) as ControlToProxy);
    } catch (error) {
      this.#log.error({ err: error }, 'could not take a message of control');
    }
  }
}
