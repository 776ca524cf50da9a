/**
 * The lane of one shard: looks at its nodes, asks planShard what to do, does it. Never two things at once on one shard;
 * shards do not wait for one another.
 */
import type { SlotRange } from '../model/slot-range.ts';
import { changesIoThreads } from './changes-io-threads.ts';
import { ControlError } from './control-error.ts';
import { executeStep } from './execute-step.ts';
import type { Fleet } from './fleet.ts';
import type { RunResult } from './keyed-queue.ts';
import { hasMissedWrites } from './replacement-view.ts';
import { planSettings } from './policies/plan-settings.ts';
import { planShard } from './policies/plan-shard.ts';
import type { ObservedShardNode, ShardNodeView, ShardView } from './policies/shard-view.ts';
import type { ClusterPeer } from './node-observation.ts';
import { rangesText, slotCount, withoutRanges } from './slot-ranges.ts';
import { seconds } from './seconds.ts';
import { ShardHealth } from './shard-health.ts';
import type { PlannedStep } from './step.ts';
import type { StepContext } from './step-context.ts';
import type { Store } from './store.ts';
import type { CacheRecord, NodeRecord } from './store-records.ts';

export interface ShardKeeperDependencies {
  readonly store: Store;
  readonly fleet: Fleet;
  context(cache: CacheRecord, signal: AbortSignal): StepContext;
  /** A live node has older access rules than the cache: the cache's own lane brings them. */
  onOldRules(cache: CacheRecord): void;
}

interface Request {
  readonly planned: PlannedStep;
  resolve(): void;
  reject(error: unknown): void;
}

/** How often a shard in which nothing happens is looked at; for many nodes less often. */
const LOOK_MS = 2_000;
const LOOK_PER_NODES = 40;
const LOOK_AGAIN_MS = 50;
/** While a node is missing: the time of its repair is told. */
const LOOK_DEGRADED_MS = 250;
/** A node that came just now is on its way to being known, and to knowing, everybody: nobody is to be helped yet. */
const ACQUAINTANCE_MS = 5_000;
/** With a dead primary every millisecond counts: a replica that does not answer by then is not the one to promote. */
const URGENT_TIMEOUT_MS = 150;

export class ShardKeeper {
  readonly #deps: ShardKeeperDependencies;
  readonly #requests = new Map<string, Request[]>();
  readonly #health = new ShardHealth();

  constructor(deps: ShardKeeperDependencies) {
    this.#deps = deps;
  }

  async run(cacheId: string, shard: number, lane: string, signal: AbortSignal): Promise<RunResult> {
    const { store, fleet } = this.#deps;
    const cache = store.cache(cacheId);
    const state = store.shards.get(cacheId, shard)?.state ?? 'joining';
    if (cache === undefined || !cache.formed || cache.state === 'deleting' || state === 'joining') {
      this.forget(lane);
      return {};
    }
    const context = this.#deps.context(cache, signal);
    await this.#takeUp(context, lane);
    await this.#serveRequests(context, lane);
    const view = await this.#look(cache, shard);
    if (this.#hasOldRules(cacheId, shard)) this.#deps.onOldRules(cache);
    const healing = planShard(view);
    // What heals goes first.
    const steps = healing.length > 0 ? healing : this.#settingsOf(cacheId, shard);
    let waitMs = LOOK_MS * Math.ceil(store.nodes(cacheId).length / LOOK_PER_NODES);
    for (const planned of steps) {
      signal.throwIfAborted();
      const dueInMs =
        planned.step.kind === 'start-node' || planned.step.kind === 'restart-primary'
          ? fleet.restartDueInMs(planned.step.nodeId)
          : 0;
      if (dueInMs > 0) {
        waitMs = Math.min(waitMs, dueInMs);
        continue;
      }
      await executeStep(context, lane, planned);
      waitMs = Math.min(waitMs, planned.step.kind === 'fence-node' ? 0 : LOOK_AGAIN_MS);
    }
    this.#noteHealth(context, lane, view);
    if (this.#health.isDegraded(lane)) waitMs = Math.min(waitMs, LOOK_DEGRADED_MS);
    if (view.primaryGoneMs > 0) waitMs = Math.min(waitMs, LOOK_AGAIN_MS);
    return { requeueAfterMs: waitMs };
  }

  /**
   * Leaves a step that a user asked for to the lane's next run, so that it is never beside another one. The caller adds
   * the lane to the queue.
   *
   * @returns resolves when the step is done
   */
  request(lane: string, planned: PlannedStep): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#requests.set(lane, [...(this.#requests.get(lane) ?? []), { planned, resolve, reject }]);
    return promise;
  }

  /** There is nothing to look after in this lane any more: whoever waits for something in it is told. */
  forget(lane: string): void {
    this.#health.forget(lane);
    const requests = this.#requests.get(lane) ?? [];
    this.#requests.delete(lane);
    for (const { planned, reject } of requests) {
      reject(
        new ControlError(
          'InvalidServerlessCacheStateFault',
          `${planned.step.kind} is not done: its shard is not served any more`,
        ),
      );
    }
  }

  #noteHealth(context: StepContext, lane: string, view: ShardView): void {
    const { fleet } = this.#deps;
    const lostForMs = (id: string) => Math.max(fleet.goneForMs(id), fleet.silentForMs(id));
    const repair = this.#health.look(lane, view, Date.now(), lostForMs);
    if (repair === null) return;
    context.event(
      'shard-repaired',
      `shard ${view.shard} ${view.nodes.length === 1 ? 'serves' : 'has all its copies in step'} again, ${seconds(repair.tookMs)} after node ${repair.nodeId} was lost`,
    );
  }

