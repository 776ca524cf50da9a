/**
 * A request that arrives in many chunks: its bytes in one growing buffer (each byte is copied a bounded number of times)
 * with a scanner that keeps its place. Made only when a chunk ends inside a request.
 */
import { RequestScanner } from '../../protocol/request-scanner.ts';

const INITIAL_BYTES = 1024;
const RELEASED_BYTES = 1024 * 1024;

export class InputBuffer {
  readonly scanner = new RequestScanner();
  #buf: Buffer;
  #length: number;

  /** Takes over from `scanner`, which stopped inside the request at `chunk[start, end)`. */
  constructor(chunk: Buffer, start: number, end: number, scanner: RequestScanner) {
    this.#length = end - start;
    this.scanner.adopt(scanner);
    this.#buf = Buffer.allocUnsafe(Math.max(INITIAL_BYTES, this.#length * 2));
    chunk.copy(this.#buf, 0, start, end);
  }

  /** Bytes received of the request. */
  get sizeBytes(): number {
    return this.#length;
  }

  append(chunk: Buffer, size: number): void {
    const length = this.#length + size;
    if (length > this.#buf.length) {
      const larger = Buffer.allocUnsafe(this.#roomFor(length));
      this.#buf.copy(larger, 0, 0, this.#length);
      release(this.#buf);
      this.#buf = larger;
    }
    chunk.copy(this.#buf, this.#length, 0, size);
    this.#length = length;
  }

  /** What has been received. */
  bytes(): Buffer {
    return this.#buf.subarray(0, this.#length);
  }

  /**
   * Twice what there is, or what the request is known to need when that is less; but never little more than there is, so that
   * each byte is copied a bounded number of times.
   */
  #roomFor(length: number): number {
    const { need } = this.scanner;
    const room = this.#buf.length;
    const known = need >= length && need >= room + room / 4 && need < 2 * room;
    return known ? need : Math.max(length, 2 * room);
  }
}

/** Nobody else knows this memory: given back at once, not when the collector comes by (half of 512 MiB, for one). */
function release(buf: Buffer): void {
  if (buf.length >= RELEASED_BYTES) (buf.buffer as ArrayBuffer).transfer(0);
}
