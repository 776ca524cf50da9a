/**
 * A near cache: replies to reads of hot keys, kept in the proxy. Each was read over a connection that tracks (NearLink), so
 * its node tells of any change; and what cannot be told is bounded by time.
 *
 *   a hot key's read ─ take() ─> kept: answered here │ not kept: read over the link, once for all who wait │ to its node
 *   change elsewhere ─ invalidation ─> dropped        own write's reply ─ onExecuted() ─> dropped before the client has it
 *
 * What it promises (docs/near-cache.md): a reply is at most NEAR_STALE_MS older than what the key's node would have said;
 * once a write through this proxy is answered nobody here is given what was before it; and one session never sees an older
 * value of a key after a newer one. It never promises more than the node itself: what a slot's owner does not know of yet,
 * nobody does.
 */
import { FLAG_WRITE, type RequestArguments } from '../../protocol/command-table.ts';
import { hashSlot } from '../../protocol/hash-slot.ts';
import type { ClientState } from '../client-state.ts';
import type { PlannedCommand } from '../command-book.ts';
import type { CacheRouter } from '../routing/cache-router.ts';
import type { Request } from '../routing/request.ts';
import { findKey, HotKeys } from './hot-keys.ts';
import { KeptReplies } from './kept-replies.ts';
import { NearFill, type NearForm, type NearOutcome } from './near-fill.ts';
import type { NearEntry, NearKey } from './near-key.ts';
import type { NearLink, NearLinkOwner } from './near-link.ts';
import { NearLinks } from './near-links.ts';
import { NearView } from './near-view.ts';
import { resp2Of } from './resp2-of.ts';

/** What the near cache knows of a session. */
export interface NearSession {
  readonly reader: boolean;
  readonly client: ClientState;
  nearView: NearView | null;
  /** The place that its next request gets. */
  readonly nextSequence: number;
  /** Its oldest request under way. */
  readonly oldest: Request | null;
  /** Takes no further command until `release`. */
  wait(): void;
  release(): void;
  /** The reply to the command at hand, in its order. */
  answerNear(planned: PlannedCommand, requestBytes: number, reply: Buffer): void;
}

/** Not its business: the request goes to its node. */
export const NEAR_PASSED = 0;
/** Answered. */
export const NEAR_SERVED = 1;
/** The session waits, and comes again with the same request. */
export const NEAR_WAITS = 2;

/** Links that are in use are asked to confirm this often. */
const CONFIRM_MS = 20;
/** Nobody waits here longer than this, nor more often with one command: for a reply, and for word of what has changed. */
const PATIENCE_US = 100_000;
const WAITS_MAXIMUM = 2;
/** Requests that are looked up: longer ones name more than a key and a few fields. */
const REQUEST_BYTES = 1024;

/** How often hot keys are looked for. */
const LOOK_MS = 250;

export class NearCache implements NearLinkOwner {
  readonly #router: CacheRouter;
  readonly #hot = new HotKeys();
  readonly #links: NearLinks;
  readonly #kept: KeptReplies;
  readonly #timers: NodeJS.Timeout[];
  /** Of the slot map. */
  #epoch = -1;
  /** Something was given, or is to be, since the links were asked to confirm. */
  #used = false;

