/**
 * Finds the boundaries of one request and of its arguments in received bytes. It decodes nothing: the bytes go on to a
 * node as they came, so what is a request here must be exactly what it is to the engine (networking.c): one that a node
 * would refuse would cost everybody the connection that they share. From 9.1 on a CR without its LF is refused.
 *
 * Hot: numbers only, no allocation, no throw. The scanner keeps its place, so a request that arrives in many chunks is
 * scanned once.
 *
 *   *3\r\n $3\r\n SET \r\n $1\r\n k \r\n $5\r\n value \r\n
 *                 ^ argStart[0]        ^ argStart[2], argEnd[2] = argStart[2] + 5
 */

/** More bytes are needed; `need` says how many from the request's start, at the least. */
export const SCAN_INCOMPLETE = 0;
/** A request: `argc`, `argStart`, `argEnd`, and `end`, the position after it. */
export const SCAN_REQUEST = 1;
/** Nothing to execute (`*0`, `*-1`, an empty line): go on at `end`. */
export const SCAN_EMPTY = 2;
/** A line that is not RESP, from the start to `lineEnd`: an inline command; go on at `end`. */
export const SCAN_INLINE = 3;
/** Not the protocol: answer `error` in the engine's words and close. */
export const SCAN_ERROR = 4;

const CR = 13;
const LF = 10;
const DOLLAR = 36;
const ASTERISK = 42;
const MINUS = 45;
const ZERO = 48;

/** PROTO_INLINE_MAX_SIZE of the engine: also the longest header line. */
const LINE_MAXIMUM_BYTES = 64 * 1024;
/** More arguments than any client sends; keeps one `*` header from reserving memory. */
const ARGC_MAXIMUM = 1024 * 1024;
/** What the engine takes before a client has logged in. */
const UNAUTHENTICATED_ARGC_MAXIMUM = 10;
const UNAUTHENTICATED_BULK_MAXIMUM_BYTES = 16_384;

/** Where a number stops being one to the engine. */
const INT_MAXIMUM = 2 ** 31 - 1;

const NOT_A_NUMBER = -2;
const NO_LINE = -1;
/** A CR without its LF. */
const BAD_LINE_END = -3;
const NOT_A_HEADER = -4;
const INVALID_CRLF = 'invalid CRLF in request';

export class RequestScanner {
  argc = 0;
  argStart = new Int32Array(16);
  argEnd = new Int32Array(16);
  /** Position after the request (or the empty line). */
  end = 0;
  /** SCAN_INLINE: end of the line, without CR LF. */
  lineEnd = 0;
  /** SCAN_ERROR: what to answer; quotes a byte of the client's, so it is latin1. */
  error = '';
  /** SCAN_INCOMPLETE: bytes from the request's start that are needed before it is worth to scan again. */
  need = 0;
  /** Longest argument that is accepted (proto-max-bulk-len). */
  bulkMaximumBytes = 512 * 1024 * 1024;
  authenticated = true;

  #start = 0;
  /** Where to go on. */
  #pos = 0;
  /** Arguments announced; -1 before the `*` line is read. */
  #expected = -1;
  /** Length of the bulk whose body is awaited; -1 when its header is. */
  #bulk = -1;
  #value = 0;

  /** Begins a request at `start`. */
  begin(start: number): void {
    this.#start = start;
    this.#pos = start;
    this.#expected = -1;
    this.#bulk = -1;
    this.argc = 0;
  }

  /** Takes over the place of another scanner whose request starts at `from` there and at 0 here. */
  adopt(other: RequestScanner): void {
    const shift = other.#start;
    this.#start = 0;
    this.#pos = other.#pos - shift;
    this.#expected = other.#expected;
    this.#bulk = other.#bulk;
    this.argc = other.argc;
    this.bulkMaximumBytes = other.bulkMaximumBytes;
    this.authenticated = other.authenticated;
    this.need = other.need;
    while (this.argStart.length < other.argc) this.#growArguments();
    for (let i = 0; i < other.argc; i++) {
      this.argStart[i] = other.argStart[i]! - shift;
      this.argEnd[i] = other.argEnd[i]! - shift;
    }
  }

  /** Arguments announced by the header; 0 before it is read. For limits on half-received requests. */
  get expectedArguments(): number {
    return this.#expected < 0 ? 0 : this.#expected;
  }

