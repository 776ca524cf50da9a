/**
 * The request limit of one cache on this proxy: its share of the cache's ECPU per second, as a token bucket. A request over it
 * is not refused but waits: its client is not read (STALL_LIMIT), in the order of arrival, until there is work to be had again.
 * Only one that would wait longer than the cache's deadline is answered with an error.
 *
 * A request takes one token when it is let in; what it cost above that is known, and taken, with its reply: the tokens may be
 * below zero then, and those who come next wait for that. Control divides the cache's limit among the proxies by their demand
 * (`ecpu-share`); without it a proxy keeps its last share, and begins with an equal one.
 */

/** A client that can be made to wait. */
export interface LimitedClient {
  /** It may go on: come again with the request that was made to wait. Not called from within `admit`. */
  onAdmitted(): void;
}

export const LIMIT_ADMITTED = 0;
export const LIMIT_WAIT = 1;
export const LIMIT_REFUSED = 2;
export type LimitVerdict = typeof LIMIT_ADMITTED | typeof LIMIT_WAIT | typeof LIMIT_REFUSED;

/** What may be used at once after a pause: so many seconds' worth. */
const BURST_SECONDS = 0.25;
/** Waiting clients are looked at this often. */
const PUMP_MS = 5;
/** A client that is held up otherwise gives what it was granted back after this. */
const GRANT_MS = 50;

interface Place {
  readonly client: LimitedClient;
  readonly sinceMs: number;
  /** Requests that it may make now, and since when. */
  granted: number;
  grantedMs: number;
  /** It has waited as long as it may. */
  expired: boolean;
  waiting: boolean;
}

export class RequestLimit {
  /** Requests that had to wait, and those that were answered with an error instead. */
  throttled = 0;
  refused = 0;
  readonly #now: () => number;
  readonly #deadlineMs: () => number;
  /** ECPU per second of the whole cache; 0: no limit. */
  #maximum = 0;
  #share = 0;
  #tokens = 0;
  /** Tokens that clients have been granted and not taken yet. */
  #promised = 0;
  #filledMs: number;
  readonly #places = new Map<LimitedClient, Place>();
  /** Those who wait, the first first. Some have gone. */
  #queue: Place[] = [];
  #waiting = 0;
  #waitedMs = 0;
  #waitedUntilMs: number;
  #pump: NodeJS.Timeout | null = null;

  /** @param now milliseconds of a monotonic clock */
  constructor(deadlineMs: () => number, now: () => number = () => performance.now()) {
    this.#deadlineMs = deadlineMs;
    this.#now = now;
    this.#filledMs = now();
    this.#waitedUntilMs = this.#filledMs;
  }

  /** False: nobody has to ask. */
  get active(): boolean {
    return this.#maximum > 0;
  }

  get share(): number {
    return this.#share;
  }

  /** Milliseconds that clients have waited, all together; only grows. */
  get waitedMs(): number {
    this.#countWaiting();
    return this.#waitedMs;
  }

