/**
 * Pub/sub of one cache: many sessions, few subscriptions at the nodes. For each user (channel rules are the engine's) one
 * connection carries channels and patterns, and one for each shard primary its shard channels. A client is told that it is
 * subscribed when the node has said so.
 *
 *   session ─ claim ─> topic ─ feed ─> node          message: node ─> feed ─> topic ─> its sessions
 *
 * A lost connection, a dead node or a moved slot makes the topics homeless; they are subscribed elsewhere at once, without
 * the clients' notice. What is published in between is lost, as at any failover of the engine itself.
 */
import { globMatch } from '../../protocol/glob-match.ts';
import type { RespError } from '../../protocol/resp-value.ts';
import type { CacheService } from '../cache-service.ts';
import { errorReply, CLUSTER_DOWN } from '../proxy-error.ts';
import type { Claim, ClaimOutcome } from './pubsub-claim.ts';
import { asResp2 } from './pubsub-push.ts';
import { NO_SLOT } from '../routing/request.ts';
import type { Session } from '../session.ts';
import { Subscriptions } from './subscriptions.ts';
import { Topic, type TopicKind } from './topic.ts';
import { TopicPlacer, type PlacerOwner } from './topic-placer.ts';

/** What one user's sessions are subscribed to. */
interface Subscriber {
  readonly user: string;
  readonly topics: Record<TopicKind, Map<string, Topic>>;
}

const HOUSEKEEPING_MS = 1000;

export class PubSubHub implements PlacerOwner {
  readonly #service: CacheService;
  readonly #placer: TopicPlacer;
  readonly #subscribers = new Map<string, Subscriber>();
  /** By session: a session waits for one command at a time. */
  readonly #claims = new Map<Session, Claim>();
  #housekeeping: NodeJS.Timeout | null = null;

  constructor(service: CacheService) {
    this.#service = service;
    this.#placer = new TopicPlacer(service, this);
  }

