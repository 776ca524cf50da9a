/**
 * A request that arrives in many chunks: its bytes in one growing buffer (each byte is copied a bounded number of times)
 * with a scanner that keeps its place. Made only when a chunk ends inside a request.
 */
import { RequestScanner } from '../protocol/request-scanner.ts';

const INITIAL_BYTES = 1024;

export class InputBuffer {
  readonly scanner = new RequestScanner();
  #buf: Buffer;
  #length: number;

  /** Takes over from `scanner`, which stopped inside the request at `chunk[start, chunk.length)`. */
  constructor(chunk: Buffer, start: number, scanner: RequestScanner) {
    this.#length = chunk.length - start;
    this.scanner.adopt(scanner);
    this.#buf = Buffer.allocUnsafe(Math.max(INITIAL_BYTES, this.#length * 2));
    chunk.copy(this.#buf, 0, start);
  }

  /** Bytes received of the request. */
  get sizeBytes(): number {
    return this.#length;
  }

  append(chunk: Buffer): void {
    const length = this.#length + chunk.length;
    if (length > this.#buf.length) {
      // The scanner knows how long the request is at the least: a large value is given its room at once.
      const size = Math.max(length, Math.min(this.scanner.need, 2 * this.#buf.length + chunk.length * 64), this.#buf.length * 2);
      const larger = Buffer.allocUnsafe(size);
      this.#buf.copy(larger, 0, 0, this.#length);
      this.#buf = larger;
    }
    chunk.copy(this.#buf, this.#length);
    this.#length = length;
  }

  /** What has been received. */
  bytes(): Buffer {
    return this.#buf.subarray(0, this.#length);
  }
}
