/** A hot key and the replies that are kept for it. */
import type { NearFill } from './near-fill.ts';
import type { NearLink } from './near-link.ts';

/** A reply, or (`reply` null) that there is none to be kept for the time being. */
export interface NearEntry {
  readonly request: Buffer;
  readonly user: string;
  readonly database: number;
  readonly link: NearLink;
  readonly reply: Buffer | null;
  /** Made when it is first asked for; null: it cannot be made. */
  resp2: Buffer | null | undefined;
  /** Not given after this (Turn's clock). */
  readonly untilUs: number;
  /** From here on it is read again while it is still given. */
  readonly renewUs: number;
  hits: number;
}

/** Different reads of one key that are kept. */
const FORMS_MAXIMUM = 16;
/** A reply that was given less often was not worth its read. */
const WORTHWHILE_HITS = 4;
const STRIKES_MAXIMUM = 10;

export class NearKey {
  readonly bytes: Buffer;
  readonly slot: number;
  entries: NearEntry[] = [];
  fills: NearFill[] = [];
  /** After changes that came too fast: nothing is read to be kept before this. */
  quietUntilUs = 0;
  #strikes = 0;

  constructor(bytes: Buffer, slot: number) {
    this.bytes = bytes;
    this.slot = slot;
  }

  find(
    buf: Buffer,
    start: number,
    end: number,
    user: string,
    database: number,
  ): NearEntry | undefined {
    for (const entry of this.entries)
      if (
        entry.database === database &&
        entry.user === user &&
        isEqual(entry.request, buf, start, end)
      )
        return entry;
    return undefined;
  }

  fillOf(
    buf: Buffer,
    start: number,
    end: number,
    user: string,
    database: number,
  ): NearFill | undefined {
    for (const fill of this.fills) {
      const { form } = fill;
      if (fill.discarded || form.database !== database || form.user !== user) continue;
      if (isEqual(form.request, buf, start, end)) return fill;
    }
    return undefined;
  }

  mayFill(nowUs: number): boolean {
    return nowUs >= this.quietUntilUs && this.fills.length < FORMS_MAXIMUM;
  }

  /** Keeps the entry in the place of the one for the same form. Returns what had to go. */
  put(entry: NearEntry): NearEntry[] {
    const { request, user, database } = entry;
    const former = this.find(request, 0, request.length, user, database);
    const gone = former === undefined ? [] : [former];
    if (former === undefined && this.entries.length >= FORMS_MAXIMUM) {
      const oldest = this.entries.reduce((a, b) => (b.untilUs < a.untilUs ? b : a));
      gone.push(oldest);
    }
    this.entries = [...this.entries.filter((each) => !gone.includes(each)), entry];
    return gone;
  }

  /** It has changed, or may have: nothing that was read before is given any more. Returns the entries that go. */
  drop(nowUs: number): NearEntry[] {
    for (const fill of this.fills) fill.discarded = true;
    const gone = this.entries;
    if (gone.length === 0) return gone;
    this.entries = [];
    let hits = 0;
    for (const entry of gone) hits += entry.hits;
    if (hits >= WORTHWHILE_HITS) this.#strikes = 0;
    else {
      this.#strikes = Math.min(STRIKES_MAXIMUM, this.#strikes + 1);
      this.quietUntilUs = nowUs + 1000 * 2 ** this.#strikes;
    }
    return gone;
  }
}

/** Is `buf[start, end)` the same? From the end: requests differ in what comes last. */
export function isEqual(bytes: Buffer, buf: Buffer, start: number, end: number): boolean {
  if (bytes.length !== end - start) return false;
  for (let i = bytes.length - 1; i >= 0; i--) if (bytes[i] !== buf[start + i]) return false;
  return true;
}
