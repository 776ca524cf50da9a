/**
 * Commands over several shards, by the engine's own tips: each key to its slot (`multi_shard`) or one copy to every shard
 * (`all_shards`, `all_nodes`), and the replies put together by `response_policy`. Not atomic across shards: docs/commands.md
 * says so.
 */
import type { Command, RequestArguments } from '../protocol/command-table.ts';
import { hashSlot, SLOT_COUNT } from '../protocol/hash-slot.ts';
import { REPLY_INCOMPLETE, ReplyScanner } from '../protocol/reply-scanner.ts';
import {
  decodeReply,
  encodeReply,
  itemsOf,
  RespError,
  type RespValue,
} from '../protocol/resp-value.ts';
import type { PlannedCommand } from './command-book.ts';
import { CLUSTER_DOWN, errorReply, OK_REPLY, wrongArity } from './proxy-error.ts';
import { REQUEST_RETRYING, type Request } from './routing/request.ts';
import type { RequestSink } from './routing/request-sink.ts';
import type { Session } from './session.ts';

const MINUS = 45;

/** Sends each key (with the values that belong to it) to its own slot. */
export function splitByShard(
  session: Session,
  planned: PlannedCommand,
  buf: Buffer,
  start: number,
  end: number,
  args: RequestArguments,
): void {
  const { command } = planned;
  const step = command.keySpecs[0]!.step;
  const keys = command.keysOf(buf, args);
  const limit = session.service.cache.limits.keyMaximumBytes;
  const bySlot = new Map<number, number[]>();
  for (const [position, key] of keys.entries()) {
    if (args.argEnd[key]! - args.argStart[key]! > limit) {
      session.reply(errorReply(`ERR a key exceeds the limit of ${limit} bytes of this cache`));
      return;
    }
    const slot = hashSlot(buf, args.argStart[key]!, args.argEnd[key]!);
    const group = bySlot.get(slot);
    if (group === undefined) bySlot.set(slot, [position]);
    else group.push(position);
  }
  // MSET with an odd number of arguments: the engine refuses it in these words, but in a cluster only after CROSSSLOT.
  const whole = keys.length === 0 || (keys.length * step) % (args.argc - keys[0]!) !== 0;
  if (bySlot.size > 1 && whole) {
    session.reply(wrongArity(command.name));
    return;
  }
  if (bySlot.size <= 1) {
    session.forward(planned, buf, start, end, bySlot.keys().next().value ?? -1);
    return;
  }
  const positions = [...bySlot.values()];
  const gather = new Gather(session, planned, positions.length, end - start, (replies) =>
    command.responsePolicy === null
      ? mergeByKey(replies, positions, keys.length)
      : mergeReplies(command, replies, 2),
  );
  let part = 0;
  for (const [slot, group] of bySlot) {
    const bytes = partOf(
      buf,
      args,
      group.map((position) => keys[position]!),
      step,
    );
    gather.send(part++, bytes, slot, -1);
  }
}

/** Sends one copy to every shard (and for `all_nodes` to replicas as well). */
export function fanOut(
  session: Session,
  planned: PlannedCommand,
  buf: Buffer,
  start: number,
  end: number,
): void {
  const { router } = session.service;
  const targets = shardSlots(router.owners);
  if (targets.size === 0) {
    session.reply(CLUSTER_DOWN);
    return;
  }
  const replicas = planned.command.requestPolicy === 'all_nodes' ? router.replicas() : [];
  const gather = new Gather(
    session,
    planned,
    targets.size + replicas.length,
    end - start,
    (replies) => mergeReplies(planned.command, replies, session.client.resp),
  );
  const bytes = Buffer.from(buf.subarray(start, end));
  let part = 0;
  for (const slot of targets.values()) gather.send(part++, bytes, slot, -1);
  for (const node of replicas) gather.send(part++, bytes, -1, node);
}

/** One slot of each primary, by which a shard can be addressed whoever its primary is by then. */
export function shardSlots(owners: Int32Array): Map<number, number> {
  const slots = new Map<number, number>();
  for (let slot = 0; slot < SLOT_COUNT; slot++) {
    const owner = owners[slot]!;
    if (owner >= 0 && !slots.has(owner)) slots.set(owner, slot);
  }
  return slots;
}

/** Gathers the replies of the parts of one request; the merged one takes the request's place in its session. */
class Gather implements RequestSink {
  readonly #session: Session;
  readonly #planned: PlannedCommand;
  readonly #merge: (replies: readonly Buffer[]) => Buffer;
  readonly #place: Request;
  readonly #replies: Buffer[];
  #missing: number;
  #sizeBytes = 0;

  constructor(
    session: Session,
    planned: PlannedCommand,
    parts: number,
    requestBytes: number,
    merge: (replies: readonly Buffer[]) => Buffer,
  ) {
    this.#session = session;
    this.#planned = planned;
    this.#merge = merge;
    this.#place = session.reserve(planned, requestBytes);
    this.#replies = Array.from({ length: parts });
    this.#missing = parts;
  }

  get abandoned(): boolean {
    return this.#session.closed;
  }

