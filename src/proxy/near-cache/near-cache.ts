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
import { hashSlot, SLOT_COUNT } from '../../protocol/hash-slot.ts';
import type { ClientState } from '../client-state.ts';
import type { PlannedCommand } from '../command-book.ts';
import { HotKeySketch } from '../hot-key-sketch.ts';
import type { CacheRouter } from '../routing/cache-router.ts';
import type { Request } from '../routing/request.ts';
import { NearFill, NEAR_REPLY_BYTES, type NearForm, type NearOutcome } from './near-fill.ts';
import { isEqual, NearKey, type NearEntry } from './near-key.ts';
import { NearLink, type NearLinkOwner } from './near-link.ts';
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

/** The bound of staleness: what its node has not confirmed for this long is not given. */
export const NEAR_STALE_MS = 100;
const STALE_US = NEAR_STALE_MS * 1000;
/** A kept reply is read again after this long, whatever its node says. */
const LIFE_MS = 1000;
/** A part of its life, after which it is read again while it is still given. */
const RENEW_PART = 0.8;
/** Links that are in use are asked to confirm this often. */
const CONFIRM_MS = 20;
/** Nobody waits here longer than this, nor more often with one command: for a reply, and for word of what has changed. */
const PATIENCE_US = 100_000;
const WAITS_MAXIMUM = 2;
/** A link that nothing is kept of is closed after this. */
const IDLE_US = 10_000_000;
/** What is not to be kept is not tried again before. */
const UNFIT_MS = 1000;
const LARGE_MS = 30_000;
/** Requests that are looked up: longer ones name more than a key and a few fields. */
const REQUEST_BYTES = 1024;
const KEYS_MAXIMUM = 64;
const BYTES_MAXIMUM = 8 * 1024 * 1024;

/** How often hot keys are looked for. */
const LOOK_MS = 250;
/** Reads a second of one key, through this proxy, from which on it is hot ... */
const HOT_READS = 800;
/** ... and below which it is hot no more. */
const COLD_READS = 200;
/** Of the reads that could be kept one in so many feeds the sketch, at random. */
const SAMPLE = 32;

export class NearCache implements NearLinkOwner {
  readonly #router: CacheRouter;
  /** By slot: the hot keys; null where there is none. */
  readonly #slots: (NearKey[] | null)[] = Array.from({ length: SLOT_COUNT }, () => null);
  #keys: NearKey[] = [];
  /** By node index. */
  readonly #links = new Map<number, NearLink>();
  readonly #sketch = new HotKeySketch(KEYS_MAXIMUM);
  readonly #timers: NodeJS.Timeout[];
  /** Of the slot map. */
  #epoch = -1;
  /** Grows with every key that becomes hot, and when that was: before, nobody noted who had seen it. */
  #generation = 1;
  #generationUs = 0;
  #sizeBytes = 0;
  #skip = 1;
  #random = 0x2545f491;
  /** Something was given, or is to be, since the links were asked to confirm. */
  #used = false;

