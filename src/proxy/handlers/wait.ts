/**
 * WAIT and WAITAOF: how many replicas of every shard have what was written before. The engine counts from the last write
 * of the connection that waits, and the client's writes went over shared ones. So each primary gets a connection of the
 * system's own, on which a write without effect comes first (a key set and deleted by one script): its offset lies
 * behind all that the client has had answers for. The reply is the smallest of the shards'.
 */
import { hashSlot } from '../../protocol/hash-slot.ts';
import { encodeRequest } from '../../protocol/request-encoder.ts';
import {
  decodeReply,
  encodeReply,
  itemsOf,
  RespError,
  textOf,
  type RespValue,
} from '../../protocol/resp-value.ts';
import type { CacheRouter } from '../routing/cache-router.ts';
import { endBlocked } from '../end-blocked.ts';
import { errorReply } from '../proxy-error.ts';
import type { Session } from '../session.ts';
import type { Call, HandlerTable } from '../command-handler.ts';
import type { Upstream } from '../routing/upstream.ts';

export const waitHandlers: HandlerTable = {
  wait: { run: wait, drained: true },
  waitaof: { run: wait, drained: true },
};

/** A write that leaves nothing behind, and is allowed when memory is full. */
const MARK_SCRIPT =
  "#!lua flags=allow-oom\nserver.call('SET', KEYS[1], '') server.call('DEL', KEYS[1])";

const REPLICA_WAITS =
  'cannot be used with replica instances. Please also note that writes to replicas are just local and are not propagated.';

async function wait(session: Session, call: Call): Promise<Buffer> {
  const { router } = session.service;
  const { client } = session;
  const args = call.args.map((arg) => Buffer.from(arg));
  if (session.reader) return errorReply(`ERR ${call.command.name.toUpperCase()} ${REPLICA_WAITS}`);
  const numbers = args.slice(1).map((arg) => arg.toString('latin1'));
  if (!numbers.every((word) => /^-?\d{1,18}$/.test(word)) || Number(numbers.at(-1)) < 0) {
    // Nothing to wait for: any node says what is wrong.
    return encodeReply(await router.ask(args, { lane: session.lane! }), client.resp);
  }
  const upstreams = router
    .primaries()
    .map((node) => router.connections.privateFor(router.systemLane, node));
  let ended = false;
  client.unblock = (withError) => {
    ended = true;
    for (const upstream of upstreams) void endBlocked(router, upstream, withError);
  };
  session.end.onGone = () => {
    ended = true;
    for (const upstream of upstreams) upstream.destroy();
  };
  const answers = await Promise.all(upstreams.map((upstream) => waitAt(router, upstream, args)));
  session.end.onGone = null;
  client.unblock = null;
  for (const upstream of upstreams) {
    if (ended) upstream.destroy();
    else router.connections.givePrivate(router.systemLane, upstream);
  }
  return encodeReply(smallest(answers, call.command.name), client.resp);
}

async function waitAt(
  router: CacheRouter,
  upstream: Upstream,
  args: readonly Buffer[],
): Promise<RespValue> {
  const options = { fixed: upstream, repeatable: true };
  const mark = encodeRequest(['EVAL', MARK_SCRIPT, 1, keyOf(router, upstream.node)]);
  const marked = decodeReply(await router.askBytes(mark, options));
  if (marked instanceof RespError) return marked;
  return decodeReply(await router.askBytes(encodeRequest(args), { ...options, mayWait: true }));
}

/** A key in a slot of this node. */
function keyOf(router: CacheRouter, node: number): string {
  for (let i = 0; ; i++) {
    const key = `springtide:wait:${i}`;
    const bytes = Buffer.from(key);
    if (router.owners[hashSlot(bytes, 0, bytes.length)] === node || i > TRIES_MAXIMUM) return key;
  }
}

/** More than enough to meet a slot of a node that has any number worth the name of a shard. */
const TRIES_MAXIMUM = 200_000;

/** Of numbers, or column by column of WAITAOF's pairs. An error of one shard is the answer, a lost node has no replica. */
function smallest(answers: readonly RespValue[], name: string): RespValue {
  const error = answers.find((answer) => answer instanceof RespError && !LOST.has(answer.kind));
  if (error !== undefined) return error;
  const lists = answers.map((answer): readonly RespValue[] => {
    if (answer instanceof RespError) return [];
    return Array.isArray(answer) ? itemsOf(answer) : [answer];
  });
  const columns = name === 'waitaof' ? [0, 1] : [0];
  const values = columns.map((i) => Math.min(...lists.map((list) => Number(textOf(list[i]) ?? 0))));
  return name === 'waitaof' ? values : values[0]!;
}

/** Its connection is gone, or it is no primary any more: what it had was not confirmed. */
const LOST: ReadonlySet<string> = new Set([
  'NODELOST',
  'INDOUBT',
  'MOVED',
  'EXECABORT',
  'READONLY',
  'REDIRECT',
  'CLUSTERDOWN',
]);
