/**
 * SCAN and CLUSTERSCAN over all shards with one cursor: every key that stays from the beginning to the end is returned at
 * least once, also while slots move and primaries change.
 *
 * Slots are read in their order, each at its owner. A node goes through its slots by itself; how far that counts is
 * decided by what it owned while it did (slot-witness.ts): up to the first slot that was not its own. A slot that changed
 * its owner while it was read is read again from its start, unless both have one hash seed. A slot that is being moved key
 * by key (SETSLOT) is read at its source and then at its target: keys move that way only.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { hashSlot, SLOT_COUNT } from '../../protocol/hash-slot.ts';
import {
  encodeReply,
  itemsOf,
  RespError,
  textOf,
  type RespValue,
} from '../../protocol/resp-value.ts';
import { askOnce } from '../ask-once.ts';
import { CLUSTER_DOWN, errorReply } from '../proxy-error.ts';
import {
  engineCursor,
  formatCursor,
  parseCursor,
  parseEngineCursor,
  type ScanCursor,
} from '../scan-cursor.ts';
import type { Session } from '../session.ts';
import type { Call, HandlerTable } from '../command-handler.ts';
import type { NodeSlots } from '../routing/slot-witness.ts';

export const scanHandlers: HandlerTable = { scan, clusterscan: clusterScan };

const DEFAULT_COUNT = 10;
/** Rounds for one reply that found nothing: a client should not get thousands of empty ones. */
const EMPTY_ROUNDS_MAXIMUM = 32;
/** Rounds for one reply at all, where the slots of a node lie scattered. */
const ROUNDS_MAXIMUM = 128;
/** Below this many slots in a row a node would mostly read what cannot be used. */
const SHORT_RUN = 64;
const PAUSE_MS = 5;

/** What one question to a node brought; null: the slot's owner changed meanwhile, nothing of it counts. */
interface Round {
  readonly keys: readonly RespValue[];
  /** Where to go on; null: that was the end. */
  readonly next: ScanCursor | null;
  /** Fewer slots were gained than the node went through. */
  readonly cut: boolean;
}

async function scan(session: Session, call: Call): Promise<Buffer> {
  const { service } = session;
  const args = call.args.map((arg) => Buffer.from(arg));
  let cursor: ScanCursor | null = parseCursor(args[1]!.toString('latin1'));
  if (cursor === null) return errorReply('ERR invalid cursor');
  const count = countOf(args);
  const keys: RespValue[] = [];
  const giveUpMs = performance.now() + service.cache.deadlineMs;
  for (let rounds = 0; cursor !== null && rounds < ROUNDS_MAXIMUM && !session.closed;) {
    const round: Round | RespError | null = await readOn(session, args, cursor, count);
    if (round instanceof RespError) return encodeReply(round, session.client.resp);
    if (round === null) {
      if (performance.now() > giveUpMs) return CLUSTER_DOWN;
      service.router.refresh();
      await sleep(PAUSE_MS);
      continue;
    }
    rounds++;
    for (const key of round.keys) keys.push(key);
    cursor = round.next;
    if (keys.length >= count || (keys.length > 0 && !round.cut)) break;
    if (keys.length === 0 && rounds >= EMPTY_ROUNDS_MAXIMUM) break;
  }
  return encodeReply([formatCursor(cursor), keys], session.client.resp);
}

