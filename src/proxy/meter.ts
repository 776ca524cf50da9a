/** Counts what one cache does on this proxy. Counters only grow; `model/usage.ts` says what each one means. */
import {
  COMMAND_GROUPS,
  LATENCY_BOUNDS_US,
  type CommandGroup,
  type LatencyHistogram,
} from '../model/usage.ts';

/** Kinds of errors told apart; any further ones are counted as `other`, so that a client cannot make names at will. */
const ERROR_KINDS_MAXIMUM = 64;
const KIND_LENGTH_MAXIMUM = 24;

export class Meter {
  requests = 0;
  connections = 0;
  connectionsTotal = 0;
  connectionsRefused = 0;
  authFailures = 0;
  bytesIn = 0;
  bytesOut = 0;
  pauses = 0;
  retries = 0;
  held = 0;
  slowReadersCut = 0;
  nearHits = 0;
  nearFills = 0;
  nearInvalidations = 0;
  nearDrops = 0;
  readonly #requestsByGroup = new Float64Array(COMMAND_GROUPS.length);
  readonly #errors = new Map<string, number>();
  readonly #buckets = COMMAND_GROUPS.map(() => new Float64Array(LATENCY_BOUNDS_US.length + 1));
  readonly #sumUs = new Float64Array(COMMAND_GROUPS.length);

  /** One request answered after `us` microseconds. Hot. */
  answered(group: number, us: number): void {
    this.requests++;
    this.#requestsByGroup[group]!++;
    this.#sumUs[group]! += us;
    let bucket = 0;
    while (bucket < LATENCY_BOUNDS_US.length && us > LATENCY_BOUNDS_US[bucket]!) bucket++;
    this.#buckets[group]![bucket]!++;
  }

  /** The first word of an error reply at `buf[start]`, which is the `-`. */
  failed(buf: Buffer, start: number, end: number): void {
    let stop = start + 1;
    const limit = Math.min(end, start + 1 + KIND_LENGTH_MAXIMUM);
    while (stop < limit && buf[stop]! >= 65 && buf[stop]! <= 90) stop++;
    const kind = stop > start + 1 ? buf.toString('latin1', start + 1, stop) : 'other';
    const known = this.#errors.get(kind);
    if (known !== undefined) this.#errors.set(kind, known + 1);
    else if (this.#errors.size < ERROR_KINDS_MAXIMUM) this.#errors.set(kind, 1);
    else this.#errors.set('other', (this.#errors.get('other') ?? 0) + 1);
  }

  requestsByGroup(): Record<CommandGroup, number> {
    return byGroup((group) => this.#requestsByGroup[group]!);
  }

  errorsByKind(): Record<string, number> {
    return Object.fromEntries(this.#errors);
  }

  latencyByGroup(): Record<CommandGroup, LatencyHistogram> {
    return byGroup((group) => ({
      buckets: [...this.#buckets[group]!],
      count: this.#requestsByGroup[group]!,
      sumUs: Math.round(this.#sumUs[group]!),
    }));
  }
}

function byGroup<T>(valueOf: (group: number) => T): Record<CommandGroup, T> {
  return Object.fromEntries(COMMAND_GROUPS.map((name, group) => [name, valueOf(group)])) as Record<
    CommandGroup,
    T
  >;
}
