/**
 * Replies on their way to one client. Bytes are copied at once: they stand in a read buffer that the next read overwrites.
 * The block they are copied into comes from a pool at the first reply of a turn and goes back at its end, so that an idle
 * connection holds none.
 */
import type { Socket } from 'node:net';
import { copyBytes, Slab } from './slab.ts';

const BLOCK_BYTES = 16 * 1024;
const POOL_MAXIMUM_BLOCKS = 256;
/** As much as one read brings: a piece of a large reply. */
const LARGE_BLOCK_BYTES = 64 * 1024;
const POOL_MAXIMUM_LARGE_BLOCKS = 64;

/** Blocks that are free; shared by all connections of a process. */
export class BlockPool {
  /** For sockets that hold what they are given until later (TLS): a block would never come back. */
  readonly slab = new Slab();
  readonly #free: Buffer[] = [];
  readonly #freeLarge: Buffer[] = [];

  take(): Buffer {
    return this.#free.pop() ?? Buffer.allocUnsafeSlow(BLOCK_BYTES);
  }

  give(block: Buffer): void {
    if (this.#free.length < POOL_MAXIMUM_BLOCKS) this.#free.push(block);
  }

  takeLarge(): Buffer {
    return this.#freeLarge.pop() ?? Buffer.allocUnsafeSlow(LARGE_BLOCK_BYTES);
  }

  giveLarge(block: Buffer): void {
    if (this.#freeLarge.length < POOL_MAXIMUM_LARGE_BLOCKS) this.#freeLarge.push(block);
  }
}

export class OutQueue {
  /** Bytes waiting here (not those that the socket has taken). */
  sizeBytes = 0;

  readonly #pool: BlockPool;
  #block: Buffer | null = null;
  #end = 0;
  /** What did not fit into the block: full blocks and large pieces, in order, before the block. */
  #parts: Buffer[] | null = null;
  /** Large blocks that #parts stand in. */
  #large: Buffer[] | null = null;

  constructor(pool: BlockPool) {
    this.#pool = pool;
  }

  /** Appends a copy of `buf[start, end)`. */
  append(buf: Uint8Array, start: number, end: number): void {
    const size = end - start;
    this.sizeBytes += size;
    if (size > BLOCK_BYTES) {
      this.#seal();
      const pooled = size <= LARGE_BLOCK_BYTES;
      const block = pooled ? this.#pool.takeLarge() : Buffer.allocUnsafeSlow(size);
      (buf as Buffer).copy(block, 0, start, end);
      (this.#parts ??= []).push(block.subarray(0, size));
      if (pooled) (this.#large ??= []).push(block);
      return;
    }
    if (this.#block === null || this.#end + size > BLOCK_BYTES) {
      this.#seal();
      this.#block = this.#pool.take();
      this.#end = 0;
    }
    copyBytes(buf, start, end, this.#block, this.#end);
    this.#end += size;
  }

  /** Appends bytes that nobody changes any more: as they are, not as a copy. */
  appendStable(buf: Buffer): void {
    this.sizeBytes += buf.length;
    this.#seal();
    (this.#parts ??= []).push(buf);
  }

  /** Writes everything to the socket. */
  flushTo(socket: Socket): void {
    if (this.sizeBytes === 0) return;
    this.sizeBytes = 0;
    const parts = this.#parts;
    const block = this.#block;
    const large = this.#large;
    this.#parts = null;
    this.#block = null;
    this.#large = null;
    if (parts === null && 'encrypted' in socket) {
      const { slab } = this.#pool;
      slab.copy(block!, 0, this.#end);
      socket.write(slab.buf.subarray(slab.start, slab.end));
      this.#pool.give(block!);
      return;
    }
    if (parts === null) {
      socket.write(block!.subarray(0, this.#end));
      // Taken by the kernel whole: nobody holds the block any more.
      if (socket.writableLength === 0) this.#pool.give(block!);
      return;
    }
    socket.cork();
    for (const part of parts) socket.write(part);
    if (block !== null) socket.write(block.subarray(0, this.#end));
    socket.uncork();
    if (large === null || socket.writableLength > 0 || 'encrypted' in socket) return;
    for (const taken of large) this.#pool.giveLarge(taken);
  }

  /** Forgets everything that is waiting. */
  clear(): void {
    this.sizeBytes = 0;
    this.#block = null;
    this.#parts = null;
    this.#large = null;
  }

  #seal(): void {
    if (this.#block === null) return;
    (this.#parts ??= []).push(this.#block.subarray(0, this.#end));
    this.#block = null;
  }
}
