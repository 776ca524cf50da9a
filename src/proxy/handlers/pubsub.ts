/** SUBSCRIBE and its kin (pubsub.c); the subscriptions themselves are the hub's. */
import { hashSlot } from '../../protocol/hash-slot.ts';
import { RespError, encodeReply, RespPush, textOf } from '../../protocol/resp-value.ts';
import { answerLater } from '../answer-later.ts';
import { CROSS_SLOT, errorReply } from '../proxy-error.ts';
import { NO_SLOT } from '../routing/request.ts';
import type { Session } from '../session.ts';
import type { Call, HandlerEntry, HandlerTable } from '../command-handler.ts';
import { Subscriptions } from '../pubsub/subscriptions.ts';
import { TOPIC_WORDS, type TopicKind } from '../pubsub/topic.ts';

export const pubsubHandlers: HandlerTable = {
  subscribe: subscribing('channel'),
  psubscribe: subscribing('pattern'),
  ssubscribe: subscribing('shard'),
  unsubscribe: unsubscribing('channel'),
  punsubscribe: unsubscribing('pattern'),
  sunsubscribe: unsubscribing('shard'),
};

interface Name {
  readonly name: string;
  readonly slot: number;
}

type Answer = (reply: Buffer | readonly Buffer[]) => void;
/** Answers by `later()` when it can; at once with an error. */
type Subscribing = (
  session: Session,
  call: Call,
  kind: TopicKind,
  later: () => Answer,
) => Buffer | null;

function subscribing(kind: TopicKind): HandlerEntry {
  return entry(kind, subscribe);
}

function unsubscribing(kind: TopicKind): HandlerEntry {
  return entry(kind, unsubscribe);
}

function entry(kind: TopicKind, work: Subscribing): HandlerEntry {
  return {
    drained: true,
    run: (session, call) => work(session, call, kind, () => answerLater(session, call)),
    atExec: (session, call) =>
      new Promise((resolve) => {
        const answer: Answer = (reply) =>
          resolve(Buffer.isBuffer(reply) ? reply : Buffer.concat(reply));
        const error = work(session, call, kind, () => answer);
        if (error !== null) answer(error);
      }),
  };
}

function subscribe(
  session: Session,
  call: Call,
  kind: TopicKind,
  later: () => Answer,
): Buffer | null {
  const names = namesOf(session, call, kind);
  if (Buffer.isBuffer(names)) return names;
  const answer = later();
  session.service.hub.subscribe(session, kind, names, (outcome) => {
    if (Buffer.isBuffer(outcome)) return answer(outcome);
    answer(names.map(({ name }, i) => confirmation(session, kind, 'subscribe', name, outcome[i]!)));
  });
  return null;
}

/** The names that a command gives, or why they cannot be: too long, or in several slots of a sharded cache. */
function namesOf(session: Session, call: Call, kind: TopicKind): Name[] | Buffer {
  const { cache } = session.service;
  const names: Name[] = [];
  let slot = NO_SLOT;
  for (const arg of call.args.slice(1)) {
    if (arg.length > cache.limits.keyMaximumBytes) {
      return errorReply(
        `ERR a key or channel name exceeds the limit of ${cache.limits.keyMaximumBytes} bytes of this cache`,
      );
    }
    if (kind === 'shard') {
      const own = hashSlot(arg, 0, arg.length);
      if (cache.sharding && slot !== NO_SLOT && own !== slot) return CROSS_SLOT;
      slot = own;
    }
    names.push({ name: arg.toString('latin1'), slot });
  }
  return names;
}

function unsubscribe(
  session: Session,
  call: Call,
  kind: TopicKind,
  later: () => Answer,
): Buffer | null {
  const named = namesOf(session, call, kind);
  if (Buffer.isBuffer(named)) return named;
  const answer = later();
  const held = session.client.subscriptions?.of(kind);
  if (held === undefined || held.size === 0) {
    void refusalOf(session, call).then((refusal) => answer(refusal ?? leave(session, kind, named)));
    return null;
  }
  const names = named.length > 0 ? named : [...held.values()];
  const topics = names.map(({ name }) => held.get(name)).filter((topic) => topic !== undefined);
  session.service.hub.fence(topics, () => answer(leave(session, kind, names)));
  return null;
}

/** Unsubscribes by one name after the other; without a name there is one confirmation of nothing. */
function leave(session: Session, kind: TopicKind, names: readonly { name: string }[]): Buffer[] {
  if (names.length === 0)
    return [confirmation(session, kind, 'unsubscribe', null, countOf(session, kind))];
  return names.map(({ name }) => {
    session.service.hub.unsubscribe(session, kind, name);
    return confirmation(session, kind, 'unsubscribe', name, countOf(session, kind));
  });
}

/** May the user run this at all? Only the engine knows; who has subscriptions has been allowed before. */
async function refusalOf(session: Session, call: Call): Promise<Buffer | null> {
  const { router } = session.service;
  const reply = await router.ask(['ACL', 'DRYRUN', session.client.user, ...call.args]);
  if (reply instanceof RespError) return null;
  const words = textOf(reply) ?? 'OK';
  return words === 'OK' ? null : errorReply(`NOPERM ${words}`);
}

function countOf(session: Session, kind: TopicKind): number {
  return (session.client.subscriptions ?? new Subscriptions()).countFor(kind);
}

function confirmation(
  session: Session,
  kind: TopicKind,
  verb: 'subscribe' | 'unsubscribe',
  name: string | null,
  count: number,
): Buffer {
  const bytes = name === null ? null : Buffer.from(name, 'latin1');
  return encodeReply(new RespPush([TOPIC_WORDS[kind][verb], bytes, count]), session.client.resp);
}
