/**
 * One connection to one node that carries subscriptions of one user, shared by all its sessions (DESIGN, "Multiplex").
 * RESP3: messages and confirmations come as pushes, errors as replies. After each command goes a HELLO: its reply ends
 * what belongs to the command, so that an error is put to the right one whatever pushes the node sends on its own. (HELLO
 * because it is the one harmless command that every user may execute.)
 */
import { encodeRequest } from '../../protocol/request-encoder.ts';
import { decodeReply, RespError } from '../../protocol/resp-value.ts';
import { NO_SLOT } from '../routing/request.ts';
import { isPush, readPush } from './pubsub-push.ts';
import { TOPIC_WORDS, type Topic, type TopicKind } from './topic.ts';
import type { PrivateHandlers } from '../routing/connections.ts';
import type { Upstream } from '../routing/upstream.ts';

export interface FeedOwner {
  /** The node has confirmed the subscription. */
  onLive(topic: Topic): void;
  /** The node refused these; they are on no feed any more. */
  onRefused(topics: readonly Topic[], error: RespError): void;
  onMessage(topic: Topic, push: Buffer): void;
  /** The node took a shard channel away because its slot moved; it is on no feed any more. */
  onDropped(topic: Topic): void;
  /** So many topics more are being left; a negative number: the node has let go of them. */
  onLeaving(topics: number): void;
  /** The connection is gone; its topics are on no feed any more. */
  onLost(feed: PubSubFeed, topics: readonly Topic[]): void;
}

/** A command that the node has not finished with. */
interface Sent {
  readonly joins: boolean;
  readonly topics: readonly Topic[];
  readonly done: (() => void) | null;
  error: RespError | null;
}

const FENCE = encodeRequest(['HELLO']);
/** Names in one command: enough to make a reconnection quick, too few to block the node. */
const NAMES_MAXIMUM = 500;

export class PubSubFeed {
  readonly node: number;
  /** performance.now() since when it has carried nothing; 0 while it does. */
  idleSinceMs = 0;
  /** performance.now() when the oldest unanswered command was sent; 0 when nothing is. */
  owedSinceMs = 0;
  /** Topics that nobody wants any more and that the node has not let go of. */
  leaving = 0;
  closed = false;

