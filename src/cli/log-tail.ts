/** The end of a file that others write to: its last lines, then what is added. A file that shrinks is read from its start. */
import { closeSync, fstatSync, openSync, readSync } from 'node:fs';

const BLOCK_BYTES = 64 * 1024;
const NEWLINE = 0x0a;

export class LogTail {
  readonly #file: string;
  #offset = 0;
  /** The beginning of a line whose end is not written yet. */
  #rest: Buffer = Buffer.alloc(0);

  constructor(file: string) {
    this.#file = file;
  }

  /** The last `count` complete lines; later calls of `next` go on after them. */
  last(count: number): string[] {
    return this.#withFile((descriptor, size) => {
      let start = size;
      let newlines = 0;
      const block = Buffer.alloc(BLOCK_BYTES);
      // Backwards block by block: the last hundred lines of a large file are found without reading all of it.
      while (start > 0 && newlines <= count) {
        const length = Math.min(BLOCK_BYTES, start);
        start -= length;
        readSync(descriptor, block, 0, length, start);
        for (let index = 0; index < length; index += 1) if (block[index] === NEWLINE) newlines += 1;
      }
      this.#offset = start;
      this.#rest = Buffer.alloc(0);
      const lines = this.#readOn(descriptor, size);
      return count === 0 ? [] : lines.slice(-count);
    });
  }

  /** Lines completed since. */
  next(): string[] {
    return this.#withFile((descriptor, size) => {
      if (size < this.#offset) {
        this.#offset = 0;
        this.#rest = Buffer.alloc(0);
      }
      return this.#readOn(descriptor, size);
    });
  }

  #readOn(descriptor: number, size: number): string[] {
    const added = Buffer.alloc(Math.max(0, size - this.#offset));
    const read = readSync(descriptor, added, 0, added.length, this.#offset);
    this.#offset += read;
    const bytes = Buffer.concat([this.#rest, added.subarray(0, read)]);
    const end = bytes.lastIndexOf(NEWLINE);
    this.#rest = bytes.subarray(end + 1);
    return end < 0 ? [] : bytes.toString('utf8', 0, end).split('\n');
  }

  #withFile(read: (descriptor: number, size: number) => string[]): string[] {
    let descriptor: number;
    try {
      descriptor = openSync(this.#file, 'r');
    } catch {
      // Not written yet, or just rotated away.
      return [];
    }
    try {
      return read(descriptor, fstatSync(descriptor).size);
    } finally {
      closeSync(descriptor);
    }
  }
}
