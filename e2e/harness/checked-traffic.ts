/**
 * Traffic that knows what it must read. Each connection has keys of its own and writes ever higher numbers to them; a value is
 * `key=number`. A write that was acknowledged must be read until the next one; one whose outcome is unknown (INDOUBT, a cut
 * connection) may be; one that was refused must not. Counters tell whether anything was executed twice.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { encodeRequest } from '../../src/protocol/request-encoder.ts';
import { decodeReply, RespError, textOf, type RespValue } from '../../src/protocol/resp-value.ts';
import type { RawClient, RawClientOptions } from './raw-client.ts';

/** What can be connected to: a ServedCache, or a cache of a real daemon. */
export interface Endpoint {
  connect(options?: RawClientOptions): Promise<RawClient>;
}

export interface LostWrite {
  readonly key: string;
  readonly acknowledged: number;
  readonly found: number;
  /** performance.now() of the acknowledgement of the last one that is lost, and of the first. */
  readonly acknowledgedMs: number;
  readonly firstLostMs: number;
}

/** Acknowledged INCRs that a counter does not show: how many, and when the last and the first of them were acknowledged. */
export interface LostCount {
  readonly key: string;
  readonly count: number;
  readonly acknowledgedMs: number;
  readonly firstLostMs: number;
}

interface KeyState {
  readonly key: string;
  acknowledged: number;
  acknowledgedMs: number;
  readonly doubtful: Set<number>;
  readonly history: AckHistory;
}

/** When the last few hundred numbers were acknowledged: how old what is lost is. */
class AckHistory {
  readonly #entries: { readonly number: number; readonly atMs: number }[] = [];
  #isWhole = true;

  add(number: number): void {
    this.#entries.push({ number, atMs: performance.now() });
    if (this.#entries.length <= 2 * HISTORY) return;
    this.#entries.splice(0, HISTORY);
    this.#isWhole = false;
  }

  /** Everything above `found` is lost: when the first of it was acknowledged; 0 when that is longer ago than what is kept. */
  lose(found: number): number {
    const isKnown = this.#isWhole || this.#entries[0]!.number <= found;
    const at = this.#entries.findIndex(({ number }) => number > found);
    const [first] = at < 0 ? [] : this.#entries.splice(at);
    return isKnown ? (first?.atMs ?? 0) : 0;
  }
}

const KEYS_EACH = 8;
const NO_VALUE = 0;
const HISTORY = 400;

export interface CheckedTrafficOptions {
  /** Between two rounds of a connection, so that there is processor left for what is tested. */
  readonly pauseMs?: number;
  /** Everything is read before it is written over, so that no loss stays unseen; it takes a round trip more. */
  readonly readsFirst?: boolean;
  /** Told of each error as it comes: INDOUBT, CLUSTERDOWN, ..., or `connection closed`; and of what was asked how long ago. */
  onError?(kind: string, asked: string): void;
}

export class CheckedTraffic {
  requests = 0;
  /** Longest time that one round of requests took. */
  slowestMs = 0;
  readonly wrong: string[] = [];
  readonly lost: LostWrite[] = [];
  readonly lostCounts: LostCount[] = [];
  readonly errors = new Map<string, number>();
  readonly #onError: (kind: string, asked: string) => void;
  readonly #clients: CheckedClient[];

  /**
   * @param name begins its keys: unlike that of any other traffic on the same cache
   */
  constructor(
    cache: Endpoint,
    name: string,
    connections: number,
    options: CheckedTrafficOptions = {},
  ) {
    this.#onError = (kind, asked) => options.onError?.(kind, asked);
    this.#clients = Array.from(
      { length: connections },
      (_, i) => new CheckedClient(this, cache, `${name}-${i}`, options),
    );
  }

  /** Acknowledged INCRs that counters do not show. */
  get lostIncrements(): number {
    return this.lostCounts.reduce((sum, { count }) => sum + count, 0);
  }

  /** All keys that are written. */
  get keys(): string[] {
    return this.#clients.flatMap((client) => client.keys);
  }

