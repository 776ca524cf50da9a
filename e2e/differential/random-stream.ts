/** Random requests whose replies a sharded cache and a plain server must agree on: any key alone, several keys where the cache splits. */
import { encodeRequest } from '../../src/protocol/request-encoder.ts';

export type Random = () => number;

const LOOSE_KEYS: readonly Buffer[] = [
  ...Array.from({ length: 16 }, (_, i) => Buffer.from(`key-${i}`)),
  Buffer.from(''),
  Buffer.from('\0\r\n*1\r\n$4\r\nPING\r\n', 'latin1'),
  Buffer.from([0xff, 0xfe, 0x7b, 0x7d]),
  Buffer.from('{}'),
];
const TAGGED_KEYS: readonly Buffer[] = Array.from({ length: 8 }, (_, i) =>
  Buffer.from(`{tag}-${i}`),
);

type Words = (string | number | Buffer)[];

/** One client's stream. `bytes` is what it sends, `replies` how many answers it gets. */
export class RandomStream {
  readonly #random: Random;
  readonly #largeBytes: number;
  readonly parts: Buffer[] = [];
  /** What was sent, for messages. */
  readonly shown: string[] = [];

  constructor(random: Random, requests: number, largeBytes: number) {
    this.#random = random;
    this.#largeBytes = largeBytes;
    while (this.shown.length < requests) this.#next();
  }

  get bytes(): Buffer {
    return Buffer.concat(this.parts);
  }

  get replies(): number {
    return this.shown.length;
  }

  #int(below: number): number {
    return Math.floor(this.#random() * below);
  }

  #pick<T>(list: readonly T[]): T {
    return list[this.#int(list.length)]!;
  }

