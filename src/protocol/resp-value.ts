/**
 * Replies as values, for the cold paths: the command table, merged replies of several shards, answers of the proxy
 * itself. The hot path never decodes.
 */

export class RespError {
  /** Without the leading `-`: `WRONGTYPE Operation against ...`. */
  readonly message: string;
  constructor(message: string) {
    this.message = message;
  }
  /** The first word: WRONGTYPE, ERR, MOVED ... */
  get kind(): string {
    const space = this.message.indexOf(' ');
    return space < 0 ? this.message : this.message.slice(0, space);
  }
}

/** `+OK` and the like: a status is not a bulk string, and a client can tell. */
export class RespStatus {
  readonly text: string;
  constructor(text: string) {
    this.text = text;
  }
}

/** RESP3 `=`: text with a three-letter format. */
export class RespVerbatim {
  readonly format: string;
  readonly text: string;
  constructor(format: string, text: string) {
    this.format = format;
    this.text = text;
  }
}

export class RespSet {
  readonly items: RespValue[];
  constructor(items: RespValue[]) {
    this.items = items;
  }
}

/** RESP3 map, kept as pairs: keys may be of any type and their order is the engine's. In RESP2 a flat array. */
export class RespMap {
  readonly pairs: [RespValue, RespValue][];
  constructor(pairs: [RespValue, RespValue][]) {
    this.pairs = pairs;
  }
  static of(entries: Record<string, RespValue>): RespMap {
    return new RespMap(Object.entries(entries));
  }
}

/** RESP2 has two nulls, `$-1` and `*-1`; RESP3 one. */
export const NULL_ARRAY: unique symbol = Symbol('null array');

export class RespPush {
  readonly items: RespValue[];
  constructor(items: RespValue[]) {
    this.items = items;
  }
}

export type RespValue =
  | null
  | typeof NULL_ARRAY
  | boolean
  | number
  | bigint
  | string
  | Uint8Array
  | RespStatus
  | RespError
  | RespVerbatim
  | RespSet
  | RespMap
  | RespPush
  | RespDouble
  | readonly RespValue[];

/** RESP3 `,`; a bulk string in RESP2. `text` as the engine wrote it. */
export class RespDouble {
  readonly text: string;
  constructor(text: string) {
    this.text = text;
  }
}

/** Decodes exactly one whole reply. Bulk strings come as Buffers that share memory with `bytes`. */
export function decodeReply(bytes: Uint8Array): RespValue {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return new Decoder(buffer).value();
}

/** A decoded string, status, verbatim text or number as a string; null for anything else. */
export function textOf(value: RespValue | undefined): string | null {
  if (value instanceof Uint8Array) return Buffer.from(value).toString();
  if (typeof value === 'string') return value;
  if (value instanceof RespStatus || value instanceof RespVerbatim || value instanceof RespDouble)
    return value.text;
  if (typeof value === 'number' || typeof value === 'bigint') return String(value);
  return null;
}

/** The elements of an array, set or push; of a map its keys and values in turn; else an empty list. */
export function itemsOf(value: RespValue | undefined): readonly RespValue[] {
  if (Array.isArray(value)) return value as readonly RespValue[];
  if (value instanceof RespSet || value instanceof RespPush) return value.items;
  if (value instanceof RespMap) return value.pairs.flat();
  return [];
}

/** A map, or a flat RESP2 array of pairs, as entries with text keys. */
export function entriesOf(value: RespValue | undefined): [string, RespValue][] {
  const items = itemsOf(value);
  const entries: [string, RespValue][] = [];
  for (let i = 0; i + 1 < items.length; i += 2)
    entries.push([textOf(items[i]) ?? '', items[i + 1]!]);
  return entries;
}

