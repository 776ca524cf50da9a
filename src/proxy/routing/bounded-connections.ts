/**
 * The private connections that carry requests which are to be answered within the deadline, unlike those of who may wait
 * for ever (BLPOP, WAIT, subscriptions): StallWatch looks at them as at the shared ones. They are
 *
 * - those of large requests: one at a time has a connection to its node for itself, for on the shared one everybody would
 *   wait until its last byte is written, and a node that takes seconds to read it would look as if it hung;
 * - those of somebody else, while a question on them is not answered (EXEC on the connection that watches).
 */
import type { Lane } from './lane.ts';
import type { Upstream } from './upstream.ts';

/** A connection for large requests is kept this long for the next one. */
const IDLE_MS = 10_000;

export class BoundedConnections {
  readonly #open: (lane: Lane, node: number) => Upstream;
  /** Those for large requests, at work or not. */
  readonly #large = new Map<Upstream, Lane>();
  readonly #asked = new Set<Upstream>();

  /** @param open makes a private connection of the lane's kind to a node */
  constructor(open: (lane: Lane, node: number) => Upstream) {
    this.#open = open;
  }

  /** A connection for one large request, which is sent at once: with its reply the connection is free again. */
  largeFor(lane: Lane, node: number): Upstream {
    for (const [upstream, at] of this.#large) {
      if (at === lane && upstream.node === node && upstream.pending === 0 && !upstream.closed)
        return upstream;
    }
    const upstream = this.#open(lane, node);
    this.#large.set(upstream, lane);
    return upstream;
  }

  /** Somebody's private connection is asked something: it is looked at until `answered`. */
  asked(upstream: Upstream): void {
    this.#asked.add(upstream);
  }

  answered(upstream: Upstream): void {
    this.#asked.delete(upstream);
  }

  /** All of them, at work or not. */
  *all(): Iterable<Upstream> {
    yield* this.#large.keys();
    yield* this.#asked;
  }

  /** What clients that have gone had sent is ended: it would be held, and counted as nobody's, until its node takes it. */
  endAbandoned(): void {
    for (const upstream of this.all()) if (upstream.abandoned) upstream.destroy();
  }

  /** Called about once a second. */
  dropIdle(): void {
    const longAgoUs = (performance.now() - IDLE_MS) * 1000;
    for (const [upstream, lane] of this.#large) {
      // What a tracking client has read over it would be tracked no more: it has them until it goes.
      if (upstream.pending > 0 || upstream.lastActivityUs > longAgoUs || lane.kind.tracking)
        continue;
      this.#large.delete(upstream);
      upstream.destroy();
    }
  }

  dropLane(lane: Lane): void {
    for (const [upstream, at] of this.#large) if (at === lane) upstream.destroy();
  }

  onClosed(upstream: Upstream): void {
    this.#large.delete(upstream);
    this.#asked.delete(upstream);
  }
}
