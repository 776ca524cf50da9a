/** The replies that are kept of hot keys: for how long, and how much that is. */
import type { Meter } from '../meter.ts';
import { NEAR_REPLY_BYTES, type NearFill, type NearOutcome } from './near-fill.ts';
import type { NearEntry, NearKey } from './near-key.ts';

/** A kept reply is read again after this long, whatever its node says. */
const LIFE_MS = 1000;
/** A part of its life, after which it is read again while it is still given. */
const RENEW_PART = 0.8;
/** What is not to be kept is not tried again before. */
const UNFIT_MS = 1000;
const LARGE_MS = 30_000;
const BYTES_MAXIMUM = 8 * 1024 * 1024;

export class KeptReplies {
  readonly #meter: Meter;
  #sizeBytes = 0;

  constructor(meter: Meter) {
    this.#meter = meter;
  }

  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  /** There may be no room for one more. */
  get full(): boolean {
    return this.#sizeBytes > BYTES_MAXIMUM - NEAR_REPLY_BYTES;
  }

  /** Keeps what a fill has read, or that there is nothing to be kept for the time being. */
  keep(
    key: NearKey,
    { form, link, sentUs }: NearFill,
    outcome: Exclude<NearOutcome, { kind: 'passed' }>,
  ): void {
    const { request, user, database } = form;
    const liveUs = 1000 * liveMsOf(outcome);
    const reply = outcome.kind === 'value' ? outcome.reply : null;
    const untilUs = sentUs + liveUs;
    const renewUs = sentUs + liveUs * RENEW_PART;
    const entry: NearEntry = {
      request, user, database, link, reply, resp2: undefined, untilUs, renewUs, hits: 0,
    }; // prettier-ignore
    this.#sizeBytes += sizeOf(entry);
    this.#subtract(key.put(entry));
  }

  /** The key has changed, or may have: nothing that was read before is given any more. */
  drop(key: NearKey, nowUs: number): void {
    const gone = key.drop(nowUs);
    this.#subtract(gone);
    this.#meter.nearDrops += gone.length;
  }

  dropExpired(keys: readonly NearKey[], nowUs: number): void {
    for (const key of keys) {
      const gone = key.entries.filter(({ untilUs }) => untilUs < nowUs);
      if (gone.length === 0) continue;
      key.entries = key.entries.filter((entry) => !gone.includes(entry));
      this.#subtract(gone);
    }
  }

  #subtract(gone: readonly NearEntry[]): void {
    for (const entry of gone) this.#sizeBytes -= sizeOf(entry);
  }
}

function liveMsOf(outcome: Exclude<NearOutcome, { kind: 'passed' }>): number {
  if (outcome.kind === 'value') return Math.min(LIFE_MS, outcome.liveMs);
  return outcome.isLarge ? LARGE_MS : UNFIT_MS;
}

/** Twice the reply: it may be there in both versions. */
function sizeOf({ request, reply }: NearEntry): number {
  return request.length + 2 * (reply?.length ?? 0);
}