  /**
   * Subscribes a session as the user that it is. Calls `settle` once, perhaps at once: with the counts when every name is
   * confirmed and the session gets its messages from now on, else with an error, and then it has none of the new ones.
   */
  subscribe(
    session: Session,
    kind: TopicKind,
    names: readonly { name: string; slot: number }[],
    settle: (outcome: ClaimOutcome) => void,
  ): void {
    const subscriber = this.#subscriber(session.client.user);
    const topics = names.map(({ name, slot }) => this.#topic(subscriber, kind, name, slot));
    const claim: Claim = {
      session,
      topics,
      missing: new Set(topics.filter((topic) => !topic.live)),
      deadlineMs: performance.now() + this.#service.cache.deadlineMs,
      settle,
    };
    if (claim.missing.size === 0) {
      this.#grant(claim);
      return;
    }
    this.#claims.set(session, claim);
    for (const topic of topics) topic.claims.add(claim);
    for (const topic of claim.missing) if (topic.feed === null) this.#placer.place(topic);
    this.#housekeeping ??= setInterval(() => this.#keepHouse(), HOUSEKEEPING_MS).unref();
  }

  /**
   * Calls back when the session has got every message of `topics` that its node had when this was called: a client that
   * publishes and then unsubscribes sees its own message, as at the engine.
   */
  fence(topics: readonly Topic[], done: () => void): void {
    const feeds = new Set(topics.map((topic) => topic.feed).filter((feed) => feed !== null));
    let missing = feeds.size;
    if (missing === 0) return done();
    for (const feed of feeds) {
      feed.fence(() => {
        missing--;
        if (missing === 0) done();
      });
    }
  }

  unsubscribe(session: Session, kind: TopicKind, name: string): void {
    const { subscriptions } = session.client;
    const topic = subscriptions?.of(kind).get(name);
    if (subscriptions === null || topic === undefined) return;
    subscriptions.of(kind).delete(name);
    topic.sessions.delete(session);
    this.#release(topic);
    if (subscriptions.count === 0) session.client.subscriptions = null;
  }

  /** The session is gone or reset. */
  leave(session: Session): void {
    const claim = this.#claims.get(session);
    if (claim !== undefined) this.#withdraw(claim);
    const { subscriptions } = session.client;
    session.client.subscriptions = null;
    for (const topic of subscriptions?.all() ?? []) {
      topic.sessions.delete(session);
      this.#release(topic);
    }
  }

  /** Names with at least one session, and how many sessions each has. */
  counts(kind: TopicKind): Map<string, number> {
    const counts = new Map<string, number>();
    for (const { topics } of this.#subscribers.values()) {
      for (const [name, topic] of topics[kind]) {
        if (topic.sessions.size > 0)
          counts.set(name, (counts.get(name) ?? 0) + topic.sessions.size);
      }
    }
    return counts;
  }

  /** Sessions of this proxy that are subscribed to one name. */
  count(kind: TopicKind, name: string): number {
    let sessions = 0;
    for (const { topics } of this.#subscribers.values())
      sessions += topics[kind].get(name)?.sessions.size ?? 0;
    return sessions;
  }

  /**
   * Who gets a message published to `name`: clients of this proxy, and the subscriptions at `node` that stand for them in
   * the node's own count. A client counts once for the channel and once for each pattern, as at the engine.
   */
  receivers(
    kind: 'channel' | 'shard',
    name: string,
    node: number,
  ): { clients: number; upstream: number } {
    let clients = 0;
    let upstream = 0;
    for (const { topics } of this.#subscribers.values()) {
      const patterns = kind === 'shard' ? [] : topics.pattern.values();
      for (const topic of [topics[kind].get(name), ...patterns]) {
        if (topic === undefined || !topic.live) continue;
        if (topic.kind === 'pattern' && !globMatch(topic.name, name)) continue;
        clients += topic.sessions.size;
        if (topic.feed?.node === node) upstream++;
      }
    }
    return { clients, upstream };
  }

  /** Does this proxy subscribe to anything? */
  get idle(): boolean {
    return this.#subscribers.size === 0 && !this.#placer.leaving;
  }

  /** Would a node count this proxy for what its clients have left? Then `left` tells when not any more. */
  get leaving(): boolean {
    return this.#placer.leaving;
  }

  left(): Promise<void> {
    return this.#placer.left();
  }

  close(): void {
    if (this.#housekeeping !== null) clearInterval(this.#housekeeping);
    this.#placer.close();
  }

  // ---- what becomes of the topics ------------------------------------------------------------------------------------

  onLive(topic: Topic): void {
    for (const claim of topic.claims) {
      claim.missing.delete(topic);
      if (claim.missing.size > 0) continue;
      this.#withdraw(claim);
      this.#grant(claim);
    }
  }

  onMessage(topic: Topic, push: Buffer): void {
    let array: Buffer | null = null;
    for (const session of topic.sessions) {
      session.pushes.push(session.client.resp === 3 ? push : (array ??= asResp2(push)));
    }
  }

  onDenied(topic: Topic, error: RespError): void {
    const reply = errorReply(error.message);
    // Who had it before has lost the right to it: the engine closes such clients, too (acl.c).
    for (const session of topic.sessions) session.destroy();
    for (const claim of topic.claims) this.#fail(claim, reply);
    this.#release(topic);
  }

  onRetry(): void {
    const now = performance.now();
    for (const claim of this.#claims.values()) {
      if (now > claim.deadlineMs) this.#fail(claim, CLUSTER_DOWN);
    }
  }

  // ---- claims --------------------------------------------------------------------------------------------------------

  #grant(claim: Claim): void {
    const { session, topics } = claim;
    const subscriptions = (session.client.subscriptions ??= new Subscriptions());
    const counts = topics.map((topic) => {
      topic.sessions.add(session);
      subscriptions.of(topic.kind).set(topic.name, topic);
      return subscriptions.countFor(topic.kind);
    });
    claim.settle(counts);
  }

  #fail(claim: Claim, error: Buffer): void {
    this.#withdraw(claim);
    for (const topic of claim.topics) this.#release(topic);
    claim.settle(error);
  }

  /** The claim waits no more. */
  #withdraw(claim: Claim): void {
    this.#claims.delete(claim.session);
    for (const topic of claim.topics) {
      topic.claims.delete(claim);
      if (claim.session.closed) this.#release(topic);
    }
  }

  /** Forgets a topic that nobody wants. */
  #release(topic: Topic): void {
    if (topic.wanted) return;
    this.#placer.forget(topic);
    const topics = this.#subscribers.get(topic.user)?.topics[topic.kind];
    if (topics?.get(topic.name) === topic) topics.delete(topic.name);
  }

  #subscriber(user: string): Subscriber {
    let subscriber = this.#subscribers.get(user);
    if (subscriber === undefined) {
      const topics = { channel: new Map(), pattern: new Map(), shard: new Map() };
      subscriber = { user, topics };
      this.#subscribers.set(user, subscriber);
    }
    return subscriber;
  }

  #topic(subscriber: Subscriber, kind: TopicKind, name: string, slot: number): Topic {
    const topics = subscriber.topics[kind];
    let topic = topics.get(name);
    if (topic === undefined) {
      topic = new Topic(kind, name, kind === 'shard' ? slot : NO_SLOT, subscriber.user);
      topics.set(name, topic);
    }
    return topic;
  }

  *#shardTopics(): Iterable<Topic> {
    for (const { topics } of this.#subscribers.values()) yield* topics.shard.values();
  }

  #keepHouse(): void {
    this.#placer.keepHouse();
    this.#placer.followSlots(this.#shardTopics());
    for (const { user, topics } of this.#subscribers.values()) {
      const count = topics.channel.size + topics.pattern.size + topics.shard.size;
      if (count === 0 && !this.#placer.serves(user)) this.#subscribers.delete(user);
    }
    if (this.#subscribers.size === 0 && this.#housekeeping !== null) {
      clearInterval(this.#housekeeping);
      this.#housekeeping = null;
    }
  }
}
