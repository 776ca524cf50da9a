/**
 * Requests on their way to one node. Their bytes are copied into slabs, where they stay until the reply has come: the same
 * copy is what is written and what another try is made from.
 */
import type { Socket } from 'node:net';
import type { Request } from './request.ts';
import { Slab } from '../io/slab.ts';

/** Above this a request that has memory of its own is referenced, not copied. */
const COPY_MAXIMUM_BYTES = 8192;

export class RequestQueue {
  readonly #slab = new Slab();
  /** The slab that holds what waits, and from where on. */
  #buf: Buffer | null = null;
  #start = 0;
  #end = 0;
  /** What waits before that: ends of older slabs and large requests. */
  #parts: Buffer[] | null = null;

  /** Appends the request's bytes; afterwards they are stable. */
  append(request: Request): void {
    const size = request.end - request.start;
    if (request.stable && size > COPY_MAXIMUM_BYTES) {
      this.#seal();
      (this.#parts ??= []).push(request.buf!.subarray(request.start, request.end));
      return;
    }
    this.appendBytes(request.buf!, request.start, request.end);
    request.buf = this.#slab.buf;
    request.start = this.#slab.start;
    request.end = this.#slab.end;
    request.stable = true;
  }

  appendBytes(buf: Buffer, start: number, end: number): void {
    const slab = this.#slab;
    slab.copy(buf, start, end);
    if (this.#buf !== slab.buf) {
      this.#seal();
      this.#buf = slab.buf;
      this.#start = slab.start;
    }
    this.#end = slab.end;
  }

  flushTo(socket: Socket): void {
    const parts = this.#parts;
    const buf = this.#buf;
    this.#parts = null;
    this.#buf = null;
    if (parts === null) {
      if (buf !== null) socket.write(buf.subarray(this.#start, this.#end));
      return;
    }
    socket.cork();
    for (const part of parts) socket.write(part);
    if (buf !== null) socket.write(buf.subarray(this.#start, this.#end));
    socket.uncork();
  }

  clear(): void {
    this.#parts = null;
    this.#buf = null;
  }

  #seal(): void {
    if (this.#buf === null) return;
    (this.#parts ??= []).push(this.#buf.subarray(this.#start, this.#end));
    this.#buf = null;
  }
}
