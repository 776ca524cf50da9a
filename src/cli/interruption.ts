/** Ctrl-C, SIGTERM and a closed terminal: the first stops what is done, the next one stops waiting for the stop. */

/** npm passes on the signal that the terminal has sent to the whole group already: two so close together are one. */
const SAME_SIGNAL_MS = 400;

export class Interruption {
  readonly #first = new AbortController();
  readonly #second = new AbortController();
  #firstAtMs = 0;
  /** Resolves with null at the first signal. */
  readonly happened: Promise<null>;

  constructor() {
    this.happened = new Promise((resolve) => {
      this.#first.signal.addEventListener('abort', () => resolve(null), { once: true });
    });
    for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
      process.on(name, () => this.#take());
    }
  }

  /** For the work that the first signal ends. */
  get signal(): AbortSignal {
    return this.#first.signal;
  }

  /** For the work that the first signal begins. */
  get second(): AbortSignal {
    return this.#second.signal;
  }

  #take(): void {
    if (!this.#first.signal.aborted) {
      this.#firstAtMs = Date.now();
      this.#first.abort();
    } else if (Date.now() - this.#firstAtMs > SAME_SIGNAL_MS) {
      this.#second.abort();
    }
  }
}
