/** One reply out of those of several shards: by the engine's own tips, or by the order of the keys. */
import type { Command } from '../protocol/command-table.ts';
import { REPLY_INCOMPLETE, ReplyScanner } from '../protocol/reply-scanner.ts';
import { decodeReply, encodeReply, itemsOf, type RespValue } from '../protocol/resp-value.ts';
import { errorReply, OK_REPLY } from './proxy-error.ts';

const MINUS = 45;

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

/**
 * Arrays with one element for each key, brought back into the order of the keys: `positions` has for each reply those of its
 * elements, `count` in all. The elements' bytes are not decoded.
 */
export function mergeByKey(
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
  return Buffer.concat([Buffer.from(`*${count}\r\n`), ...elements]);
}
