/**
 * How much CPU a command takes at the nodes, relative to a plain GET or SET: asked of the primaries every ten seconds
 * (`INFO commandstats`), by every proxy for itself, so that metering needs nothing of control. Smoothed, and bounded: one
 * slow call must not cost its cache a minute.
 */
import { RespError, textOf } from '../protocol/resp-value.ts';
import { askOnce } from './ask-once.ts';
import type { CommandBook } from './command-book.ts';
import type { CacheRouter } from './routing/cache-router.ts';

const ASK_MS = 10_000;
/** The commands whose time is 1 ECPU. */
const PLAIN = ['get', 'set'];
/** Microseconds of a plain command while too few have been measured: what AWS's cost estimator reckons with. */
const PLAIN_US = 3;
/** Bounds of what is believed of a plain command's time. */
const PLAIN_MINIMUM_US = 0.5;
const PLAIN_MAXIMUM_US = 20;
/** Calls without which a time is not taken for the rule. */
const PLAIN_CALLS = 100;
/** Weight of the newest reading. */
const SMOOTHING = 0.3;
const WEIGHT_MAXIMUM = 1000;

interface Calls {
  readonly calls: number;
  readonly us: number;
}
/** By command name. */
export type CommandStats = ReadonlyMap<string, Calls>;

export class CommandWeights {
  readonly #router: CacheRouter;
  readonly #timer: NodeJS.Timeout;
  /** What each node said last: its counters only grow. */
  readonly #before = new Map<string, CommandStats>();
  readonly #us = new Map<string, number>();
  #plainUs = PLAIN_US;

  constructor(router: CacheRouter) {
    this.#router = router;
    this.#timer = setInterval(() => void this.ask(), ASK_MS);
    this.#timer.unref();
  }

  close(): void {
    clearInterval(this.#timer);
  }

  /** Asks all primaries, and sets the weights by what they did since the last time. */
  async ask(): Promise<void> {
    const router = this.#router;
    const { book } = router;
    if (book === null) return;
    const primaries = router.primaries();
    const grown = await Promise.all(
      primaries.map(async (node) => {
        const reply = await askOnce(router, node, ['INFO', 'commandstats']);
        if (reply === null || reply instanceof RespError) return new Map<string, Calls>();
        return this.#since(addressOf(router, node), parseCommandStats(textOf(reply) ?? ''));
      }),
    );
    this.learn(sumOf(grown), book);
    const asked = new Set(primaries.map((node) => addressOf(router, node)));
    for (const node of this.#before.keys()) if (!asked.has(node)) this.#before.delete(node);
  }

  /** Takes what was called in the last period. */
  learn(stats: CommandStats, book: CommandBook): void {
    const plain = PLAIN.reduce(
      (sum, name) => ({
        calls: sum.calls + (stats.get(name)?.calls ?? 0),
        us: sum.us + (stats.get(name)?.us ?? 0),
      }),
      { calls: 0, us: 0 },
    );
    if (plain.calls >= PLAIN_CALLS) {
      const us = Math.min(PLAIN_MAXIMUM_US, Math.max(PLAIN_MINIMUM_US, plain.us / plain.calls));
      this.#plainUs += SMOOTHING * (us - this.#plainUs);
    }
    for (const [name, { calls, us }] of stats) {
      if (calls === 0) continue;
      const before = this.#us.get(name) ?? us / calls;
      this.#us.set(name, before + SMOOTHING * (us / calls - before));
    }
    for (const planned of book.plans()) {
      const us = this.#us.get(planned.command.name);
      if (us === undefined || planned.metering !== 'measured') continue;
      planned.weight = Math.min(WEIGHT_MAXIMUM, Math.max(1, us / this.#plainUs));
    }
  }

  #since(node: string, now: CommandStats): CommandStats {
    const before = this.#before.get(node);
    this.#before.set(node, now);
    if (before === undefined) return now;
    const grown = new Map<string, Calls>();
    for (const [name, { calls, us }] of now) {
      const last = before.get(name);
      // Fewer than before: it was started anew.
      if (last === undefined || last.calls > calls) grown.set(name, { calls, us });
      else grown.set(name, { calls: calls - last.calls, us: Math.max(0, us - last.us) });
    }
    return grown;
  }
}

function addressOf({ nodes }: CacheRouter, node: number): string {
  const { host, port } = nodes[node]!;
  return `${host}:${port}`;
}

/** Reads `cmdstat_get:calls=3,usec=9,...`. */
export function parseCommandStats(text: string): CommandStats {
  const stats = new Map<string, Calls>();
  for (const [, name, calls, us] of text.matchAll(/^cmdstat_([^:]+):calls=(\d+),usec=(\d+)/gm))
    stats.set(name!, { calls: Number(calls), us: Number(us) });
  return stats;
}

function sumOf(parts: readonly CommandStats[]): CommandStats {
  const sum = new Map<string, Calls>();
  for (const part of parts)
    for (const [name, { calls, us }] of part) {
      const so = sum.get(name) ?? { calls: 0, us: 0 };
      sum.set(name, { calls: so.calls + calls, us: so.us + us });
    }
  return sum;
}
