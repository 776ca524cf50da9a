/**
 * One read that is to be kept. It asks on the tracking connection whether the user may read, reads, and asks how long the
 * key has to live: in this order, so that a change after the read is always told. What is told to have changed before the
 * last reply has come is not kept.
 */
import { encodeRequest } from '../../protocol/request-encoder.ts';
import type { CacheRouter } from '../routing/cache-router.ts';
import type { Request } from '../routing/request.ts';
import type { RequestSink } from '../routing/request-sink.ts';
import type { NearLink } from './near-link.ts';

/** What is read, for whom. */
export interface NearForm {
  readonly user: string;
  readonly database: number;
  /** The whole request. */
  readonly request: Buffer;
  readonly args: readonly Buffer[];
  readonly key: Buffer;
  readonly slot: number;
  /** Fields of a hash may run out without a word. */
  readonly readsHash: boolean;
}

/** How a fill ended. */
export type NearOutcome =
  | { readonly kind: 'value'; readonly reply: Buffer; readonly liveMs: number }
  /** It changed meanwhile, or the connection was lost: another read may be kept. */
  | { readonly kind: 'passed' }
  /** Not to be kept for the time being: an error, forbidden, too large, it has fields that run out. */
  | { readonly kind: 'unfit'; readonly isLarge: boolean };

/** Larger replies are not kept. */
export const NEAR_REPLY_BYTES = 64 * 1024;

const PERMITTED = 0;
const VALUE = 1;
const TIME_TO_LIVE = 2;
const KEYSPACE = 3;
const INFO_KEYSPACE = encodeRequest(['INFO', 'keyspace']);
const MINUS = 45;
const PLUS = 43;

export class NearFill implements RequestSink {
  readonly form: NearForm;
  readonly link: NearLink;
  readonly sentUs: number;
  /** Set when the key has changed, or may have, since it was sent. */
  discarded = false;
  readonly #router: CacheRouter;
  readonly #onDone: (fill: NearFill, outcome: NearOutcome) => void;
  #waiters: (() => void)[] = [];
  #missing: number;
  #permitted = false;
  #value: Buffer | null = null;
  #isLarge = false;
  #keptBytes = 0;
  #liveMs = 0;
  #fieldsRunOut = false;
  #isLost = false;

  constructor(
    router: CacheRouter,
    link: NearLink,
    form: NearForm,
    onDone: (fill: NearFill, outcome: NearOutcome) => void,
  ) {
    this.#router = router;
    this.link = link;
    this.form = form;
    this.sentUs = router.turn.nowUs;
    this.#onDone = onDone;
    const commands = [
      encodeRequest(['ACL', 'DRYRUN', form.user, ...form.args]),
      form.request,
      encodeRequest(['PTTL', form.key]),
      ...(form.readsHash ? [INFO_KEYSPACE] : []),
    ];
    this.#missing = commands.length;
    link.send(this, form.database, commands, form.slot);
  }

  /** Calls back when it is done, however it ends, or when that takes too long (`release`). */
  whenDone(callback: () => void): void {
    this.#waiters.push(callback);
  }

  /** Those who wait go on without it. */
  release(): void {
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const callback of waiters) callback();
  }

  // ---- replies (RequestSink) -----------------------------------------------------------------------------------------

  onReply(request: Request, buf: Buffer, start: number, end: number): void {
    this.#take(request, buf, start, end);
    this.#end(request);
  }

  /** Nothing of this size is wanted: the rest is thrown away as it comes. */
  get abandoned(): boolean {
    return this.#isLarge;
  }

  onPiece(request: Request): boolean {
    return this.#isLarge && request.part === VALUE;
  }

  onKept(request: Request, sizeBytes: number): void {
    if (request.part !== VALUE) return;
    this.#keptBytes += sizeBytes;
    if (this.#keptBytes > NEAR_REPLY_BYTES) this.#isLarge = true;
  }

  onLastPiece(request: Request): void {
    this.#end(request);
  }

  onBroken(request: Request): void {
    this.#isLost = true;
    this.#end(request);
  }

  onRetrying(): void {}

  #take({ part }: Request, buf: Buffer, start: number, end: number): void {
    const isError = buf[start] === MINUS;
    switch (part) {
      case PERMITTED:
        this.#permitted = buf[start] === PLUS;
        return;
      case VALUE:
        if (isError) this.#isLost = buf.toString('latin1', start, start + 9) === '-NODELOST';
        else if (end - start > NEAR_REPLY_BYTES) this.#isLarge = true;
        else this.#value = Buffer.from(buf.subarray(start, end));
        return;
      case TIME_TO_LIVE: {
        const liveMs = isError ? 0 : Number(buf.toString('latin1', start + 1, end - 2));
        // -1: it lives as long as it likes. -2: there is no such key, and nothing runs out.
        this.#liveMs = liveMs < 0 ? Infinity : liveMs;
        return;
      }
      case KEYSPACE:
        this.#fieldsRunOut = hasFieldsThatRunOut(buf.toString('latin1', start, end));
    }
  }

  #end(request: Request): void {
    this.#router.pool.give(request);
    if (--this.#missing > 0) return;
    if (!this.#isLost) this.link.confirm(this.sentUs);
    this.#onDone(this, this.#outcome());
    this.release();
  }

  #outcome(): NearOutcome {
    if (this.discarded || this.#isLost) return { kind: 'passed' };
    if (!this.#permitted || this.#value === null || this.#fieldsRunOut)
      return { kind: 'unfit', isLarge: this.#isLarge };
    return { kind: 'value', reply: this.#value, liveMs: this.#liveMs };
  }
}

/** `INFO keyspace` counts the keys that have such fields, from 9.0 on. */
function hasFieldsThatRunOut(info: string): boolean {
  return /keys_with_volatile_items=[1-9]/.test(info);
}
