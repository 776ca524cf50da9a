/**
 * ACL LOG of a sharded cache: what its shards refused, in one list, as one server would have noted it. Logins are not in it:
 * the proxy checks them, and `springtide_auth_failures_total` counts the wrong ones.
 */
import {
  encodeReply,
  entriesOf,
  itemsOf,
  RespMap,
  textOf,
  type RespValue,
} from '../../protocol/resp-value.ts';
import { askShards } from '../ask-shards.ts';
import type { Session } from '../session.ts';
import type { Call, HandlerTable } from '../command-handler.ts';
import { firstError } from '../split.ts';

export const aclLogHandlers: HandlerTable = { 'acl|log': aclLog };

/** acl.c, aclCommand. */
const COUNT_DEFAULT = 10;
/** More than acllog-max-len on any node: entries are put together before they are counted. */
const ALL = '1000000';
/** acl.c, ACL_LOG_GROUPING_MAX_TIME_DELTA: what is alike and no further apart is one entry. */
const GROUPING_MS = 60_000;

/** RESET, and what the engine refuses, go to every shard as they are. */
async function aclLog(session: Session, call: Call): Promise<Buffer> {
  const args = call.args.map((arg) => Buffer.from(arg));
  const count = args.length === 2 ? COUNT_DEFAULT : countOf(args);
  const answers = await askShards(session, count === null ? args : ['ACL', 'LOG', ALL]);
  const error = firstError(answers);
  const { resp } = session.client;
  if (error !== null || count === null) return encodeReply(error ?? answers[0]!, resp);
  return encodeReply(mergeAclLogs(answers).slice(0, count), resp);
}

/** Null: not a number that the engine would take. */
function countOf(args: readonly Buffer[]): number | null {
  const text = args[2]!.toString();
  return args.length === 3 && /^(0|-?[1-9]\d{0,14})$/.test(text) ? Math.max(0, Number(text)) : null;
}

interface Entry {
  readonly fields: Map<string, RespValue>;
  /** What must be equal for two entries to be one. */
  readonly likeness: string;
  count: number;
  createdMs: number;
  readonly updatedMs: number;
}

/** Newest first; the newest of those that are alike stands for all of them. Ids are each node's own. */
function mergeAclLogs(answers: readonly RespValue[]): RespValue[] {
  const entries = answers
    .flatMap((answer) => itemsOf(answer))
    .map(entryOf)
    .sort((a, b) => b.updatedMs - a.updatedMs);
  const merged: Entry[] = [];
  const newest = new Map<string, Entry>();
  for (const entry of entries) {
    const known = newest.get(entry.likeness);
    if (known === undefined || known.updatedMs - entry.updatedMs > GROUPING_MS) {
      newest.set(entry.likeness, entry);
      merged.push(entry);
    } else {
      known.count += entry.count;
      known.createdMs = Math.min(known.createdMs, entry.createdMs);
    }
  }
  return merged.map(({ fields, count, createdMs }) => {
    if (fields.has('timestamp-created')) fields.set('timestamp-created', createdMs);
    return new RespMap([...fields.set('count', count)]);
  });
}

function entryOf(row: RespValue): Entry {
  const fields = new Map(entriesOf(row));
  const text = (name: string) => textOf(fields.get(name)) ?? '';
  return {
    fields,
    likeness: JSON.stringify(['reason', 'context', 'object', 'username'].map(text)),
    count: Number(text('count')),
    createdMs: Number(text('timestamp-created')),
    updatedMs: Number(text('timestamp-last-updated')),
  };
}