  start(): void {
    for (const client of this.#clients) client.start();
  }

  /** Breaks the clients' own connections; they come back. */
  cut(): void {
    for (const client of this.#clients) client.cut();
  }

  /** Ends the traffic, and reads everything once more. */
  async stop(): Promise<void> {
    await Promise.all(this.#clients.map((client) => client.stop()));
  }

  /** An error that a client got, and for what. */
  count(kind: string, asked: string): void {
    this.errors.set(kind, (this.errors.get(kind) ?? 0) + 1);
    this.#onError(kind, asked);
  }

  get report(): string {
    const errors = [...this.errors].map(([kind, count]) => `${kind} ${count}`).join(', ') || 'none';
    return `${this.requests} requests, ${this.wrong.length} wrong values, ${this.lost.length} acknowledged writes lost, errors: ${errors}, slowest round ${Math.round(this.slowestMs)} ms`;
  }
}

type Expectation = (reply: RespValue | null) => void;

class CheckedClient {
  readonly keys: string[];
  readonly #traffic: CheckedTraffic;
  readonly #cache: Endpoint;
  readonly #states: KeyState[];
  readonly #counterKey: string;
  readonly #options: CheckedTrafficOptions;
  #counted = 0;
  #countedMs = 0;
  readonly #counts = new AckHistory();
  #maybeCounted = 0;
  #sequence = 0;
  #wire: RawClient | null = null;
  #stopping = false;
  #done: Promise<void> = Promise.resolve();
  /** What is answered now. */
  #request: Buffer | null = null;
  #askedMs = 0;

  constructor(
    traffic: CheckedTraffic,
    cache: Endpoint,
    name: string,
    options: CheckedTrafficOptions,
  ) {
    this.#traffic = traffic;
    this.#options = options;
    this.#cache = cache;
    this.#counterKey = `${name}-count`;
    this.keys = Array.from({ length: KEYS_EACH }, (_, i) => `${name}-${i}`);
    this.#states = this.keys.map((key) => ({
      key,
      acknowledged: NO_VALUE,
      acknowledgedMs: 0,
      doubtful: new Set(),
      history: new AckHistory(),
    }));
  }

  start(): void {
    this.#done = this.#run();
    // Told by stop().
    this.#done.catch(() => {});
  }

  cut(): void {
    this.#wire?.close();
  }

