/**
 * A session's bytes on their way in: finds the requests in them, keeps half a request until the rest has come, and keeps
 * what comes while the session may not go on, bounded by a paused socket.
 */
import type { Socket } from 'node:net';
import type { RequestArguments } from '../protocol/command-table.ts';
import { inlineToResp } from '../protocol/inline-request.ts';
import {
  RequestScanner,
  SCAN_EMPTY,
  SCAN_ERROR,
  SCAN_INCOMPLETE,
  SCAN_INLINE,
  SCAN_REQUEST,
} from '../protocol/request-scanner.ts';
import { SMALL_BYTES } from './io/client-memory.ts';
import { InputBuffer } from './io/input-buffer.ts';

/** Unread input kept while stalled, before the socket is paused: enough to notice that the client went away. */
const STALLED_INPUT_BYTES = 64 * 1024;

/** What is held for a client (SessionMemory). */
export interface NotedMemory {
  /** See ClientMemory. */
  readonly memoryCounted: boolean;
  /** What is held has changed. */
  note(): void;
}

/** What the input belongs to. */
export interface InputOwner {
  readonly socket: Socket;
  readonly authenticated: boolean;
  /** Nothing may be read now. */
  readonly stalled: boolean;
  /** One for all sessions: a scan never spans two events. */
  readonly scanner: RequestScanner;
  readonly requestMaximumBytes: number;
  readonly memory: NotedMemory;
  /**
   * Takes one request, `buf[start, end)`. `stable`: its bytes do not change any more. False: nothing was done, come again
   * with the same request when the stall is over.
   */
  takeRequest(
    buf: Buffer,
    start: number,
    end: number,
    args: RequestArguments,
    stable: boolean,
  ): boolean;
  /** Not the protocol, or too large: the last thing that is said to this client. */
  fail(text: string): void;
}

export class SessionInput {
  readonly #owner: InputOwner;
  /** What came while stalled and was not looked at. */
  #unread: Buffer[] = [];
  #unreadBytes = 0;
  #paused = false;
  /** A request that did not end in its chunk. */
  #partial: InputBuffer | null = null;

  constructor(owner: InputOwner) {
    this.#owner = owner;
  }

  get sizeBytes(): number {
    return this.#unreadBytes + (this.#partial?.sizeBytes ?? 0);
  }

  /** Nothing waits to be looked at. */
  get read(): boolean {
    return this.#unreadBytes === 0;
  }

  /** Bytes from the client: `chunk[0, length)`, which hold only until this returns. */
  receive(chunk: Buffer, length: number): void {
    // What waits unread goes first, also when the stall is over and `resume` is still to come.
    if (this.#owner.stalled || this.#unreadBytes !== 0) this.#keepUnread(chunk, 0, length, false);
    else if (this.#partial !== null) this.#feed(chunk, length);
    else this.#parse(chunk, 0, length, false);
  }

  /** The stall is over. */
  resume(): void {
    if (this.#unreadBytes > 0) {
      const bytes = this.#unread.length === 1 ? this.#unread[0]! : Buffer.concat(this.#unread);
      this.#unread = [];
      this.#unreadBytes = 0;
      if (this.#partial !== null) this.#feed(bytes, bytes.length);
      else this.#parse(bytes, 0, bytes.length, true);
      if (this.#owner.memory.memoryCounted) this.#owner.memory.note();
    }
    if (this.#paused && this.#unreadBytes <= STALLED_INPUT_BYTES) {
      this.#paused = false;
      this.#owner.socket.resume();
    }
  }

  clear(): void {
    this.#unread = [];
    this.#unreadBytes = 0;
    this.#partial = null;
  }

  #keepUnread(chunk: Buffer, start: number, end: number, stable: boolean): void {
    const bytes = chunk.subarray(start, end);
    this.#unread.push(stable ? bytes : Buffer.from(bytes));
    this.#unreadBytes += end - start;
    if (this.#unreadBytes > STALLED_INPUT_BYTES && !this.#paused) {
      this.#paused = true;
      this.#owner.socket.pause();
    }
    // Last: what is held may be too much, and given up.
    this.#owner.memory.note();
  }

  #feed(chunk: Buffer, length: number): void {
    const partial = this.#partial!;
    partial.append(chunk, length);
    if (partial.sizeBytes > SMALL_BYTES) {
      this.#owner.memory.note();
      // Too much: it was given up.
      if (this.#partial === null) return;
    }
    if (partial.sizeBytes < partial.scanner.need) {
      this.#checkSize(partial.sizeBytes);
      return;
    }
    const bytes = partial.bytes();
    const code = partial.scanner.scan(bytes, bytes.length);
    if (code === SCAN_INCOMPLETE) {
      this.#checkSize(partial.sizeBytes);
      return;
    }
    this.#partial = null;
    const end = this.#take(code, bytes, 0, bytes.length, partial.scanner, true);
    if (end < 0) this.#keepUnread(bytes, 0, bytes.length, true);
    else if (end < bytes.length) this.#parse(bytes, end, bytes.length, true);
    if (this.#owner.memory.memoryCounted) this.#owner.memory.note();
  }

  #checkSize(sizeBytes: number): void {
    const maximum = this.#owner.requestMaximumBytes;
    if (sizeBytes <= maximum) return;
    this.#owner.fail(`ERR request of more than ${maximum} bytes exceeds the limit of this cache`);
  }

  #parse(buf: Buffer, from: number, length: number, stable: boolean): void {
    const owner = this.#owner;
    const scanner = owner.scanner;
    let pos = from;
    while (pos < length) {
      if (owner.stalled) {
        this.#keepUnread(buf, pos, length, stable);
        return;
      }
      scanner.authenticated = owner.authenticated;
      scanner.begin(pos);
      const code = scanner.scan(buf, length);
      if (code === SCAN_INCOMPLETE) {
        this.#partial = new InputBuffer(buf, pos, length, scanner);
        return;
      }
      const end = this.#take(code, buf, pos, length, scanner, stable);
      if (end < 0) {
        this.#keepUnread(buf, pos, length, stable);
        return;
      }
      pos = end;
    }
  }

  /** Handles what the scanner found at `start`. Returns where to go on, or -1 to come again with the same bytes later. */
  #take(
    code: number,
    buf: Buffer,
    start: number,
    length: number,
    scanner: RequestScanner,
    stable: boolean,
  ): number {
    const owner = this.#owner;
    const end = scanner.end;
    if (code === SCAN_REQUEST)
      return owner.takeRequest(buf, start, end, scanner, stable) ? end : -1;
    if (code === SCAN_EMPTY) return end;
    if (code === SCAN_INLINE) {
      const resp = inlineToResp(buf.subarray(start, scanner.lineEnd));
      if (resp === null) {
        owner.fail('ERR Protocol error: unbalanced quotes in request');
        return length;
      }
      if (resp.length === 0) return end;
      const inline = new RequestScanner();
      inline.begin(0);
      inline.scan(resp, resp.length);
      return owner.takeRequest(resp, 0, resp.length, inline, true) ? end : -1;
    }
    if (code === SCAN_ERROR) owner.fail(scanner.error);
    return length;
  }
}