  constructor(router: CacheRouter) {
    this.#router = router;
    this.#links = new NearLinks(router, this);
    this.#kept = new KeptReplies(router.meter);
    this.#timers = [
      setInterval(() => this.#confirm(), CONFIRM_MS).unref(),
      setInterval(() => this.#lookForHotKeys(), LOOK_MS).unref(),
    ];
  }

  /** Bytes kept. */
  get sizeBytes(): number {
    return this.#kept.sizeBytes;
  }

  /** A plain forwarded command of a session, before it goes to its node. Hot. */
  take(
    session: NearSession,
    planned: PlannedCommand,
    buf: Buffer,
    start: number,
    end: number,
    args: RequestArguments,
    slot: number,
  ): number {
    const keys = slot >= 0 ? this.#hot.ofSlot(slot) : null;
    if (planned.keepable) this.#hot.sample(planned, buf, args, slot);
    else if (keys !== null || !planned.staysInSlot || slot < 0) return this.#pass(session);
    if (keys === null) return NEAR_PASSED;
    const at = planned.command.firstKey;
    const key = findKey(keys, buf, args.argStart[at]!, args.argEnd[at]!);
    if (key === null) return NEAR_PASSED;
    return this.#takeHot(session, planned, buf, start, end, args, key);
  }

  /** Whatever else a session has asked for, when it has its place: it may have shown it any key. */
  passed(session: NearSession, planned: PlannedCommand | null): void {
    if (planned?.seesNoKeys === true) return;
    const view = (session.nearView ??= new NearView());
    view.pass(session.nextSequence - 1);
  }

  /** A node has answered what may be a write, and its client does not know yet. */
  onExecuted(request: Request): void {
    if (this.#hot.all.length === 0 || !mayWrite(request)) return;
    if (request.staysInSlot && request.slot >= 0) {
      const keys = this.#hot.ofSlot(request.slot);
      if (keys !== null) for (const key of keys) this.#drop(key);
    } else this.dropAll();
  }

  /** The rules of who may read what have changed, or all the data. */
  dropAll(): void {
    for (const key of this.#hot.all) this.#drop(key);
  }

  close(): void {
    for (const timer of this.#timers) clearInterval(timer);
    this.dropAll();
    this.#links.close();
  }

  // ---- what the links tell (NearLinkOwner) ---------------------------------------------------------------------------

  onInvalid(link: NearLink, changed: readonly Uint8Array[] | null): void {
    if (changed === null) {
      this.#dropOf(link);
      return;
    }
    for (const bytes of changed) {
      const keys = this.#hot.ofSlot(hashSlot(bytes, 0, bytes.length));
      const key =
        keys === null
          ? null
          : findKey(
              keys,
              Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length),
              0,
              bytes.length,
            );
      if (key === null) continue;
      this.#router.meter.nearInvalidations++;
      this.#drop(key);
    }
  }

  onLost(link: NearLink): void {
    this.#links.drop(link);
    this.#dropOf(link);
  }

  // ---- a hot key's read ----------------------------------------------------------------------------------------------

  #takeHot(
    session: NearSession,
    planned: PlannedCommand,
    buf: Buffer,
    start: number,
    end: number,
    args: RequestArguments,
    key: NearKey,
  ): number {
    const view = (session.nearView ??= new NearView());
    const { client } = session;
    if (end - start > REQUEST_BYTES || session.reader || !isPlain(client))
      return this.#pass(session);
    this.#follow();
    const { nowUs } = this.#router.turn;
    const { user, database } = client;
    const entry = key.find(buf, start, end, user, database);
    if (entry !== undefined && nowUs < entry.untilUs) {
      const reply = client.resp === 3 ? entry.reply : resp2(entry, planned);
      if (reply === null) return this.#pass(session);
      this.#used = true;
      if (!NearLinks.isFresh(entry.link, nowUs) || view.cleanAt !== this.#hot.generation)
        return this.#waitForWord(session, view, entry.link);
      view.waits = 0;
      entry.hits++;
      this.#router.meter.nearHits++;
      session.answerNear(planned, end - start, reply);
      if (nowUs > entry.renewUs) this.#fill(planned, buf, start, end, args, key, client);
      return NEAR_SERVED;
    }
    const fill = this.#fill(planned, buf, start, end, args, key, client);
    if (fill === null || view.waits >= WAITS_MAXIMUM || this.#sees(session, view))
      return this.#pass(session);
    view.waits++;
    session.wait();
    fill.whenDone(() => session.release());
    return NEAR_WAITS;
  }

  /** Is a request of the session under way that may show it a hot key? */
  #sees(session: NearSession, view: NearView): boolean {
    const { oldest } = session;
    if (oldest === null) return false;
    return oldest.sequence <= view.passed || oldest.startedUs < this.#hot.generationUs;
  }

  /** Until all links that could give the session something older than it has seen have told what there is. */
  #waitForWord(session: NearSession, view: NearView, needed: NearLink): number {
    const { nowUs } = this.#router.turn;
    const inVain = NearLinks.isSilent(needed, nowUs) || this.#sees(session, view);
    if (inVain || view.waits >= WAITS_MAXIMUM) return this.#pass(session);
    const { generation } = this.#hot;
    view.waits++;
    session.wait();
    this.#links.fence(needed, nowUs, (toldAll) => {
      if (toldAll) view.cleanAt = generation;
      session.release();
    });
    return NEAR_WAITS;
  }