class Decoder {
  readonly #bytes: Buffer;
  #pos = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  value(): RespValue {
    const type = String.fromCharCode(this.#bytes[this.#pos]!);
    const line = this.#line();
    switch (type) {
      case '+':
        return new RespStatus(line);
      case '-':
        return new RespError(line);
      case ':': {
        const number = Number(line);
        return Number.isSafeInteger(number) ? number : BigInt(line);
      }
      case '_':
        return null;
      case '#':
        return line === 't';
      case ',':
        return new RespDouble(line);
      case '(':
        return BigInt(line);
      case '$':
        return line === '-1' ? null : this.#body(Number(line));
      case '!':
        return new RespError(this.#body(Number(line)).toString());
      case '=': {
        const text = this.#body(Number(line)).toString();
        return new RespVerbatim(text.slice(0, 3), text.slice(4));
      }
      case '*':
        return line === '-1' ? NULL_ARRAY : this.#items(Number(line));
      case '~':
        return new RespSet(this.#items(Number(line)));
      case '>':
        return new RespPush(this.#items(Number(line)));
      case '%':
        return new RespMap(this.#pairs(Number(line)));
      case '|':
        this.#pairs(Number(line));
        return this.value();
      default:
        throw new TypeError(`not a RESP type: ${JSON.stringify(type)}`);
    }
  }

  #line(): string {
    const end = this.#bytes.indexOf('\r\n', this.#pos);
    if (end < 0) throw new TypeError('a RESP line without an end');
    const line = this.#bytes.toString('utf8', this.#pos + 1, end);
    this.#pos = end + 2;
    return line;
  }

  #body(length: number): Buffer {
    const body = this.#bytes.subarray(this.#pos, this.#pos + length);
    this.#pos += length + 2;
    return body;
  }

  #items(count: number): RespValue[] {
    const items: RespValue[] = [];
    for (let i = 0; i < count; i++) items.push(this.value());
    return items;
  }

  #pairs(count: number): [RespValue, RespValue][] {
    const pairs: [RespValue, RespValue][] = [];
    for (let i = 0; i < count; i++) pairs.push([this.value(), this.value()]);
    return pairs;
  }
}

/** Encodes a value for a client that speaks RESP `version`, with the engine's own mapping of RESP3 types to RESP2. */
export function encodeReply(value: RespValue, version: 2 | 3): Buffer {
  const parts: Uint8Array[] = [];
  encodeInto(parts, value, version);
  return parts.length === 1 ? Buffer.from(parts[0]!) : Buffer.concat(parts);
}

function encodeInto(parts: Uint8Array[], value: RespValue, version: 2 | 3): void {
  const push = (text: string) => void parts.push(Buffer.from(text));
  if (value === null) return push(version === 3 ? '_\r\n' : '$-1\r\n');
  if (value === NULL_ARRAY) return push(version === 3 ? '_\r\n' : '*-1\r\n');
  if (typeof value === 'boolean') {
    return push(version === 3 ? `#${value ? 't' : 'f'}\r\n` : `:${value ? 1 : 0}\r\n`);
  }
  if (typeof value === 'number' || typeof value === 'bigint') return push(`:${value}\r\n`);
  if (typeof value === 'string') return bulk(parts, Buffer.from(value));
  if (value instanceof Uint8Array) return bulk(parts, value);
  if (value instanceof RespStatus) return push(`+${value.text}\r\n`);
  if (value instanceof RespError) return push(`-${value.message}\r\n`);
  if (value instanceof RespDouble) {
    return version === 3 ? push(`,${value.text}\r\n`) : bulk(parts, Buffer.from(value.text));
  }
  if (value instanceof RespVerbatim) {
    if (version === 2) return bulk(parts, Buffer.from(value.text));
    const body = Buffer.from(`${value.format}:${value.text}`);
    parts.push(Buffer.from(`=${body.length}\r\n`), body, CRLF);
    return;
  }
  if (value instanceof RespMap) {
    push(version === 3 ? `%${value.pairs.length}\r\n` : `*${value.pairs.length * 2}\r\n`);
    for (const [key, item] of value.pairs) {
      encodeInto(parts, key, version);
      encodeInto(parts, item, version);
    }
    return;
  }
  const items = itemsOf(value);
  const type =
    version === 2 ? '*' : value instanceof RespSet ? '~' : value instanceof RespPush ? '>' : '*';
  push(`${type}${items.length}\r\n`);
  for (const item of items) encodeInto(parts, item, version);
}

function bulk(parts: Uint8Array[], bytes: Uint8Array): void {
  parts.push(Buffer.from(`$${bytes.length}\r\n`), bytes, CRLF);
}

const CRLF = Buffer.from('\r\n');
