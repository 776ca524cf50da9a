/**
 * Finds where a reply of a node ends, RESP2 and RESP3, over any number of chunks. A nested reply needs no stack: one
 * counter of elements still to come is enough to know the end. Nothing is decoded.
 *
 * Hot: numbers only, no allocation, no throw.
 */

/** The reply goes on in the next chunk. */
export const REPLY_INCOMPLETE = -1;
/** Not RESP: the connection cannot be used any more. */
export const REPLY_MALFORMED = -2;

const LF = 10;
const CR = 13;
const MINUS = 45;
const ZERO = 48;

/** What follows a type byte: 0 not a type; 1 a line; 2 a counted body; 3 n elements; 4 n pairs; 5 an attribute. */
const SHAPES = new Uint8Array(256);
for (const byte of Buffer.from('+-:_#,(')) SHAPES[byte] = 1;
for (const byte of Buffer.from('$!=')) SHAPES[byte] = 2;
for (const byte of Buffer.from('*~>')) SHAPES[byte] = 3;
SHAPES['%'.charCodeAt(0)] = 4;
SHAPES['|'.charCodeAt(0)] = 5;

export class ReplyScanner {
  /** Elements still to come, the current one included; 0 between replies. */
  #remaining = 0;
  /** Bytes of a counted body still to pass, its CR LF included. */
  #skip = 0;
  /** Shape of the header that is being read; 0 between elements. */
  #shape = 0;
  #value = 0;
  #negative = false;

  /** Is a reply half read? */
  get midReply(): boolean {
    return this.#remaining !== 0;
  }

  reset(): void {
    this.#remaining = 0;
    this.#skip = 0;
    this.#shape = 0;
  }

  /** Scans `buf[start, end)`. Returns the position after the reply, REPLY_INCOMPLETE or REPLY_MALFORMED. */
  scan(buf: Uint8Array, start: number, end: number): number {
    let pos = start;
    let remaining = this.#remaining === 0 ? 1 : this.#remaining;
    let shape = this.#shape;
    if (this.#skip > 0) {
      const left = end - pos;
      if (left < this.#skip) {
        this.#skip -= left;
        this.#remaining = remaining;
        return REPLY_INCOMPLETE;
      }
      pos += this.#skip;
      this.#skip = 0;
      remaining--;
    }
    while (remaining > 0) {
      if (shape === 0) {
        if (pos >= end) return this.#suspend(remaining, 0);
        shape = SHAPES[buf[pos]!]!;
        if (shape === 0) return REPLY_MALFORMED;
        pos++;
        this.#value = 0;
        this.#negative = false;
      }
      if (shape === 1) {
        while (pos < end && buf[pos] !== LF) pos++;
        if (pos >= end) return this.#suspend(remaining, 1);
        pos++;
        shape = 0;
        remaining--;
        continue;
      }
      let value = this.#value;
      let closed = false;
      while (pos < end) {
        const byte = buf[pos++]!;
        if (byte >= ZERO && byte <= 57) value = value * 10 + (byte - ZERO);
        else if (byte === LF) {
          closed = true;
          break;
        } else if (byte === MINUS) this.#negative = true;
        else if (byte !== CR) return REPLY_MALFORMED;
      }
      if (!closed) {
        this.#value = value;
        return this.#suspend(remaining, shape);
      }
      if (this.#negative) {
        remaining--;
      } else if (shape === 2) {
        const after = pos + value + 2;
        if (after > end) {
          this.#skip = after - end;
          return this.#suspend(remaining, 0);
        }
        pos = after;
        remaining--;
      } else if (shape === 3) remaining += value - 1;
      else if (shape === 4) remaining += 2 * value - 1;
      else remaining += 2 * value;
      shape = 0;
    }
    this.#remaining = 0;
    this.#shape = 0;
    return pos;
  }

  #suspend(remaining: number, shape: number): number {
    this.#remaining = remaining;
    this.#shape = shape;
    return REPLY_INCOMPLETE;
  }
}