  send(part: number, bytes: Buffer, slot: number, node: number): void {
    const { router } = this.#session.service;
    const request = router.pool.take();
    request.sink = this;
    const caching = this.#session.client.tracking?.prefix ?? null;
    if (caching !== null) {
      bytes = Buffer.concat([caching, bytes]);
      request.precedingReplies = 1;
      request.skipReplies = 1;
    }
    request.buf = bytes;
    request.start = 0;
    request.end = bytes.length;
    request.stable = true;
    request.command = this.#planned.command;
    request.repeatable = this.#planned.repeatable;
    request.lane = this.#session.lane;
    request.slot = slot;
    request.node = node;
    request.part = part;
    request.startedUs = router.turn.nowUs;
    router.route(request);
  }

  onRetrying(): void {
    if (this.#session.closed) return;
    // Its parts are in no session's list: their place waits for them.
    this.#place.state = REQUEST_RETRYING;
    this.#session.onRetrying();
  }

  onReply(request: Request, buf: Buffer, start: number, end: number): void {
    const { keptBytes } = request;
    this.#replies[request.part] = Buffer.from(buf.subarray(start, end));
    this.#session.service.router.pool.give(request);
    this.#missing--;
    if (this.#session.closed) return;
    this.#hold(end - start - keptBytes);
    if (this.#missing > 0) return;
    this.#session.holdReply(-this.#sizeBytes);
    this.#session.complete(this.#place, this.#merge(this.#replies));
  }

  onPiece(): boolean {
    return false;
  }

  onKept(_: Request, sizeBytes: number): void {
    this.#hold(sizeBytes);
  }

  onLastPiece(): void {}
  onBroken(): void {}

  #hold(sizeBytes: number): void {
    this.#sizeBytes += sizeBytes;
    this.#session.holdReply(sizeBytes);
  }
}

/** Puts replies together by the command's response_policy; without one, arrays are concatenated. */
export function mergeReplies(command: Command, replies: readonly Buffer[], resp: 2 | 3): Buffer {
  const failed = replies.find((reply) => reply[0] === MINUS);
  const policy = command.responsePolicy;
  if (policy === 'one_succeeded') return replies.find((reply) => reply[0] !== MINUS) ?? failed!;
  if (failed !== undefined) return failed;
  if (policy === 'all_succeeded' || policy === 'special') return replies[0] ?? OK_REPLY;
  const values = replies.map((reply) => decodeReply(reply));
  switch (policy) {
    case 'agg_sum':
      return encodeReply(
        values.reduce<number>((sum, value) => sum + Number(value), 0),
        resp,
      );
    case 'agg_min':
      return encodeReply(Math.min(...values.map(Number)), resp);
    case 'agg_max':
      return encodeReply(Math.max(...values.map(Number)), resp);
    case 'agg_logical_and':
    case 'agg_logical_or': {
      const every = policy === 'agg_logical_and';
      const columns = itemsOf(values[0]).map((_, i) =>
        values.map((value) => Number(itemsOf(value)[i])),
      );
      return encodeReply(
        columns.map((column) => (every ? Math.min(...column) : Math.max(...column))),
        resp,
      );
    }
    default:
      return encodeReply(
        values.flatMap((value): readonly RespValue[] => itemsOf(value)),
        resp,
      );
  }
}

/** Arrays with one element for each key, brought back into the order of the keys. The elements' bytes are not decoded. */
function mergeByKey(
  replies: readonly Buffer[],
  positions: readonly number[][],
  count: number,
): Buffer {
  const elements: Buffer[] = Array.from({ length: count });
  const scanner = new ReplyScanner();
  for (const [part, reply] of replies.entries()) {
    if (reply[0] === MINUS) return reply;
    let pos = reply.indexOf(10) + 1;
    for (const position of positions[part]!) {
      const end = scanner.scan(reply, pos, reply.length);
      if (end <= REPLY_INCOMPLETE)
        return errorReply('ERR a node answered with fewer elements than keys');
      elements[position] = reply.subarray(pos, end);
      pos = end;
    }
  }
  return Buffer.concat([header(count), ...elements]);
}

/** The error in a list of replies, decoded. */
export function firstError(values: readonly RespValue[]): RespError | null {
  return values.find((value) => value instanceof RespError) ?? null;
}

function header(count: number): Buffer {
  return Buffer.from(`*${count}\r\n`);
}

/** The command's name and, of its arguments, `step` from each of `keys` on: with their headers, as they came. */
function partOf(
  buf: Buffer,
  args: RequestArguments,
  keys: readonly number[],
  step: number,
): Buffer {
  const head = header(1 + keys.length * step);
  const nameEnd = args.argEnd[0]! + CRLF_BYTES;
  const nameStart = buf.lastIndexOf(DOLLAR, args.argStart[0]! - 1);
  let size = head.length + nameEnd - nameStart;
  for (const key of keys) size += args.argEnd[key + step - 1]! - args.argEnd[key - 1]!;
  const part = Buffer.allocUnsafe(size);
  let at = head.copy(part);
  at += buf.copy(part, at, nameStart, nameEnd);
  for (const key of keys) {
    // An argument's header begins where the one before it has ended.
    const start = args.argEnd[key - 1]! + CRLF_BYTES;
    const end = args.argEnd[key + step - 1]! + CRLF_BYTES;
    at += buf.copy(part, at, start, end);
  }
  return part;
}

const DOLLAR = 36;
const CRLF_BYTES = 2;