  /** Scans `buf` up to `end`. Returns one of the SCAN_ codes. */
  scan(buf: Uint8Array, end: number): number {
    let pos = this.#pos;
    if (this.#expected < 0) {
      if (pos >= end) return this.#incomplete(pos, pos + 1);
      if (buf[pos] !== ASTERISK) return this.#scanLine(buf, end);
      const next = this.#number(buf, pos + 1, end);
      if (next === NO_LINE) {
        if (end - pos > LINE_MAXIMUM_BYTES) return this.#fail('too big mbulk count string');
        return this.#incomplete(pos, end + 1);
      }
      if (next === BAD_LINE_END) return this.#fail(INVALID_CRLF);
      if (next === NOT_A_NUMBER) return this.#fail('invalid multibulk length');
      const count = this.#value;
      pos = next;
      if (count > UNAUTHENTICATED_ARGC_MAXIMUM && !this.authenticated && count <= INT_MAXIMUM) {
        return this.#fail('unauthenticated multibulk length');
      }
      if (count > ARGC_MAXIMUM) return this.#fail('invalid multibulk length');
      if (count <= 0) {
        this.end = pos;
        return SCAN_EMPTY;
      }
      this.#expected = count;
    }
    const expected = this.#expected;
    let argc = this.argc;
    while (argc < expected) {
      let length = this.#bulk;
      if (length < 0) {
        if (pos >= end) return this.#suspend(argc, pos, -1, pos + 1);
        const next =
          buf[pos] === DOLLAR ? this.#number(buf, pos + 1, end) : this.#otherLine(buf, pos, end);
        if (next === NO_LINE) {
          if (end - pos > LINE_MAXIMUM_BYTES) return this.#fail('too big bulk count string');
          return this.#suspend(argc, pos, -1, end + 1);
        }
        if (next === NOT_A_HEADER)
          return this.#fail(`expected '$', got '${String.fromCharCode(buf[pos]!)}'`);
        if (next === BAD_LINE_END) return this.#fail(INVALID_CRLF);
        length = this.#value;
        if (next === NOT_A_NUMBER || length < 0 || length > this.bulkMaximumBytes) {
          return this.#fail('invalid bulk length');
        }
        if (length > UNAUTHENTICATED_BULK_MAXIMUM_BYTES && !this.authenticated) {
          return this.#fail('unauthenticated bulk length');
        }
        pos = next;
      }
      const after = pos + length + 2;
      if (after > end) return this.#suspend(argc, pos, length, after);
      if (buf[after - 2] !== CR || buf[after - 1] !== LF) return this.#fail(INVALID_CRLF);
      if (argc >= this.argStart.length) this.#growArguments();
      this.argStart[argc] = pos;
      this.argEnd[argc] = pos + length;
      argc++;
      pos = after;
      this.#bulk = -1;
    }
    this.argc = argc;
    this.end = pos;
    return SCAN_REQUEST;
  }

  /**
   * Reads a decimal number and the two bytes that end its line; the engine's string2ll: no spaces, no plus, no leading
   * zeros. Returns the position after the line, NO_LINE, BAD_LINE_END or NOT_A_NUMBER; the number is in #value.
   */
  #number(buf: Uint8Array, start: number, end: number): number {
    let pos = start;
    let value = 0;
    let negative = false;
    if (pos < end && buf[pos] === MINUS) {
      negative = true;
      pos++;
    }
    const digits = pos;
    while (pos < end) {
      const digit = buf[pos]! - ZERO;
      if (digit < 0 || digit > 9) break;
      value = value * 10 + digit;
      pos++;
    }
    // The byte after CR belongs to the line whatever it is, so it must be there.
    if (pos + 1 < end && buf[pos] === CR) {
      if (buf[pos + 1] !== LF) return BAD_LINE_END;
      const length = pos - digits;
      if (length === 0 || length > 15 || (buf[digits] === ZERO && (length > 1 || negative))) {
        return NOT_A_NUMBER;
      }
      this.#value = negative ? -value : value;
      return pos + 2;
    }
    if (pos < end && buf[pos] !== CR) {
      // Not a digit: wrong as soon as the line is whole, as in the engine.
      const cr = buf.indexOf(CR, pos);
      if (cr < 0 || cr + 1 >= end) return NO_LINE;
      return buf[cr + 1] === LF ? NOT_A_NUMBER : BAD_LINE_END;
    }
    return NO_LINE;
  }

  /** A line where a bulk's header should be: wrong as soon as it is whole. */
  #otherLine(buf: Uint8Array, start: number, end: number): number {
    const cr = buf.indexOf(CR, start);
    return cr >= 0 && cr + 1 < end ? NOT_A_HEADER : NO_LINE;
  }

  #scanLine(buf: Uint8Array, end: number): number {
    const start = this.#pos;
    const lf = buf.indexOf(LF, start);
    if (lf < 0 || lf >= end) {
      if (end - start > LINE_MAXIMUM_BYTES) return this.#fail('too big inline request');
      return this.#incomplete(start, end + 1);
    }
    this.lineEnd = lf > start && buf[lf - 1] === CR ? lf - 1 : lf;
    this.end = lf + 1;
    return SCAN_INLINE;
  }

  #incomplete(pos: number, needEnd: number): number {
    this.#pos = pos;
    this.need = needEnd - this.#start;
    return SCAN_INCOMPLETE;
  }

  #suspend(argc: number, pos: number, bulk: number, needEnd: number): number {
    this.argc = argc;
    this.#bulk = bulk;
    return this.#incomplete(pos, needEnd);
  }

  #fail(what: string): number {
    this.error = `ERR Protocol error: ${what}`;
    return SCAN_ERROR;
  }

  #growArguments(): void {
    const size = this.argStart.length * 4;
    const starts = new Int32Array(size);
    const ends = new Int32Array(size);
    starts.set(this.argStart);
    ends.set(this.argEnd);
    this.argStart = starts;
    this.argEnd = ends;
  }
}
