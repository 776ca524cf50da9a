/**
 * Commands over several shards, by the engine's own tips: each key to its slot (`multi_shard`) or one copy to every shard
 * (`all_shards`, `all_nodes`), and the replies put together by `response_policy`. Not atomic across shards: docs/commands.md
 * says so.
 */
import { FLAG_READONLY, type RequestArguments } from '../protocol/command-table.ts';
import { hashSlot, SLOT_COUNT } from '../protocol/hash-slot.ts';
import { RespError, type RespValue } from '../protocol/resp-value.ts';
import type { PlannedCommand } from './command-book.ts';
import { Gather } from './gather.ts';
import { mergeByKey, mergeReplies } from './merge-replies.ts';
import { CLUSTER_DOWN, errorReply, wrongArity } from './proxy-error.ts';
import type { Session } from './session.ts';

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
  const { heat } = session.service.router;
  const isRead = (command.flags & FLAG_READONLY) !== 0;
  const bySlot = new Map<number, number[]>();
  for (const [position, key] of keys.entries()) {
    if (args.argEnd[key]! - args.argStart[key]! > limit) {
      session.reply(errorReply(`ERR a key exceeds the limit of ${limit} bytes of this cache`));
      return;
    }
    const slot = hashSlot(buf, args.argStart[key]!, args.argEnd[key]!);
    if (heat.watched?.[slot] === 1)
      heat.noteKey(slot, buf, args.argStart[key]!, args.argEnd[key]!, isRead);
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

/**
 * Sends one copy to every shard (and for `all_nodes` to replicas as well).
 *
 * @param onDone told when it has been done everywhere
 */
export function fanOut(
  session: Session,
  planned: PlannedCommand,
  buf: Buffer,
  start: number,
  end: number,
  onDone: (() => void) | null = null,
): void {
  const { router } = session.service;
  const targets = shardSlots(router.owners);
  if (targets.size === 0) {
    session.reply(CLUSTER_DOWN);
    return;
  }
  const replicas = planned.command.requestPolicy === 'all_nodes' ? router.replicas() : [];
  const bytes = Buffer.from(buf.subarray(start, end));
  if (planned.command.name === 'script|load') {
    // Nobody waits for one that hangs: if it takes over without the script, that is brought (missing-scripts.ts).
    for (const node of replicas.splice(0))
      void router.askBytes(bytes, { lane: session.lane!, node });
  }
  const gather = new Gather(
    session,
    planned,
    targets.size + replicas.length,
    end - start,
    (replies) => {
      const merged = mergeReplies(planned.command, replies, session.client.resp);
      if (merged[0] !== MINUS) onDone?.();
      return merged;
    },
  );
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
const MINUS = 45;
const CRLF_BYTES = 2;