  async stop(): Promise<void> {
    this.#stopping = true;
    await this.#done;
    const wire = await this.#connected();
    const count = Number(textOf(await wire.call('GET', this.#counterKey)) ?? 0);
    this.#found(count, this.#counted);
    await this.#round(false);
    this.#wire?.close();
  }

  async #run(): Promise<void> {
    const { pauseMs = 0, readsFirst = false } = this.#options;
    while (!this.#stopping) {
      const startedMs = performance.now();
      if (readsFirst) await this.#round(false);
      await this.#round(true);
      this.#traffic.slowestMs = Math.max(this.#traffic.slowestMs, performance.now() - startedMs);
      if (pauseMs > 0) await delay(pauseMs);
    }
  }

  async #connected(): Promise<RawClient> {
    for (let tries = 0; this.#wire === null || this.#wire.closed; tries++) {
      try {
        this.#wire = await this.#cache.connect({ timeoutMs: 30_000 });
      } catch (error) {
        if (tries > 500) throw error;
        await delay(10);
      }
    }
    return this.#wire;
  }

  /** One pipeline: every key written and read, over several slots at once and in a transaction too. */
  async #round(writing: boolean): Promise<void> {
    const wire = await this.#connected();
    const requests: Buffer[] = [];
    const expectations: Expectation[] = [];
    const put = (words: (string | number)[], expectation: Expectation) => {
      requests.push(encodeRequest(words));
      expectations.push(expectation);
    };
    for (const [i, state] of this.#states.entries()) {
      if (writing) {
        const number = ++this.#sequence;
        const value = `${state.key}=${number}`;
        if (i === 0) {
          put(['MULTI'], (reply) => this.#accepted(reply));
          put(['SET', state.key, value], (reply) => this.#accepted(reply));
          put(['EXEC'], (reply) =>
            this.#written(state, number, Array.isArray(reply) ? reply[0]! : reply),
          );
        } else {
          put(['SET', state.key, value], (reply) => this.#written(state, number, reply));
        }
      }
      put(['GET', state.key], (reply) => this.#read(state, reply));
    }
    if (writing) put(['INCR', this.#counterKey], (reply) => this.#incremented(reply));
    put(['MGET', ...this.keys], (reply) => {
      if (Array.isArray(reply))
        for (const [i, state] of this.#states.entries()) this.#read(state, reply[i]!);
      else this.#failed(reply);
    });
    wire.write(Buffer.concat(requests));
    this.#askedMs = performance.now();
    for (const [at, expectation] of expectations.entries()) {
      const reply = await wire.reply().catch((cause: unknown) => {
        throw new Error(
          `no answer to ${requests[at]!.toString('latin1').replaceAll('\r\n', ' ')}`,
          { cause },
        );
      });
      this.#traffic.requests++;
      this.#request = requests[at]!;
      expectation(reply === null ? null : decodeReply(reply));
    }
  }

  #written(state: KeyState, number: number, reply: RespValue | null): void {
    if (textOf(reply ?? undefined) === 'OK') {
      state.acknowledged = number;
      state.acknowledgedMs = performance.now();
      state.history.add(number);
      return;
    }
    const unknown = reply === null || (reply instanceof RespError && reply.kind === 'INDOUBT');
    if (unknown) state.doubtful.add(number);
    this.#failed(reply);
  }

  #incremented(reply: RespValue | null): void {
    if (typeof reply === 'number') {
      this.#found(reply, this.#counted + 1);
      this.#countedMs = performance.now();
      this.#counts.add(reply);
      return;
    }
    if (reply === null || (reply instanceof RespError && reply.kind === 'INDOUBT'))
      this.#maybeCounted++;
    this.#failed(reply);
  }

  /** The counter is `count` now; with nothing doubtful it would be `expected`. */
  #found(count: number, expected: number): void {
    if (count > expected + this.#maybeCounted) {
      this.#traffic.wrong.push(
        `${this.#counterKey} is ${count}: more than ${expected} acknowledged and ${this.#maybeCounted} doubtful`,
      );
    }
    if (count < expected) {
      this.#traffic.lostCounts.push({
        key: this.#counterKey,
        count: expected - count,
        acknowledgedMs: this.#countedMs,
        firstLostMs: this.#counts.lose(count - (expected - this.#counted)),
      });
    }
    // Doubtful ones that show are doubtful no longer.
    this.#maybeCounted -= Math.min(this.#maybeCounted, Math.max(0, count - expected));
    this.#counted = count;
  }

  #read(state: KeyState, reply: RespValue | null): void {
    if (reply instanceof RespError) return this.#failed(reply);
    const text = textOf(reply ?? undefined);
    // A cut connection and a key that is not there look alike here; the first is seen by every other reply too.
    if (reply === null && this.#wire?.closed === true) return this.#failed(null);
    const found =
      text === null
        ? NO_VALUE
        : Number(text.startsWith(`${state.key}=`) ? text.slice(state.key.length + 1) : NaN);
    if (found === state.acknowledged || state.doubtful.has(found)) return;
    if (found < state.acknowledged && found >= NO_VALUE) {
      const { key, acknowledged, acknowledgedMs } = state;
      const firstLostMs = state.history.lose(found);
      this.#traffic.lost.push({ key, acknowledged, found, acknowledgedMs, firstLostMs });
      state.acknowledged = found;
      return;
    }
    this.#traffic.wrong.push(
      `${state.key} was ${text}; acknowledged ${state.acknowledged}, doubtful ${[...state.doubtful].slice(-5).join()}`,
    );
  }

  #failed(reply: RespValue | null): void {
    if (reply === null) this.#traffic.count('connection closed', this.#asked);
    else if (reply instanceof RespError) this.#traffic.count(reply.kind, this.#asked);
    else this.#traffic.wrong.push(`unexpected reply ${JSON.stringify(textOf(reply))}`);
  }

  #accepted(reply: RespValue | null): void {
    const text = textOf(reply ?? undefined);
    if (text === 'OK' || text === 'QUEUED') return;
    this.#failed(reply);
  }

  get #asked(): string {
    const words = String(this.#request)
      .split('\r\n')
      .filter((_, i) => i > 0 && i % 2 === 0);
    return `${words.join(' ')}, ${Math.round(performance.now() - this.#askedMs)} ms before`;
  }
}