  /** ECPU per second of the cache, and how many proxies share it until control has said how. */
  setMaximum(maximum: number, proxies: number): void {
    if (maximum === this.#maximum) return;
    const part = this.#maximum > 0 ? this.#share / this.#maximum : 1 / proxies;
    const wasActive = this.active;
    this.#maximum = maximum;
    this.setShare(maximum * part);
    if (!wasActive) this.#tokens = this.#share * BURST_SECONDS;
    if (!this.active) this.#letAllIn();
  }

  setShare(ecpuPerSecond: number): void {
    this.#fill();
    this.#share = ecpuPerSecond;
    this.#tokens = Math.min(this.#tokens, this.#burst);
  }

  /** May the client's next metered request be sent on? Hot while there is a limit. */
  admit(client: LimitedClient): LimitVerdict {
    if (!this.active) return LIMIT_ADMITTED;
    const place = this.#places.get(client);
    if (place !== undefined && !place.waiting) {
      if (place.expired) {
        this.#places.delete(client);
        this.refused++;
        return LIMIT_REFUSED;
      }
      place.granted--;
      this.#promised--;
      this.#tokens--;
      if (place.granted === 0) this.#places.delete(client);
      return LIMIT_ADMITTED;
    }
    this.#fill();
    if (this.#waiting === 0 && this.#tokens - this.#promised >= 1) {
      this.#tokens--;
      return LIMIT_ADMITTED;
    }
    const aheadEcpu = 1 + this.#waiting + this.#promised - this.#tokens;
    if (aheadEcpu * 1000 > this.#deadlineMs() * this.#share) {
      this.refused++;
      return LIMIT_REFUSED;
    }
    this.#wait(client);
    return LIMIT_WAIT;
  }

  /** The client has gone on as far as it could: what it was granted beyond that is the others'. */
  settle(client: LimitedClient): void {
    const place = this.#places.get(client);
    if (place === undefined || place.waiting) return;
    this.#promised -= place.granted;
    this.#places.delete(client);
  }

  /** The client has gone. */
  leave(client: LimitedClient): void {
    const place = this.#places.get(client);
    if (place === undefined) return;
    if (place.waiting) {
      this.#countWaiting();
      place.waiting = false;
      this.#waiting--;
    } else {
      this.#promised -= place.granted;
    }
    this.#places.delete(client);
  }

  /** What a request that was let in cost above its token. Hot while there is a limit. */
  charge(ecpu: number): void {
    this.#tokens -= ecpu;
  }

  close(): void {
    if (this.#pump !== null) clearTimeout(this.#pump);
    this.#pump = null;
  }

  get #burst(): number {
    return Math.max(1, this.#share * BURST_SECONDS);
  }

  #fill(): void {
    const nowMs = this.#now();
    this.#tokens = Math.min(
      this.#burst,
      this.#tokens + ((nowMs - this.#filledMs) * this.#share) / 1000,
    );
    this.#filledMs = nowMs;
  }

  #wait(client: LimitedClient): void {
    this.#countWaiting();
    const place = {
      client,
      sinceMs: this.#now(),
      granted: 0,
      grantedMs: 0,
      expired: false,
      waiting: true,
    };
    this.#places.set(client, place);
    this.#queue.push(place);
    this.#waiting++;
    this.throttled++;
    this.#arm();
  }

  #arm(): void {
    this.#pump ??= setTimeout(() => {
      this.#pump = null;
      this.#letIn();
      if (this.#waiting > 0) this.#arm();
    }, PUMP_MS);
  }

  /** Shares what there is among those who wait, the same for each: who asks for much does not take it from the others. */
  #letIn(): void {
    this.#fill();
    this.#countWaiting();
    if (this.#promised > 0) this.#withdrawGrants();
    const free = Math.floor(this.#tokens - this.#promised);
    const clients = Math.min(this.#waiting, Math.max(0, free));
    const each = clients === 0 ? 0 : Math.floor(free / clients);
    const late = this.#now() - this.#deadlineMs();
    let first = 0;
    let entered = 0;
    for (; first < this.#queue.length; first++) {
      const place = this.#queue[first]!;
      if (!place.waiting) continue;
      const expired = place.sinceMs < late;
      if (!expired && entered === clients) break;
      place.waiting = false;
      this.#waiting--;
      if (expired) {
        place.expired = true;
      } else {
        entered++;
        place.granted = each;
        place.grantedMs = this.#filledMs;
        this.#promised += each;
      }
      place.client.onAdmitted();
    }
    this.#queue = this.#queue.slice(first);
  }

  #withdrawGrants(): void {
    for (const [client, place] of this.#places) {
      if (place.waiting || this.#filledMs - place.grantedMs < GRANT_MS) continue;
      this.settle(client);
    }
  }

  /** There is no limit any more. */
  #letAllIn(): void {
    const waiting = this.#queue.filter((place) => place.waiting);
    this.#countWaiting();
    this.#queue = [];
    this.#places.clear();
    this.#waiting = 0;
    this.#promised = 0;
    for (const { client } of waiting) client.onAdmitted();
  }

  #countWaiting(): void {
    const nowMs = this.#now();
    this.#waitedMs += this.#waiting * (nowMs - this.#waitedUntilMs);
    this.#waitedUntilMs = nowMs;
  }
}
