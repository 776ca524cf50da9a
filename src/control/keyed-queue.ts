/**
 * A queue of keys, after controller-runtime's: a key is a thing to look at, not a thing to do, so that many reasons to
 * look are one look. At most one run per key at a time; a key added while it runs is run once more afterwards. Failed
 * runs come back with growing delay.
 *
 *   add(key) -> [waiting] -> run -> done | requeue after | failed: retry with back-off
 */
export type RunResult = { readonly requeueAfterMs?: number };

interface Lane {
  running: AbortController | null;
  /** Added while running. */
  again: boolean;
  failures: number;
  timer: NodeJS.Timeout | null;
  idle: (() => void)[];
}

const RETRY_FIRST_MS = 100;
const RETRY_LAST_MS = 10_000;

export class KeyedQueue {
  readonly #lanes = new Map<string, Lane>();
  readonly #run: (key: string, signal: AbortSignal) => Promise<RunResult>;
  readonly #onError: (key: string, error: unknown, retryMs: number) => void;
  #stopped = false;

  /**
   * @param run looks at one key; its signal is aborted when the key is interrupted or the queue stops
   * @param onError told of each failed run, with the delay until the next
   */
  constructor(
    run: (key: string, signal: AbortSignal) => Promise<RunResult>,
    onError: (key: string, error: unknown, retryMs: number) => void,
  ) {
    this.#run = run;
    this.#onError = onError;
  }

  /**
   * Has the key looked at as soon as possible: at once, synchronously up to the run's first await, if it is idle.
   *
   * @param interrupt abort the run under way, because what it looked at is no longer so
   * @param patient nothing new: a run under way, or one that waits for its time, is as good
   */
  add(key: string, options: { interrupt?: boolean; patient?: boolean } = {}): void {
    if (this.#stopped) return;
    const lane = this.#lane(key);
    if (options.patient && (lane.running !== null || lane.timer !== null)) return;
    if (lane.running !== null) {
      lane.again = true;
      if (options.interrupt) lane.running.abort(new Error('interrupted'));
      return;
    }
    this.#clearTimer(lane);
    void this.#go(key, lane);
  }

  /** Resolves when nothing runs for the key and nothing waits to run at once. */
  async idle(key: string): Promise<void> {
    for (;;) {
      const lane = this.#lanes.get(key);
      if (lane === undefined || lane.running === null) return;
      await new Promise<void>((resolve) => lane.idle.push(resolve));
    }
  }

  /** Aborts what runs for the key, forgets what waits, resolves when nothing of it is left. */
  async drain(key: string): Promise<void> {
    const lane = this.#lanes.get(key);
    if (lane === undefined) return;
    this.#clearTimer(lane);
    lane.again = false;
    if (lane.running !== null) {
      lane.running.abort(new Error('drained'));
      await new Promise<void>((resolve) => lane.idle.push(resolve));
      this.#clearTimer(lane);
    }
    this.#lanes.delete(key);
  }

  /** Drains every key that begins so. */
  async drainAll(prefix: string): Promise<void> {
    const keys = [...this.#lanes.keys()].filter((key) => key.startsWith(prefix));
    await Promise.all(keys.map((key) => this.drain(key)));
  }

  /** Stops for good: nothing new is run; resolves when what ran has ended. */
  async stop(): Promise<void> {
    this.#stopped = true;
    await Promise.all([...this.#lanes.keys()].map((key) => this.drain(key)));
  }

  #lane(key: string): Lane {
    let lane = this.#lanes.get(key);
    if (lane === undefined) {
      lane = { running: null, again: false, failures: 0, timer: null, idle: [] };
      this.#lanes.set(key, lane);
    }
    return lane;
  }

  async #go(key: string, lane: Lane): Promise<void> {
    const abort = new AbortController();
    lane.running = abort;
    let delayMs: number | undefined;
    try {
      const result = await this.#run(key, abort.signal);
      lane.failures = 0;
      delayMs = result.requeueAfterMs;
    } catch (error) {
      // An interrupted run failed because it was told to; the run that follows sees why.
      if (!abort.signal.aborted) {
        lane.failures++;
        delayMs = Math.min(RETRY_LAST_MS, RETRY_FIRST_MS * 2 ** (lane.failures - 1));
        this.#onError(key, error, delayMs);
      }
    }
    lane.running = null;
    // Told in a later microtask: by then a run that follows at once has begun.
    for (const resolve of lane.idle.splice(0)) resolve();
    if (this.#stopped || this.#lanes.get(key) !== lane) return;
    if (lane.again) {
      lane.again = false;
      void this.#go(key, lane);
    } else if (delayMs !== undefined) {
      lane.timer = setTimeout(() => {
        lane.timer = null;
        if (lane.running === null) void this.#go(key, lane);
      }, delayMs);
      lane.timer.unref();
    }
  }

  #clearTimer(lane: Lane): void {
    if (lane.timer !== null) clearTimeout(lane.timer);
    lane.timer = null;
  }
}