/** Reads on from `cursor` with one question to the node that has the slot. */
async function readOn(
  session: Session,
  args: readonly Buffer[],
  cursor: ScanCursor,
  count: number,
): Promise<Round | RespError | null> {
  const { router, witness } = session.service;
  const { slot } = cursor;
  const owner = router.owners[slot]!;
  if (owner < 0) return null;
  const before = (await witness.known(owner)) ?? (await witness.now(owner));
  if (before === null) return null;
  if (before.owned[slot] !== 1) {
    await witness.now(owner);
    return null;
  }
  const target = before.migrating.get(slot);
  const atTarget = cursor.secondPass && target !== undefined && target >= 0;
  const node = atTarget ? target : owner;
  const origin = await witness.origin(node);
  if (origin === 0) return null;
  const position = cursor.origin === origin ? cursor.position : 0n;
  // A second pass whose target is the owner by now goes on there; any other owner has to be read from the start.
  const secondPass = cursor.secondPass && (atTarget || cursor.origin === origin);
  const connection = witness.connection(node);
  const request = withCursor(
    args,
    engineCursor(slot, position),
    secondPass ? DEFAULT_COUNT : useful(before, slot, count),
  );
  const reply = await askOnce(router, node, request, session.lane!);
  if (reply === null) return null;
  if (reply instanceof RespError) return reply;
  const after = await witness.now(owner);
  const unchanged =
    after !== null &&
    after.epoch === before.epoch &&
    after.owned[slot] === 1 &&
    after.migrating.get(slot) === target &&
    witness.connection(node) === connection;
  if (!unchanged) return null;
  const [nextText, found] = itemsOf(reply);
  const next = parseEngineCursor(textOf(nextText) ?? '0');
  const stays = next !== null && next.slot === slot;
  if (secondPass || target !== undefined) {
    const within = itemsOf(found).filter((key) => slotOfKey(key) === slot);
    if (stays)
      return {
        keys: within,
        next: { slot, position: next.position, origin, secondPass },
        cut: true,
      };
    if (secondPass || target === undefined)
      return { keys: within, next: startOf(slot + 1), cut: true };
    if (target < 0) return null;
    const second = { slot, position: 0n, origin: await witness.origin(target), secondPass: true };
    if (second.origin === 0) return null;
    return { keys: within, next: second, cut: true };
  }
  const end = next === null ? SLOT_COUNT : next.slot;
  let reached = slot + 1;
  while (reached <= end && reached < SLOT_COUNT && isOwn(before, reached) && isOwn(after, reached))
    reached++;
  if (stays || reached > end || (next === null && reached === SLOT_COUNT)) {
    const place =
      next === null
        ? null
        : { slot: next.slot, position: next.position, origin, secondPass: false };
    return {
      keys: itemsOf(found).filter((key) => inRange(key, slot, end)),
      next: place,
      cut: false,
    };
  }
  const keys = itemsOf(found).filter((key) => inRange(key, slot, reached - 1));
  return { keys, next: startOf(reached), cut: true };
}

function isOwn(view: NodeSlots, slot: number): boolean {
  return view.owned[slot] === 1 && !view.migrating.has(slot);
}

/** The start of a slot; the end after the last. An origin that no table has: position 0 is the start of any. */
function startOf(slot: number): ScanCursor | null {
  return slot >= SLOT_COUNT ? null : { slot, position: 0n, origin: 0, secondPass: false };
}

/** As many elements as are worth asking for: what a node reads beyond its own slots in a row is of no use. */
function useful(view: NodeSlots, slot: number, count: number): number {
  let run = 1;
  while (run < SHORT_RUN && slot + run < SLOT_COUNT && isOwn(view, slot + run)) run++;
  return run < SHORT_RUN && slot + run < SLOT_COUNT ? Math.min(count, run * DEFAULT_COUNT) : count;
}

function slotOfKey(key: RespValue): number {
  return key instanceof Uint8Array ? hashSlot(key, 0, key.length) : -1;
}

function inRange(key: RespValue, first: number, last: number): boolean {
  const slot = slotOfKey(key);
  return slot >= first && slot <= last;
}

/** COUNT as the engine will read it; the default where it is missing or wrong (the engine answers that). */
function countOf(args: readonly Buffer[]): number {
  for (let i = 2; i + 1 < args.length; i += 2) {
    if (!isWord(args[i]!, 'count')) continue;
    const count = Number(args[i + 1]!.toString('latin1'));
    return Number.isSafeInteger(count) && count > 0 ? count : DEFAULT_COUNT;
  }
  return DEFAULT_COUNT;
}

function withCursor(args: readonly Buffer[], cursor: string, count: number): (Buffer | string)[] {
  const request: (Buffer | string)[] = [args[0]!, cursor, ...args.slice(2)];
  for (let i = 2; i + 1 < args.length; i += 2) {
    // A wrong count stays, for the engine to say so.
    if (isWord(args[i]!, 'count') && /^[1-9]\d*$/.test(args[i + 1]!.toString('latin1')))
      request[i + 1] = String(count);
  }
  return request;
}

function isWord(arg: Buffer, word: string): boolean {
  return arg.toString('latin1').toLowerCase() === word;
}

/**
 * CLUSTERSCAN (9.1): its cursor `fingerprint-{tag}-position` names its slot by a tag that hashes to it, and the engine
 * starts a slot again when its fingerprint is another node's. So it is asked of the tag's owner; only empty replies on
 * the way to the next slot that has keys are not shown.
 */
async function clusterScan(session: Session, call: Call): Promise<Buffer> {
  const { router } = session.service;
  const args: (Buffer | string)[] = call.args.map((arg) => Buffer.from(arg));
  for (let rounds = 1; ; rounds++) {
    const cursor = Buffer.from(args[1]!);
    const slot = hashSlot(cursor, 0, cursor.length);
    const reply = await router.ask(args, { lane: session.lane!, slot });
    const [next, keys] = itemsOf(reply);
    const empty = next !== undefined && textOf(next) !== '0' && itemsOf(keys).length === 0;
    if (!empty || rounds >= EMPTY_ROUNDS_MAXIMUM || session.closed)
      return encodeReply(reply, session.client.resp);
    args[1] = textOf(next)!;
  }
}