  constructor(router: CacheRouter) {
    this.#router = router;
    this.#timers = [
      setInterval(() => this.#confirm(), CONFIRM_MS).unref(),
      setInterval(() => this.#lookForHotKeys(), LOOK_MS).unref(),
    ];
  }

  /** Bytes kept. */
  get sizeBytes(): number {
    return this.#sizeBytes;
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
    const keys = slot >= 0 ? this.#slots[slot]! : null;
    if (planned.keepable) this.#sample(planned, buf, args, slot);
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
    if (this.#keys.length === 0 || !mayWrite(request)) return;
    if (request.staysInSlot && request.slot >= 0) {
      const keys = this.#slots[request.slot]!;
      if (keys !== null) for (const key of keys) this.#drop(key);
    } else this.dropAll();
  }

  /** The rules of who may read what have changed, or all the data. */
  dropAll(): void {
    for (const key of this.#keys) this.#drop(key);
  }

  close(): void {
    for (const timer of this.#timers) clearInterval(timer);
    this.dropAll();
    for (const link of this.#links.values()) link.close();
  }

  // ---- what the links tell (NearLinkOwner) ---------------------------------------------------------------------------

  onInvalid(link: NearLink, changed: readonly Uint8Array[] | null): void {
    if (changed === null) {
      this.#dropOf(link);
      return;
    }
    for (const bytes of changed) {
      const keys = this.#slots[hashSlot(bytes, 0, bytes.length)]!;
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
    if (this.#links.get(link.node) === link) this.#links.delete(link.node);
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
      if (nowUs - entry.link.confirmedUs > STALE_US || view.cleanAt !== this.#generation)
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
    return oldest.sequence <= view.passed || oldest.startedUs < this.#generationUs;
  }

  /** Until all links that could give the session something older than it has seen have told what there is. */
  #waitForWord(session: NearSession, view: NearView, needed: NearLink): number {
    const { nowUs } = this.#router.turn;
    const inVain = needed.isSilent(nowUs, STALE_US) || this.#sees(session, view);
    if (inVain || view.waits >= WAITS_MAXIMUM) return this.#pass(session);
    // Of the others nothing is given before they have been asked again, later than now.
    const links = [...this.#links.values()].filter(
      (link) =>
        link === needed || nowUs - link.confirmedUs <= STALE_US || nowUs - link.sentUs <= STALE_US,
    );
    const generation = this.#generation;
    let missing = links.length;
    let toldAll = true;
    view.waits++;
    session.wait();
    for (const link of links)
      link.fence((told) => {
        toldAll &&= told;
        if (--missing > 0) return;
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
    if (!key.mayFill(turn.nowUs) || this.#sizeBytes > BYTES_MAXIMUM - NEAR_REPLY_BYTES) return null;
    const owner = map.ownerOf(key.slot);
    if (owner < 0 || this.#links.get(owner)?.isSilent(turn.nowUs, STALE_US)) return null;
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
    const fill = new NearFill(this.#router, this.#link(owner), form, (done, outcome) =>
      this.#onFilled(key, done, outcome),
    );
    key.fills.push(fill);
    this.#router.meter.nearFills++;
    return fill;
  }

  #onFilled(key: NearKey, fill: NearFill, outcome: NearOutcome): void {
    key.fills = key.fills.filter((each) => each !== fill);
    this.#follow();
    if (outcome.kind === 'passed' || fill.discarded || !this.#keys.includes(key)) return;
    const { form, link, sentUs } = fill;
    const { request, user, database } = form;
    const liveUs =
      1000 *
      (outcome.kind === 'value'
        ? Math.min(LIFE_MS, outcome.liveMs)
        : outcome.isLarge
          ? LARGE_MS
          : UNFIT_MS);
    const reply = outcome.kind === 'value' ? outcome.reply : null;
    const untilUs = sentUs + liveUs;
    const renewUs = sentUs + liveUs * RENEW_PART;
    const entry: NearEntry = {
      request, user, database, link, reply, resp2: undefined, untilUs, renewUs, hits: 0,
    }; // prettier-ignore
    this.#sizeBytes += sizeOf(entry);
    for (const gone of key.put(entry)) this.#sizeBytes -= sizeOf(gone);
  }

  // ---- what goes -----------------------------------------------------------------------------------------------------

  #drop(key: NearKey): void {
    const gone = key.drop(this.#router.turn.nowUs);
    for (const entry of gone) this.#sizeBytes -= sizeOf(entry);
    this.#router.meter.nearDrops += gone.length;
  }

  /** All that was read over this link. */
  #dropOf(link: NearLink): void {
    for (const key of this.#keys)
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

  #link(node: number): NearLink {
    let link = this.#links.get(node);
    if (link === undefined) {
      link = new NearLink(this.#router, node, this);
      this.#links.set(node, link);
    }
    return link;
  }

  #confirm(): void {
    if (this.#links.size === 0) return;
    const { turn } = this.#router;
    turn.tick();
    const longAgoUs = turn.nowUs - PATIENCE_US;
    for (const key of this.#keys)
      for (const fill of key.fills) if (fill.sentUs < longAgoUs) fill.release();
    const used = new Set(this.#keys.flatMap((key) => key.entries.map(({ link }) => link)));
    for (const link of this.#links.values()) {
      if (this.#used && used.has(link)) link.ping();
      else if (!used.has(link) && turn.nowUs - link.sentUs > IDLE_US) link.close();
      link.look(turn.nowUs, PATIENCE_US);
    }
    this.#used = false;
  }

  #sample(planned: PlannedCommand, buf: Buffer, args: RequestArguments, slot: number): void {
    if (--this.#skip > 0) return;
    // Not every 32nd: pipelines have rhythms of their own.
    this.#random ^= this.#random << 13;
    this.#random ^= this.#random >>> 17;
    this.#random ^= this.#random << 5;
    this.#skip = 1 + ((this.#random >>> 8) % (2 * SAMPLE - 1));
    const at = planned.command.firstKey;
    if (at < args.argc)
      this.#sketch.record(slot, buf, args.argStart[at]!, args.argEnd[at]!, true, SAMPLE);
  }

  #lookForHotKeys(): void {
    const ratePerSecond = 1000 / LOOK_MS;
    const rates = this.#sketch
      .top()
      .map((hot) => ({ ...hot, rate: HotKeySketch.rateOf(hot.reads) * ratePerSecond }));
    this.#sketch.decay();
    const isHot = (key: NearKey): boolean =>
      rates.some(({ key: bytes, rate }) => rate >= COLD_READS && bytes.equals(key.bytes));
    const { turn } = this.#router;
    turn.tick();
    this.#dropExpired(turn.nowUs);
    const kept = this.#keys.filter(isHot);
    for (const key of this.#keys) if (!kept.includes(key)) this.#forget(key);
    this.#keys = kept;
    for (const { key, slot, rate } of rates) {
      if (rate < HOT_READS || this.#keys.length >= KEYS_MAXIMUM) break;
      const there = this.#slots[slot] ?? null;
      if (there !== null && findKey(there, key, 0, key.length) !== null) continue;
      const hot = new NearKey(key, slot);
      this.#keys.push(hot);
      this.#slots[slot] = [...(there ?? []), hot];
      this.#generation++;
      this.#generationUs = turn.nowUs;
    }
  }

  #dropExpired(nowUs: number): void {
    for (const key of this.#keys) {
      const gone = key.entries.filter(({ untilUs }) => untilUs < nowUs);
      if (gone.length === 0) continue;
      key.entries = key.entries.filter((entry) => !gone.includes(entry));
      for (const entry of gone) this.#sizeBytes -= sizeOf(entry);
    }
  }

  #forget(key: NearKey): void {
    this.#drop(key);
    const rest = this.#slots[key.slot]!.filter((each) => each !== key);
    this.#slots[key.slot] = rest.length === 0 ? null : rest;
  }
}

function findKey(
  keys: readonly NearKey[],
  buf: Buffer,
  start: number,
  end: number,
): NearKey | null {
  for (const key of keys) if (isEqual(key.bytes, buf, start, end)) return key;
  return null;
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

/** Twice the reply: it may be there in both versions. */
function sizeOf({ request, reply }: NearEntry): number {
  return request.length + 2 * (reply?.length ?? 0);
}

/** Transactions and blocked commands have no command. */
function mayWrite({ command }: Request): boolean {
  return (
    command === null ||
    (command.flags & FLAG_WRITE) !== 0 ||
    command.categories.includes('@scripting')
  );
}
