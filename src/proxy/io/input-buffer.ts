/**
 * A request that arrives in many chunks: its bytes in one growing buffer (each byte is copied a bounded number of times)
 * with a scanner that keeps its place. Made only when a chunk ends inside a request.
 */
import { RequestScanner } from '../../protocol/request-scanner.ts';

const INITIAL_BYTES = 1024;

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
      // The scanner knows how long the request is at the least: a large value is given its room at once.
      const hint = Math.min(this.scanner.need, 2 * this.#buf.length + size * 64);
      const larger = Buffer.allocUnsafe(Math.max(length, hint, this.#buf.length * 2));
      this.#buf.copy(larger, 0, 0, this.#length);
      this.#buf = larger;
    }
    chunk.copy(this.#buf, this.#length, 0, size);
    this.#length = length;
  }

  /** What has been received. */
  bytes(): Buffer {
    return this.#buf.subarray(0, this.#length);
  }
}