  async #serveRequests(context: StepContext, lane: string): Promise<void> {
    const requests = this.#requests.get(lane) ?? [];
    this.#requests.delete(lane);
    for (const { planned, resolve, reject } of requests) {
      try {
        await executeStep(context, lane, planned);
        resolve();
      } catch (error) {
        reject(error);
      }
    }
  }

  /** Records that a killed daemon left open: see step.ts. */
  async #takeUp(context: StepContext, lane: string): Promise<void> {
    const { store } = this.#deps;
    for (const open of store.steps.open(context.cache.id, lane)) {
      store.steps.end(open.id, 'failed', 'the daemon ended during it', Date.now());
      context.log.info({ step: open.step, reason: open.reason }, 'a step was left open; looking');
      if (open.step.kind === 'planned-failover') {
        await executeStep(context, lane, { step: open.step, reason: open.reason });
      }
    }
  }

  async #look(cache: CacheRecord, shard: number): Promise<ShardView> {
    const { store, fleet } = this.#deps;
    const all = store.nodes(cache.id);
    const nodes = all.filter((node) => node.shard === shard && !node.leaving);
    const meant = nodes.find((node) => node.role === 'primary');
    const urgent = meant !== undefined && !fleet.isAlive(meant.id);
    await Promise.all(nodes.map((node) => this.#observe(cache, node, urgent)));
    const joining = new Set(
      store.shards.of(cache.id).flatMap((one) => (one.state === 'joining' ? [one.shard] : [])),
    );
    // Replicas of other shards come by gossip; whoever is on the way in is introduced by its own step.
    const knownIds = all.flatMap((node) =>
      node.clusterNodeId !== null &&
      !node.leaving &&
      (node.shard === shard || node.role === 'primary') &&
      !joining.has(node.shard) &&
      fleet.runsForMs(node.id) > ACQUAINTANCE_MS
        ? [node.clusterNodeId]
        : [],
    );
    return {
      slots: slotCount(this.#recordSlots(cache, shard, nodes)),
      sharding: cache.spec.sharding,
      shard,
      primaryGoneMs: meant === undefined ? 0 : fleet.goneForMs(meant.id),
      nodes: nodes.map((node) => this.#view(cache, node, nodes, knownIds)),
    };
  }

  /** Writes down what the shard's primary owns; what it no longer owns has gone to others, if it can name them. */
  #recordSlots(
    cache: CacheRecord,
    shard: number,
    nodes: readonly NodeRecord[],
  ): readonly SlotRange[] {
    const { store, fleet } = this.#deps;
    const recorded = store.shards.get(cache.id, shard)?.slots ?? [];
    if (!cache.spec.sharding) return recorded;
    const [newest] = nodes
      .filter(({ id }) => fleet.observation(id)?.role === 'primary')
      .map(({ id }) => fleet.peers(id) ?? [])
      .sort((a, b) => epochOf(b) - epochOf(a));
    const peers = newest ?? [];
    const own = peers.find((peer) => peer.myself)?.slotRanges ?? [];
    const others = peers.flatMap((peer) => (peer.myself ? [] : peer.slotRanges));
    const now = own.length > 0 ? own : recorded.flatMap((range) => withoutRanges(range, others));
    if (rangesText(now) !== rangesText(recorded))
      store.shards.update(cache.id, shard, { slots: now });
    return now;
  }

  /** Of the nodes that have answered this look. */
  #settingsOf(cacheId: string, shard: number): PlannedStep[] {
    const { store, fleet } = this.#deps;
    // Of this moment: they may have been changed during the look.
    const record = store.shards.get(cacheId, shard);
    if (record === undefined) return [];
    const { ioThreads, maxmemoryBytes } = record;
    const nodes = store
      .nodes(cacheId)
      .filter((node) => node.shard === shard && !node.leaving && fleet.isAlive(node.id));
    if (nodes.some(({ id }) => fleet.silentForMs(id) > 0)) return [];
    const planned = planSettings({
      shard,
      ioThreads,
      maxmemoryBytes,
      nodes: nodes.flatMap(({ id, engineLine }) => {
        const seen = fleet.observation(id);
        const threads = changesIoThreads(engineLine) ? (seen?.ioThreads ?? null) : null;
        return seen === null
          ? []
          : [{ id, ioThreads: threads, maxmemoryBytes: seen.memoryMaximumBytes }];
      }),
    });
    return planned === null ? [] : [planned];
  }

  /** A change of users passes by a node that is just being started: it has what was so when its start began. */
  #hasOldRules(cacheId: string, shard: number): boolean {
    const { store, fleet } = this.#deps;
    const { aclVersion } = store.cache(cacheId) ?? { aclVersion: 0 };
    return store
      .nodes(cacheId)
      .some(
        (node) => node.shard === shard && fleet.isAlive(node.id) && node.aclVersion < aclVersion,
      );
  }

  async #observe(cache: CacheRecord, node: NodeRecord, urgent: boolean): Promise<void> {
    const { fleet } = this.#deps;
    if (!fleet.isAlive(node.id)) return;
    // Nor does one that was silent already hold up a look at the others.
    const hasty = urgent || fleet.silentForMs(node.id) > 0;
    const options = hasty ? { timeoutMs: URGENT_TIMEOUT_MS } : {};
    const cluster = cache.spec.sharding && (!urgent || fleet.peers(node.id) === null);
    const seen = await fleet.observe(node.id, { ...options, cluster });
    // Somebody made it primary since its cluster view was asked last: that view is old.
    if (urgent && !cluster && cache.spec.sharding && seen?.role === 'primary') {
      await fleet.observe(node.id, { ...options, cluster: true });
    }
  }

  #view(
    cache: CacheRecord,
    node: NodeRecord,
    shardNodes: readonly NodeRecord[],
    knownIds: readonly string[],
  ): ShardNodeView {
    const { fleet } = this.#deps;
    const alive = fleet.isAlive(node.id);
    return {
      id: node.id,
      intent: node.role,
      identity: node.identity,
      process: alive ? 'alive' : 'gone',
      busy: fleet.isBusy(node.id),
      hasData: fleet.hasData(node.id),
      hasMissedWrites: hasMissedWrites(
        node,
        shardNodes.find(({ role }) => role === 'primary')?.engineLine ?? node.engineLine,
        fleet,
      ),
      hangs: alive ? fleet.hangs(node.id) : null,
      hostLost: fleet.isOnLostHost(node.id),
      silentMs: fleet.silentForMs(node.id),
      observed:
        alive && fleet.hangs(node.id) === null
          ? this.#observed(cache, node, shardNodes, knownIds)
          : null,
    };
  }

  #observed(
    cache: CacheRecord,
    node: NodeRecord,
    shardNodes: readonly NodeRecord[],
    knownIds: readonly string[],
  ): ObservedShardNode | null {
    const { fleet } = this.#deps;
    const seen = fleet.observation(node.id);
    if (seen === null) return null;
    const followed = shardNodes.find((other) => other.port === seen.primaryPort);
    const { role, linkUp, offset } = seen;
    const base = { role, linkUp, offset, primaryId: followed?.id ?? null };
    if (!cache.spec.sharding) return { ...base, slots: 0, configEpoch: 0, introduced: true };
    const peers = fleet.peers(node.id);
    if (peers === null) return null;
    const myself = peers.find((peer) => peer.myself);
    const known = new Set(peers.map((peer) => peer.id));
    return {
      ...base,
      slots: myself?.slots ?? 0,
      configEpoch: myself?.configEpoch ?? 0,
      introduced:
        fleet.runsForMs(node.id) < ACQUAINTANCE_MS || knownIds.every((id) => known.has(id)),
    };
  }
}

function epochOf(peers: readonly ClusterPeer[]): number {
  return peers.find((peer) => peer.myself)?.configEpoch ?? -1;
}
