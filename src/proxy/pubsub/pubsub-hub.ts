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
import { PubSubFeed, type FeedOwner } from './pubsub-feed.ts';
import { asResp2 } from './pubsub-push.ts';
import { NO_SLOT } from '../routing/request.ts';
import type { Session } from '../session.ts';
import { Subscriptions } from './subscriptions.ts';
import { Topic, type TopicKind } from './topic.ts';
import { laneHandshake } from '../routing/lane.ts';

/** What one user's sessions are subscribed to, and over which connections. */
interface Subscriber {
  readonly user: string;
  readonly topics: Record<TopicKind, Map<string, Topic>>;
  /** Carries channels and patterns. */
  feed: PubSubFeed | null;
  /** Carry shard channels, by node. */
  readonly shardFeeds: Map<number, PubSubFeed>;
}

/** A topic that could not be placed is tried again after this, then after twice that, up to the maximum. */
const RETRY_MS = 5;
const RETRY_MAXIMUM_MS = 100;
/** Redirections that are followed at once; then each waits. */
const REDIRECTS_AT_ONCE = 5;
const HOUSEKEEPING_MS = 1000;
/** A connection that carries nothing is kept this long: clients that reconnect find it. */
const FEED_IDLE_MS = 10_000;
/** After a connection was lost, its node carries no channels and patterns for this long. */
const AVOID_MS = 1000;
/** Errors by which a node says that it cannot now, or is not the one. */
const RETRIED: ReadonlySet<string> = new Set([
  'MOVED',
  'ASK',
  'TRYAGAIN',
  'CLUSTERDOWN',
  'LOADING',
  'MASTERDOWN',
]);

export class PubSubHub implements FeedOwner {
  readonly #service: CacheService;
  readonly #subscribers = new Map<string, Subscriber>();
  /** By session: a session waits for one command at a time. */
  readonly #claims = new Map<Session, Claim>();
  #homeless = new Set<Topic>();
  /** Nodes whose connection was lost, and until when others are preferred (performance.now()). */
  readonly #avoided = new Map<number, number>();
  #retryTimer: NodeJS.Timeout | null = null;
  #retryMs = RETRY_MS;
  #housekeeping: NodeJS.Timeout | null = null;
  #epoch = -1;
  #closed = false;

  constructor(service: CacheService) {
    this.#service = service;
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
    for (const topic of claim.missing) if (topic.feed === null) this.#place(topic);
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
    return this.#subscribers.size === 0;
  }

