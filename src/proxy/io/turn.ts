/**
 * One turn of the event loop: everything that is read in it leaves at its end, in one write per connection. This is where
 * the speed of the proxy comes from (DESIGN, "Multiplex"): fewer, larger writes here and at the nodes.
 */

/** A connection with bytes to send. */
export interface Flushable {
  /** Is it in the turn's list already? Set and cleared by Turn only. */
  flushScheduled: boolean;
  flush(): void;
}

export class Turn {
  /** Microseconds on a monotonic clock, read once for each chunk of input instead of for each request. */
  nowUs = 0;

  #upstreams: Flushable[] = [];
  #sessions: Flushable[] = [];
  #spare: Flushable[] = [];
  #armed = false;
  readonly #run = (): void => this.#flushAll();

  /** Reads the clock; called at the start of each input event. */
  tick(): void {
    this.nowUs = performance.now() * 1000;
  }

  flushUpstream(upstream: Flushable): void {
    if (upstream.flushScheduled) return;
    upstream.flushScheduled = true;
    this.#upstreams.push(upstream);
    this.#arm();
  }

  flushSession(session: Flushable): void {
    if (session.flushScheduled) return;
    session.flushScheduled = true;
    this.#sessions.push(session);
    this.#arm();
  }

  #arm(): void {
    if (this.#armed) return;
    this.#armed = true;
    setImmediate(this.#run);
  }

  #flushAll(): void {
    this.#armed = false;
    // Nodes first: they work while the replies to clients are written.
    this.#upstreams = this.#drain(this.#upstreams);
    this.#sessions = this.#drain(this.#sessions);
  }

  #drain(list: Flushable[]): Flushable[] {
    const next = this.#spare;
    for (const item of list) {
      item.flushScheduled = false;
      item.flush();
    }
    list.length = 0;
    this.#spare = list;
    return next;
  }
}