  #value(): Buffer {
    const kind = this.#int(12);
    if (kind === 0) return Buffer.alloc(0);
    if (kind < 4) return Buffer.from(String(this.#int(1000)));
    if (kind === 4 && this.#random() < 0.1)
      return Buffer.alloc(this.#int(this.#largeBytes), this.#int(256));
    return Buffer.from(Array.from({ length: this.#int(60) }, () => this.#int(256)));
  }

  #keys(maximum: number): Buffer[] {
    return Array.from({ length: 1 + this.#int(maximum) }, () => this.#pick(LOOSE_KEYS));
  }

  #next(): void {
    const what = this.#random();
    if (what < 0.06) this.#transaction();
    else if (what < 0.08) this.#watch();
    else if (what < 0.1) this.#elsewhere();
    else if (what < 0.16) this.#inline();
    else this.#put(this.#command(this.#random() < 0.3 ? TAGGED_KEYS : LOOSE_KEYS));
  }

  #command(keys: readonly Buffer[]): Words {
    const key = this.#pick(keys);
    const commands: (() => Words)[] = [
      () => ['GET', key],
      () => ['SET', key, this.#value()],
      () => ['SET', key, this.#value(), 'NX'],
      () => ['SET', key, this.#value(), 'XX', 'GET'],
      () => ['APPEND', key, this.#value()],
      () => ['INCR', key],
      () => ['STRLEN', key],
      () => ['GETRANGE', key, 0, 20],
      () => ['DEL', key],
      () => ['TYPE', key],
      () => ['TTL', key],
      () => ['LPUSH', key, this.#value(), this.#value()],
      () => ['LRANGE', key, 0, -1],
      () => ['LPOP', key],
      () => ['HSET', key, 'field', this.#value()],
      () => ['HGETALL', key],
      () => ['ZADD', key, this.#int(100), 'a', this.#int(100), 'b'],
      () => ['ZRANGE', key, 0, -1, 'WITHSCORES'],
      () => ['SADD', key, this.#int(20)],
      () => ['SCARD', key],
      () => ['MGET', ...this.#keys(12)],
      () => ['MSET', ...this.#keys(6).flatMap((each) => [each, this.#value()])],
      () => ['DEL', ...this.#keys(6)],
      () => ['UNLINK', ...this.#keys(3)],
      () => ['EXISTS', ...this.#keys(8)],
      () => ['TOUCH', ...this.#keys(4)],
      () => ['EVAL', "return {KEYS[1], server.call('EXISTS', KEYS[1])}", 1, key],
      () => ['NOSUCHCOMMAND', key, this.#value().subarray(0, 20)],
      () => ['GET'],
      () => ['GET', key, key],
      () => ['INCRBY', key, 'abc'],
      () => ['PING'],
      () => ['ECHO', this.#value()],
    ];
    return this.#pick(commands)();
  }

  #transaction(): void {
    this.#put(['MULTI']);
    for (let i = this.#int(6); i > 0; i--) {
      const words = this.#command(TAGGED_KEYS);
      const first = words[0] as string;
      if (['MGET', 'MSET', 'DEL', 'UNLINK', 'EXISTS', 'TOUCH'].includes(first)) continue;
      if (['NOSUCHCOMMAND', 'GET'].includes(first) && this.#random() < 0.8) continue;
      this.#put(words);
    }
    this.#put([this.#random() < 0.85 ? 'EXEC' : 'DISCARD']);
  }

  /** Optimistic locking: now and then the key is written between WATCH and EXEC. */
  #watch(): void {
    const key = this.#pick(TAGGED_KEYS);
    this.#put(['SET', key, this.#value()]);
    this.#put(['WATCH', key]);
    this.#put(['GET', key]);
    if (this.#random() < 0.5) this.#put(['APPEND', key, 'x']);
    this.#put(['MULTI']);
    this.#put(['SET', key, 'locked']);
    if (this.#random() < 0.9) this.#put(['EXEC']);
    else {
      this.#put(['DISCARD']);
      this.#put(['GET', key]);
    }
  }

  /** What makes the session go on over other connections: nothing may overtake what was sent before. */
  #elsewhere(): void {
    const key = this.#pick(TAGGED_KEYS);
    const database = this.#int(3);
    this.#put(['SET', key, this.#value()]);
    this.#put(this.#random() < 0.7 ? ['SELECT', database] : ['CLIENT', 'NO-TOUCH', 'on']);
    this.#put(['GET', key]);
    this.#put(['APPEND', key, 'y']);
    this.#put(['SELECT', this.#random() < 0.8 ? 0 : database]);
    this.#put(['GET', key]);
    if (this.#random() < 0.3) this.#put(['BLPOP', this.#pick(TAGGED_KEYS), '0.001']);
    if (this.#random() < 0.1) this.#put([this.#random() < 0.5 ? 'FLUSHALL' : 'FLUSHDB']);
  }

  #inline(): void {
    const words = this.#command(LOOSE_KEYS).map((word) =>
      Buffer.from(typeof word === 'object' ? word : String(word)),
    );
    if (words.some((word) => word.length > 1000)) return;
    const quoted = words.map((word, i) => (i === 0 ? word.toString('latin1') : quote(word)));
    const end = this.#random() < 0.5 ? '\r\n' : '\n';
    this.parts.push(Buffer.from(quoted.join(' ') + end, 'latin1'));
    this.shown.push(`inline ${quoted.join(' ')}`);
    // Nothing to answer.
    if (this.#random() < 0.3)
      this.parts.push(Buffer.from(this.#pick(['\r\n', '*0\r\n', '*-1\r\n'])));
  }

  #put(words: Words): void {
    this.parts.push(encodeRequest(words));
    this.shown.push(
      words
        .map((word) =>
          typeof word === 'object' ? JSON.stringify(word.toString('latin1').slice(0, 40)) : word,
        )
        .join(' '),
    );
  }
}

function quote(word: Buffer): string {
  return `"${Array.from(word, (byte) => `\\x${byte.toString(16).padStart(2, '0')}`).join('')}"`;
}
