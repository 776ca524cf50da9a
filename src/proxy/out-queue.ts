/**
 * Bytes on their way out of one connection. Small pieces are copied together into a block, so that many requests or
 * replies leave in one write; large pieces, and a piece that is alone, are passed on as they are.
 */
import type { Socket } from 'node:net';

const BLOCK_BYTES = 16 * 1024;
/** Above this a piece is referenced, not copied: one more element in writev is cheaper than the copy. */
const COPY_MAXIMUM_BYTES = 4096;
const POOL_MAXIMUM_BLOCKS = 256;

/** Blocks that are free again; shared by all connections of a process, so that an idle one holds none. */
export class BlockPool {
  readonly #free: Buffer[] = [];

  take(): Buffer {
    return this.#free.pop() ?? Buffer.allocUnsafeSlow(BLOCK_BYTES);
  }

  give(block: Buffer): void {
    if (this.#free.length < POOL_MAXIMUM_BLOCKS) this.#free.push(block);
  }
}

export class OutQueue {
  /** Bytes waiting here (not those that the socket has taken). */
  sizeBytes = 0;

  readonly #pool: BlockPool;
  /** A lone piece, not copied yet. */
  #ref: Buffer | null = null;
  #refStart = 0;
  #refEnd = 0;
  /** The block that is being filled. */
  #block: Buffer | null = null;
  #blockStart = 0;
  #blockEnd = 0;
  /** Finished pieces before the block. */
  #parts: Buffer[] | null = null;
  /** Blocks that lie in #parts. */
  #partBlocks: Buffer[] | null = null;

  constructor(pool: BlockPool) {
    this.#pool = pool;
  }

  /** Appends `buf[start, end)`; the bytes must not change until they are sent. */
  append(buf: Buffer, start: number, end: number): void {
    this.sizeBytes += end - start;
    if (this.#ref !== null) {
      if (this.#ref === buf && this.#refEnd === start) {
        this.#refEnd = end;
        return;
      }
      const ref = this.#ref;
      this.#ref = null;
      this.#put(ref, this.#refStart, this.#refEnd);
    } else if (this.#block === null && this.#parts === null) {
      this.#ref = buf;
      this.#refStart = start;
      this.#refEnd = end;
      return;
    }
    this.#put(buf, start, end);
  }

  appendBuffer(buf: Buffer): void {
    this.append(buf, 0, buf.length);
  }

  /** Writes everything to the socket. */
  flushTo(socket: Socket): void {
    if (this.sizeBytes === 0) return;
    this.sizeBytes = 0;
    const ref = this.#ref;
    if (ref !== null) {
      this.#ref = null;
      socket.write(
        this.#refStart === 0 && this.#refEnd === ref.length ? ref : ref.subarray(this.#refStart, this.#refEnd),
      );
      return;
    }
    const block = this.#block!;
    const parts = this.#parts;
    if (parts === null) {
      this.#block = null;
      socket.write(block.subarray(this.#blockStart, this.#blockEnd));
      // Taken by the kernel whole: nobody holds the block any more.
      if (socket.writableLength === 0) this.#pool.give(block);
      return;
    }
    this.#sealBlock();
    this.#parts = null;
    const blocks = this.#partBlocks;
    this.#partBlocks = null;
    if (this.#block !== null) {
      this.#block = null;
    }
    socket.cork();
    for (const part of parts) socket.write(part);
    socket.uncork();
    if (blocks !== null && socket.writableLength === 0) for (const done of blocks) this.#pool.give(done);
  }

  /** Forgets everything that is waiting. */
  clear(): void {
    this.sizeBytes = 0;
    this.#ref = null;
    this.#block = null;
    this.#parts = null;
    this.#partBlocks = null;
  }

  #put(buf: Buffer, start: number, end: number): void {
    const size = end - start;
    if (size > COPY_MAXIMUM_BYTES) {
      this.#sealBlock();
      (this.#parts ??= []).push(buf.subarray(start, end));
      return;
    }
    let block = this.#block;
    if (block === null || this.#blockEnd + size > BLOCK_BYTES) {
      this.#sealBlock();
      block = this.#pool.take();
      this.#block = block;
      this.#blockStart = 0;
      this.#blockEnd = 0;
      if (this.#parts !== null) (this.#partBlocks ??= []).push(block);
    }
    copyBytes(buf, start, end, block, this.#blockEnd);
    this.#blockEnd += size;
  }

  /** Moves what the block holds to the parts; the rest of the block is filled further. */
  #sealBlock(): void {
    const block = this.#block;
    this.#parts ??= [];
    if (block === null) return;
    if (this.#partBlocks === null || this.#partBlocks.at(-1) !== block) (this.#partBlocks ??= []).push(block);
    if (this.#blockEnd > this.#blockStart) this.#parts.push(block.subarray(this.#blockStart, this.#blockEnd));
    this.#blockStart = this.#blockEnd;
  }
}

/** Short pieces by a loop, longer ones by the runtime's copy: a call into it costs about as much as 32 bytes of loop. */
function copyBytes(from: Buffer, start: number, end: number, to: Buffer, at: number): void {
  if (end - start > 32) {
    from.copy(to, at, start, end);
    return;
  }
  for (let i = start; i < end; i++) to[at++] = from[i]!;
}
