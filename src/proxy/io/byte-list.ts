/** Bytes gathered piece by piece, without an object for each piece: a million small ones cost their bytes. */
const FIRST_BYTES = 256;
const LARGEST_BYTES = 1024 * 1024;

export class ByteList {
  /** Of all pieces. */
  sizeBytes = 0;
  readonly #full: Buffer[] = [];
  #chunk = EMPTY;
  #end = 0;

  /** Appends a copy of `from[start, end)`. */
  append(from: Buffer, start: number, end: number): void {
    const size = end - start;
    if (this.#end + size > this.#chunk.length) {
      if (this.#end > 0) this.#full.push(this.#chunk.subarray(0, this.#end));
      // Each chunk as large as what there is already: few of them, and never much too large.
      const room = Math.min(LARGEST_BYTES, Math.max(FIRST_BYTES, this.sizeBytes));
      this.#chunk = Buffer.allocUnsafe(Math.max(room, size));
      this.#end = 0;
    }
    from.copy(this.#chunk, this.#end, start, end);
    this.#end += size;
    this.sizeBytes += size;
  }

  /** Appends bytes that nobody changes any more: as they are, not as a copy. */
  appendStable(bytes: Buffer): void {
    if (this.#end > 0) this.#full.push(this.#chunk.subarray(0, this.#end));
    this.#chunk = this.#chunk.subarray(this.#end);
    this.#end = 0;
    this.#full.push(bytes);
    this.sizeBytes += bytes.length;
  }

  /** What was gathered, in order. The last one changes with the next `append`. */
  parts(): Buffer[] {
    return [...this.#full, this.#chunk.subarray(0, this.#end)];
  }
}

const EMPTY = Buffer.alloc(0);