  #pass(session: NearSession): number {
    (session.nearView ??= new NearView()).pass(session.nextSequence);
    return NEAR_PASSED;
  }

  /** The fill of this form that is under way, or a new one; null where none may be. */
  #fill(
    planned: PlannedCommand,
    buf: Buffer,
    start: number,
    end: number,
    args: RequestArguments,
    key: NearKey,
    { user, database }: ClientState,
  ): NearFill | null {
    const { turn, map } = this.#router;
    const underWay = key.fillOf(buf, start, end, user, database);
    if (underWay !== undefined) return underWay;
    if (!key.mayFill(turn.nowUs) || this.#kept.full) return null;
    const owner = map.ownerOf(key.slot);
    if (owner < 0 || this.#links.isSilentAt(owner, turn.nowUs)) return null;
    const request = Buffer.from(buf.subarray(start, end));
    const list: Buffer[] = [];
    for (let i = 0; i < args.argc; i++)
      list.push(request.subarray(args.argStart[i]! - start, args.argEnd[i]! - start));
    const form: NearForm = {
      user,
      database,
      request,
      args: list,
      key: key.bytes,
      slot: key.slot,
      readsHash: planned.readsHash,
    };
    const fill = new NearFill(this.#router, this.#links.to(owner), form, (done, outcome) =>
      this.#onFilled(key, done, outcome),
    );
    key.fills.push(fill);
    this.#router.meter.nearFills++;
    return fill;
  }

  #onFilled(key: NearKey, fill: NearFill, outcome: NearOutcome): void {
    key.fills = key.fills.filter((each) => each !== fill);
    this.#follow();
    if (outcome.kind === 'passed' || fill.discarded || !this.#hot.has(key)) return;
    this.#kept.keep(key, fill, outcome);
  }

  // ---- what goes -----------------------------------------------------------------------------------------------------

  #drop(key: NearKey): void {
    this.#kept.drop(key, this.#router.turn.nowUs);
  }

  /** All that was read over this link. */
  #dropOf(link: NearLink): void {
    for (const key of this.#hot.all)
      if (
        key.entries.some((entry) => entry.link === link) ||
        key.fills.some((fill) => fill.link === link)
      )
        this.#drop(key);
  }

  /** Slots have moved, or a replica was promoted: another node has the say, and what the last one told is not enough. */
  #follow(): void {
    const { epoch } = this.#router.map;
    if (epoch === this.#epoch) return;
    this.#epoch = epoch;
    this.dropAll();
  }

  // ---- links and hot keys --------------------------------------------------------------------------------------------

  #confirm(): void {
    if (this.#links.none) return;
    const { turn } = this.#router;
    turn.tick();
    const longAgoUs = turn.nowUs - PATIENCE_US;
    for (const key of this.#hot.all)
      for (const fill of key.fills) if (fill.sentUs < longAgoUs) fill.release();
    const used = new Set(this.#hot.all.flatMap((key) => key.entries.map(({ link }) => link)));
    this.#links.keep(used, this.#used, turn.nowUs, PATIENCE_US);
    this.#used = false;
  }

  #lookForHotKeys(): void {
    const { turn } = this.#router;
    turn.tick();
    this.#kept.dropExpired(this.#hot.all, turn.nowUs);
    for (const key of this.#hot.look(turn.nowUs, LOOK_MS)) this.#drop(key);
  }
}

/** Nothing about the client makes its reads more than reads. */
function isPlain(client: ClientState): boolean {
  return (
    client.transaction === null &&
    client.tracking === null &&
    client.monitor === null &&
    !client.noTouch &&
    !client.muted
  );
}

function resp2(entry: NearEntry, planned: PlannedCommand): Buffer | null {
  if (entry.resp2 === undefined)
    entry.resp2 = entry.reply === null || !planned.hasResp2Twin ? null : resp2Of(entry.reply);
  return entry.resp2;
}

/** Transactions and blocked commands have no command. */
function mayWrite({ command }: Request): boolean {
  return (
    command === null ||
    (command.flags & FLAG_WRITE) !== 0 ||
    command.categories.includes('@scripting')
  );
}