  readonly #owner: FeedOwner;
  readonly #upstream: Upstream;
  readonly #topics: Record<TopicKind, Map<string, Topic>> = {
    channel: new Map(),
    pattern: new Map(),
    shard: new Map(),
  };
  readonly #sent: Sent[] = [];
  #joining: Topic[] = [];
  #leaving: Topic[] = [];
  #scheduled = false;

  constructor(node: number, owner: FeedOwner, open: (handlers: PrivateHandlers) => Upstream) {
    this.node = node;
    this.#owner = owner;
    this.#upstream = open({
      onPush: (reply) => this.#onReply(reply),
      onClosed: () => this.#onClosed(),
    });
    this.owedSinceMs = performance.now();
    this.fence(null);
  }

  get size(): number {
    return this.#topics.channel.size + this.#topics.pattern.size + this.#topics.shard.size;
  }

  /** Engine's id of the connection, 0 before the login. */
  get clientId(): number {
    return this.#upstream.clientId;
  }

  /** Subscribes, `alone` by a command of its own; the owner hears onLive or onRefused. */
  add(topic: Topic, alone = false): void {
    topic.feed = this;
    topic.live = false;
    this.idleSinceMs = 0;
    this.#topics[topic.kind].set(topic.name, topic);
    if (alone) {
      this.#command(true, [topic]);
      return;
    }
    this.#joining.push(topic);
    this.#schedule();
  }

  /** Unsubscribes. */
  remove(topic: Topic): void {
    this.#forget(topic);
    const waiting = this.#joining.indexOf(topic);
    if (waiting >= 0) this.#joining.splice(waiting, 1);
    else {
      this.#leaving.push(topic);
      this.#left(1);
    }
    this.#schedule();
  }

  /** Calls back when the node has answered everything up to now, so that every message published before has come. */
  fence(done: (() => void) | null): void {
    this.#flush();
    this.#send(FENCE, { joins: false, topics: [], done, error: null });
  }

  destroy(reason: Error | null = null): void {
    this.#upstream.destroy(reason);
  }

  #left(topics: number): void {
    this.leaving += topics;
    this.#owner.onLeaving(topics);
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    queueMicrotask(() => this.#flush());
  }

  #flush(): void {
    this.#scheduled = false;
    if (this.closed) return;
    // First out, then in: a name that left and came back must end up subscribed.
    const leaving = this.#leaving;
    const joining = this.#joining;
    this.#leaving = [];
    this.#joining = [];
    for (const topics of batches(leaving)) this.#command(false, topics);
    for (const topics of batches(joining)) this.#command(true, topics);
  }

  #command(joins: boolean, topics: readonly Topic[]): void {
    const words = TOPIC_WORDS[topics[0]!.kind];
    const command = encodeRequest([
      joins ? words.subscribe : words.unsubscribe,
      ...topics.map((topic) => topic.bytes),
    ]);
    this.#send(Buffer.concat([command, FENCE]), { joins, topics, done: null, error: null });
  }

  #send(bytes: Buffer, sent: Sent): void {
    if (this.#sent.length === 0) this.owedSinceMs = performance.now();
    this.#sent.push(sent);
    this.#upstream.sendUnpaired(bytes);
  }

  #onReply(reply: Buffer): void {
    if (isPush(reply)) {
      this.#onPush(reply);
      return;
    }
    const current = this.#sent[0];
    if (current === undefined) return;
    if (reply[0] === MINUS) {
      current.error = decodeReply(reply) as RespError;
      return;
    }
    this.#sent.shift();
    this.owedSinceMs = this.#sent.length === 0 ? 0 : performance.now();
    this.#finish(current);
  }

  #finish(command: Sent): void {
    command.done?.();
    if (!command.joins) this.#left(-command.topics.length);
    if (!command.joins || command.error === null) return;
    const refused = command.topics.filter((topic) => topic.feed === this && !topic.live);
    for (const topic of refused) this.#forget(topic);
    if (refused.length > 0) this.#owner.onRefused(refused, command.error);
  }

  #onPush(push: Buffer): void {
    const { event, name } = readPush(push);
    if (name === null) return;
    switch (event) {
      case 'message':
        return this.#deliver(this.#topics.channel.get(name), push);
      case 'pmessage':
        return this.#deliver(this.#topics.pattern.get(name), push);
      case 'smessage':
        return this.#deliver(this.#topics.shard.get(name), push);
      case 'subscribe':
        return this.#confirm(this.#topics.channel.get(name));
      case 'psubscribe':
        return this.#confirm(this.#topics.pattern.get(name));
      case 'ssubscribe':
        return this.#confirm(this.#topics.shard.get(name));
      case 'sunsubscribe':
        return this.#onShardUnsubscribed(this.#topics.shard.get(name));
      default:
    }
  }

  #deliver(topic: Topic | undefined, push: Buffer): void {
    if (topic !== undefined && topic.live) this.#owner.onMessage(topic, push);
  }

  #confirm(topic: Topic | undefined): void {
    const current = this.#sent[0];
    if (topic === undefined || topic.live || current === undefined || !current.joins) return;
    if (!current.topics.includes(topic)) return;
    topic.live = true;
    topic.redirects = 0;
    this.#owner.onLive(topic);
  }

  /** Our own SUNSUBSCRIBE, or the node's word that the slot is not its own any more. */
  #onShardUnsubscribed(topic: Topic | undefined): void {
    if (topic === undefined || !topic.live) return;
    this.#forget(topic);
    this.#owner.onDropped(topic);
  }

  #forget(topic: Topic): void {
    const topics = this.#topics[topic.kind];
    if (topics.get(topic.name) === topic) topics.delete(topic.name);
    topic.feed = null;
    topic.live = false;
    if (this.size === 0) this.idleSinceMs = performance.now();
  }

  #onClosed(): void {
    this.closed = true;
    const topics = Object.values(this.#topics).flatMap((map) => [...map.values()]);
    for (const topic of topics) this.#forget(topic);
    this.#left(-this.leaving);
    this.#leaving = [];
    for (const command of this.#sent.splice(0)) command.done?.();
    this.#owner.onLost(this, topics);
  }
}

/** Groups of topics that one command may name: the same kind and, for shard channels, the same slot. */
function batches(topics: readonly Topic[]): Topic[][] {
  const groups = new Map<string, Topic[]>();
  const full: Topic[][] = [];
  for (const topic of topics) {
    const key = topic.slot === NO_SLOT ? topic.kind : String(topic.slot);
    const group = groups.get(key) ?? [];
    group.push(topic);
    groups.set(key, group);
    if (group.length < NAMES_MAXIMUM) continue;
    full.push(group);
    groups.delete(key);
  }
  return [...full, ...groups.values()];
}

const MINUS = 45;