  close(): void {
    this.#closed = true;
    if (this.#retryTimer !== null) clearTimeout(this.#retryTimer);
    if (this.#housekeeping !== null) clearInterval(this.#housekeeping);
    for (const feed of this.#feeds()) feed.destroy();
  }

  // ---- what the connections say --------------------------------------------------------------------------------------

  onLive(topic: Topic): void {
    this.#retryMs = RETRY_MS;
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
      session.push(session.client.resp === 3 ? push : (array ??= asResp2(push)));
    }
  }

  onDropped(topic: Topic): void {
    this.#service.router.refresh();
    this.#place(topic);
  }

  onRefused(topics: readonly Topic[], error: RespError): void {
    if (RETRIED.has(error.kind)) {
      this.#service.router.follow(error);
      for (const topic of topics) {
        topic.redirects++;
        if (error.kind === 'MOVED' && topic.redirects <= REDIRECTS_AT_ONCE) this.#place(topic);
        else this.#wait(topic);
      }
      return;
    }
    // A command is refused whole. Which name it was is known when each has gone alone.
    if (topics.length > 1) {
      for (const topic of topics) this.#place(topic, true);
      return;
    }
    const reply = errorReply(error.message);
    for (const topic of topics) {
      // Who had it before has lost the right to it: the engine closes such clients, too (acl.c).
      for (const session of topic.sessions) session.destroy();
      for (const claim of topic.claims) this.#fail(claim, reply);
      this.#release(topic);
    }
  }

  onLost(feed: PubSubFeed, topics: readonly Topic[]): void {
    for (const subscriber of this.#subscribers.values()) {
      if (subscriber.feed === feed) subscriber.feed = null;
      if (subscriber.shardFeeds.get(feed.node) === feed) subscriber.shardFeeds.delete(feed.node);
    }
    if (this.#closed || topics.length === 0) return;
    this.#avoided.set(feed.node, performance.now() + AVOID_MS);
    const elsewhere = this.#isFit(this.#listeningPost());
    for (const topic of topics) {
      if (topic.kind === 'shard' || !elsewhere) this.#wait(topic);
      else this.#place(topic);
    }
  }

  // ---- placing -------------------------------------------------------------------------------------------------------

  /** Gives a topic to the connection that should carry it, or lets it wait when there is no node. */
  #place(topic: Topic, alone = false): void {
    const { router } = this.#service;
    const subscriber = this.#subscribers.get(topic.user);
    const node = topic.kind === 'shard' ? router.ownerOf(topic.slot) : this.#listeningPost();
    if (subscriber === undefined || node < 0) return this.#wait(topic);
    let feed =
      topic.kind === 'shard' ? subscriber.shardFeeds.get(node) : (subscriber.feed ?? undefined);
    if (feed === undefined || feed.closed) {
      const opened = this.#open(topic.user, node);
      if (opened === null) return this.#wait(topic);
      feed = opened;
      if (topic.kind === 'shard') subscriber.shardFeeds.set(node, feed);
      else subscriber.feed = feed;
    }
    feed.add(topic, alone);
  }

  /**
   * A node for channels and patterns. The one that gets the PUBLISHes, so that its counts are of use; while that is dead,
   * any other: a message reaches all nodes of a cluster, and the replicas of an unsharded cache.
   */
  #listeningPost(): number {
    const { router } = this.#service;
    const preferred = router.anyPrimary();
    if (this.#isFit(preferred)) return preferred;
    const others = [...router.primaries(), ...router.replicas()];
    return others.find((node) => this.#isFit(node)) ?? preferred;
  }

  #isFit(node: number): boolean {
    return node >= 0 && (this.#avoided.get(node) ?? 0) < performance.now();
  }

  #open(userName: string, node: number): PubSubFeed | null {
    const { cache, router } = this.#service;
    const user = this.#service.user(userName);
    if (user === undefined) return null;
    const handshake = laneHandshake({
      user: userName,
      secret: user.upstreamSecret,
      systemSecret: cache.systemSecret,
      resp: 3,
      database: 0,
      readonly: false,
      sharded: cache.sharding,
      noTouch: false,
    });
    return new PubSubFeed(node, this, (handlers) =>
      router.connections.openPrivate(node, handshake, handlers),
    );
  }

  #wait(topic: Topic): void {
    if (!topic.wanted || this.#closed) return;
    this.#homeless.add(topic);
    this.#retryTimer ??= setTimeout(() => this.#retry(), this.#retryMs);
  }

  #retry(): void {
    this.#retryTimer = null;
    this.#retryMs = Math.min(this.#retryMs * 2, RETRY_MAXIMUM_MS);
    const now = performance.now();
    for (const claim of this.#claims.values()) {
      if (now > claim.deadlineMs) this.#fail(claim, CLUSTER_DOWN);
    }
    const homeless = this.#homeless;
    this.#homeless = new Set();
    if (homeless.size > 0) this.#service.router.refresh();
    for (const topic of homeless) if (topic.wanted && topic.feed === null) this.#place(topic);
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
    this.#homeless.delete(topic);
    topic.feed?.remove(topic);
    const topics = this.#subscribers.get(topic.user)?.topics[topic.kind];
    if (topics?.get(topic.name) === topic) topics.delete(topic.name);
  }

  #subscriber(user: string): Subscriber {
    let subscriber = this.#subscribers.get(user);
    if (subscriber === undefined) {
      const topics = { channel: new Map(), pattern: new Map(), shard: new Map() };
      subscriber = { user, topics, feed: null, shardFeeds: new Map() };
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

  #feeds(): PubSubFeed[] {
    return [...this.#subscribers.values()].flatMap(({ feed, shardFeeds }) => [
      ...(feed === null ? [] : [feed]),
      ...shardFeeds.values(),
    ]);
  }

  /** Moves shard channels from nodes that do not hear their slot any more, should such a node not have said so itself. */
  #followSlots(): void {
    const { router } = this.#service;
    if (router.epoch === this.#epoch) return;
    this.#epoch = router.epoch;
    for (const { topics } of this.#subscribers.values()) {
      for (const topic of topics.shard.values()) {
        const owner = router.ownerOf(topic.slot);
        const { feed } = topic;
        // A replica of the owner hears what the owner hears.
        if (
          feed === null ||
          owner < 0 ||
          router.nodes[feed.node]?.primaryIndex === owner ||
          feed.node === owner
        )
          continue;
        feed.remove(topic);
        this.#place(topic);
      }
    }
  }

  #keepHouse(): void {
    const now = performance.now();
    for (const feed of this.#feeds()) {
      const owedMs = feed.owedSinceMs === 0 ? 0 : now - feed.owedSinceMs;
      if (feed.idleSinceMs !== 0 && now - feed.idleSinceMs > FEED_IDLE_MS) feed.destroy();
      else if (owedMs > this.#service.cache.deadlineMs) {
        feed.destroy(
          new Error(`the node has not answered for ${this.#service.cache.deadlineMs} ms`),
        );
      } else if (this.#service.router.nodes[feed.node]?.known !== true) {
        feed.destroy(new Error('the node is not of this cache any more'));
      } else if (owedMs === 0) feed.fence(null);
    }
    this.#followSlots();
    for (const [user, subscriber] of this.#subscribers) {
      const { topics } = subscriber;
      const empty = topics.channel.size + topics.pattern.size + topics.shard.size === 0;
      if (empty && subscriber.feed === null && subscriber.shardFeeds.size === 0)
        this.#subscribers.delete(user);
    }
    if (this.#subscribers.size === 0 && this.#housekeeping !== null) {
      clearInterval(this.#housekeeping);
      this.#housekeeping = null;
    }
  }
}
