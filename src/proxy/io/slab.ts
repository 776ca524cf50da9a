/**
 * Memory that bytes are copied into one after the other, never to be changed again: requests that a node has not answered
 * yet, replies that wait for an older one. One allocation serves hundreds of requests; the collector frees a slab when the
 * last of them is done.
 */
const SLAB_BYTES = 32 * 1024;

export class Slab {
  /** The current slab. */
  buf: Buffer = EMPTY;
  /** Where the last copy begins and ends in `buf`. */
  start = 0;
  end = 0;

  /** Copies `from[start, end)`; afterwards the copy is `buf[this.start, this.end)`. */
  copy(from: Uint8Array, start: number, end: number): void {
    const size = end - start;
    if (this.end + size > this.buf.length) {
      this.buf = Buffer.allocUnsafeSlow(Math.max(SLAB_BYTES, size));
      this.end = 0;
    }
    const at = this.end;
    copyBytes(from, start, end, this.buf, at);
    this.start = at;
    this.end = at + size;
  }
}

/** Short pieces by a loop, longer ones by the runtime's copy: a call into it costs about as much as 32 bytes of loop. */
export function copyBytes(
  from: Uint8Array,
  start: number,
  end: number,
  to: Buffer,
  at: number,
): void {
  if (end - start > 32) {
    (from as Buffer).copy(to, at, start, end);
    return;
  }
  for (let i = start; i < end; i++) to[at++] = from[i]!;
}

const EMPTY = Buffer.alloc(0);
