/** PUBSUB: what is subscribed to, by clients of all proxies. The nodes see proxies only, so they are not asked. */
import { encodeReply, type RespValue } from '../../protocol/resp-value.ts';
import { globMatch } from '../../protocol/glob-match.ts';
import { countsAnswer, type CountsQuestion } from '../peers/peer-answers.ts';
import type { Session } from '../session.ts';
import { queueable, type HandlerEntry, type HandlerTable } from '../command-handler.ts';
import type { TopicKind } from '../pubsub/topic.ts';

export const pubsubCountHandlers: HandlerTable = {
  'pubsub|channels': counting((session, args) => channels(session, args, 'channel')),
  'pubsub|shardchannels': counting((session, args) => channels(session, args, 'shard')),
  'pubsub|numsub': counting((session, args) => numbers(session, args, 'channel')),
  'pubsub|shardnumsub': counting((session, args) => numbers(session, args, 'shard')),
  'pubsub|numpat': counting(async (session) => (await counts(session, { kind: 'pattern' })).size),
};

/** Lets the engine judge first, by the same command: what it refuses (rights, arguments) is refused in its words. */
function counting(
  count: (session: Session, args: readonly Buffer[]) => Promise<RespValue>,
): HandlerEntry {
  return queueable(async (session, call) => {
    // The call's bytes hold only until the first wait.
    const args = call.args.map((arg) => Buffer.from(arg));
    const judged = await session.service.router.askBytes(Buffer.from(call.bytes), {
      lane: session.lane!,
    });
    if (judged[0] === MINUS) return judged;
    return encodeReply(await count(session, args), session.client.resp);
  });
}

async function channels(
  session: Session,
  args: readonly Buffer[],
  kind: TopicKind,
): Promise<RespValue> {
  const pattern = args[2]?.toString('latin1');
  const names = [...(await counts(session, { kind })).keys()];
  const matching = pattern === undefined ? names : names.filter((name) => globMatch(pattern, name));
  return matching.map((name) => Buffer.from(name, 'latin1'));
}

async function numbers(
  session: Session,
  args: readonly Buffer[],
  kind: TopicKind,
): Promise<RespValue> {
  const asked = args.slice(2);
  const names = asked.map((arg) => arg.toString('latin1'));
  const subscribers = await counts(session, { kind, names });
  return asked.flatMap((arg, i): RespValue[] => [arg, subscribers.get(names[i]!) ?? 0]);
}

/** Clients per name, of this proxy and of the others. */
async function counts(session: Session, question: CountsQuestion): Promise<Map<string, number>> {
  const { hub, peers, cache } = session.service;
  const { kind, names } = question;
  const total =
    names === undefined
      ? hub.counts(kind)
      : new Map(names.map((name) => [name, hub.count(kind, name)]));
  for (const answer of await peers.ask('pubsub-counts', cache.name, question)) {
    for (const [name, clients] of countsAnswer.parse(answer))
      total.set(name, (total.get(name) ?? 0) + clients);
  }
  return total;
}

const MINUS = 45;
