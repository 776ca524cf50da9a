/**
 * Which connection carries a topic. For each user one connection carries channels and patterns, and one for each shard
 * primary its shard channels. A topic whose connection is lost, whose node is dead or whose slot has moved is subscribed
 * elsewhere at once, or as soon as there is a node for it.
 */
import type { RespError } from '../../protocol/resp-value.ts';
import type { CacheService } from '../cache-service.ts';
import { laneHandshake } from '../routing/lane.ts';
import { PubSubFeed, type FeedOwner } from './pubsub-feed.ts';
import type { Topic } from './topic.ts';

/** What becomes of the topics. */
export interface PlacerOwner {
  /** The node has confirmed the subscription. */
  onLive(topic: Topic): void;
  onMessage(topic: Topic, push: Buffer): void;
  /** The engine does not let the user have it: it is placed nowhere. */
  onDenied(topic: Topic, error: RespError): void;
  /** Before topics without a place are tried again. */
  onRetry(): void;
}

/** The connections of one user. */
interface Post {
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

export class TopicPlacer implements FeedOwner {
  readonly #service: CacheService;
  readonly #owner: PlacerOwner;
  /** By user. */
  readonly #posts = new Map<string, Post>();
  #homeless = new Set<Topic>();
  /** Nodes whose connection was lost, and until when others are preferred (performance.now()). */
  readonly #avoided = new Map<number, number>();
  /** Topics that nobody wants any more and that nodes still count us for. */
  #leaving = 0;
  #retryTimer: NodeJS.Timeout | null = null;
  #retryMs = RETRY_MS;
  #epoch = -1;
  #closed = false;

  constructor(service: CacheService, owner: PlacerOwner) {
    this.#service = service;
    this.#owner = owner;
  }

  /** Has this user a connection? */
  serves(user: string): boolean {
    return this.#posts.has(user);
  }

  /** Do nodes still count us for topics that nobody wants any more? */
  get leaving(): boolean {
    return this.#leaving > 0;
  }

  /** Resolves when they do not for those that are left by now; what is left meanwhile is not waited for. */
  async left(): Promise<void> {
    const feeds = this.#feeds().filter(({ leaving }) => leaving > 0);
    await Promise.all(feeds.map((feed) => new Promise<void>((resolve) => feed.fence(resolve))));
  }

  /** Gives a topic to the connection that should carry it, or lets it wait when there is no node. */
  place(topic: Topic, alone = false): void {
    const { router } = this.#service;
    const post = this.#postOf(topic.user);
    const node = topic.kind === 'shard' ? router.ownerOf(topic.slot) : this.#listeningPost();
    if (node < 0) return this.#wait(topic);
    let feed = topic.kind === 'shard' ? post.shardFeeds.get(node) : (post.feed ?? undefined);
    if (feed === undefined || feed.closed) {
      const opened = this.#open(topic.user, node);
      if (opened === null) return this.#wait(topic);
      feed = opened;
      if (topic.kind === 'shard') post.shardFeeds.set(node, feed);
      else post.feed = feed;
    }
    feed.add(topic, alone);
  }

  /** Nobody wants it any more. */
  forget(topic: Topic): void {
    this.#homeless.delete(topic);
    topic.feed?.remove(topic);
  }

  /** Moves shard channels from nodes that do not hear their slot any more, should such a node not have said so itself. */
  followSlots(shardTopics: Iterable<Topic>): void {
    const { router } = this.#service;
    if (router.epoch === this.#epoch) return;
    this.#epoch = router.epoch;
    for (const topic of shardTopics) {
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
      this.place(topic);
    }
  }

  /** Once a second or so: ends connections that carry nothing, do not answer or lead to nodes that have gone. */
  keepHouse(): void {
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
    for (const [user, { feed, shardFeeds }] of this.#posts) {
      if (feed === null && shardFeeds.size === 0) this.#posts.delete(user);
    }
  }

  close(): void {
    this.#closed = true;
    if (this.#retryTimer !== null) clearTimeout(this.#retryTimer);
    for (const feed of this.#feeds()) feed.destroy();
  }

  // ---- what the connections say --------------------------------------------------------------------------------------

  onLive(topic: Topic): void {
    this.#retryMs = RETRY_MS;
    this.#owner.onLive(topic);
  }

  onMessage(topic: Topic, push: Buffer): void {
    this.#owner.onMessage(topic, push);
  }

  onLeaving(topics: number): void {
    this.#leaving += topics;
  }

  onDropped(topic: Topic): void {
    this.#service.router.refresh();
    this.place(topic);
  }

  onRefused(topics: readonly Topic[], error: RespError): void {
    if (RETRIED.has(error.kind)) {
      this.#service.router.follow(error);
      for (const topic of topics) {
        topic.redirects++;
        if (error.kind === 'MOVED' && topic.redirects <= REDIRECTS_AT_ONCE) this.place(topic);
        else this.#wait(topic);
      }
      return;
    }
    // A command is refused whole. Which name it was is known when each has gone alone.
    for (const topic of topics) {
      if (topics.length > 1) this.place(topic, true);
      else this.#owner.onDenied(topic, error);
    }
  }

  onLost(feed: PubSubFeed, topics: readonly Topic[]): void {
    for (const post of this.#posts.values()) {
      if (post.feed === feed) post.feed = null;
      if (post.shardFeeds.get(feed.node) === feed) post.shardFeeds.delete(feed.node);
    }
    if (this.#closed || topics.length === 0) return;
    this.#avoided.set(feed.node, performance.now() + AVOID_MS);
    const elsewhere = this.#isFit(this.#listeningPost());
    for (const topic of topics) {
      if (topic.kind === 'shard' || !elsewhere) this.#wait(topic);
      else this.place(topic);
    }
  }

  // ---- where to ------------------------------------------------------------------------------------------------------

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
    this.#owner.onRetry();
    const homeless = this.#homeless;
    this.#homeless = new Set();
    if (homeless.size > 0) this.#service.router.refresh();
    for (const topic of homeless) if (topic.wanted && topic.feed === null) this.place(topic);
  }

  #postOf(user: string): Post {
    let post = this.#posts.get(user);
    if (post === undefined) {
      post = { feed: null, shardFeeds: new Map() };
      this.#posts.set(user, post);
    }
    return post;
  }

  #feeds(): PubSubFeed[] {
    return [...this.#posts.values()].flatMap(({ feed, shardFeeds }) => [
      ...(feed === null ? [] : [feed]),
      ...shardFeeds.values(),
    ]);
  }
}
