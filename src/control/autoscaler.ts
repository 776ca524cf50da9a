/**
 * The autoscaler: every second it shows each cache to the capacity planner (policies/plan-capacity.ts) and has done what
 * the planner says. It decides nothing itself; it keeps what the planner remembers, and remembers why things were done.
 *
 *   store, fleet, heat, hosts, pool -> capacityViewOf -> planCapacity -> jobs (JobBoard) | settings | words to proxies
 *
 * What was begun goes on whoever began it: a shard that is `joining`, a node that is `leaving` and a step that a killed
 * daemon left open are taken up first.
 */
import type { Logger } from 'pino';
import type { CacheHeat } from '../model/heat.ts';
import type { Explanation as ShownExplanation } from '../model/admin-api.ts';
import { capacityHosts, capacityViewOf } from './capacity-view-of.ts';
import { changesIoThreads } from './changes-io-threads.ts';
import type { Fleet } from './fleet.ts';
import type { HostFigures } from './hosts.ts';
import type { JobBoard } from './job-board.ts';
import type { Journal } from './journal.ts';
import type {
  CapacityHost,
  CapacityPlan,
  Explanation,
  PlannedCapacityStep,
} from './policies/capacity-view.ts';
import { planCapacity } from './policies/plan-capacity.ts';
import type { PlannerParams } from './policies/planner-params.ts';
import { freshPlannerState, type PlannerState } from './policies/planner-state.ts';
import type { Step } from './step.ts';
import { poolWanted } from './pool-wanted.ts';
import { stepOfPlan } from './step-of-plan.ts';
import type { Store } from './store.ts';
import type { CacheRecord } from './store-records.ts';
import type { WarmPool } from './warm-pool.ts';

export interface AutoscalerDependencies {
  readonly store: Store;
  readonly fleet: Fleet;
  readonly pool: WarmPool;
  readonly jobs: JobBoard;
  readonly journal: Journal;
  readonly log: Logger;
  heat(cacheId: string): CacheHeat | null;
  hosts(): Promise<readonly HostFigures[]>;
  /** Has the proxies sketch the keys of these slots. */
  watchSlots(cache: CacheRecord, slots: readonly number[]): void;
  readonly params: PlannerParams;
}

interface Memory {
  state: PlannerState;
  explanations: readonly Explanation[];
  readonly sinceMs: number;
  watchedSlots: readonly number[];
  nearCachedSlots: readonly number[];
}

const PLAN_MS = 1_000;
/** The planner's memory on disk may be as old as this: it is of days, and what is of seconds is soon learned again. */
const PERSIST_MS = 30_000;

export class Autoscaler {
  readonly #deps: AutoscalerDependencies;
  readonly #memories = new Map<string, Memory>();
  #timer: NodeJS.Timeout | null = null;
  #persistedAtMs = 0;
  #planning: Promise<void> | null = null;
  #again = false;
  #stopped = false;

  constructor(deps: AutoscalerDependencies) {
    this.#deps = deps;
  }

  start(): void {
    for (const cache of this.#deps.store.caches()) {
      // One that is formed anew has nothing of what was being done.
      if (!cache.formed) {
        this.#deps.jobs.abandon(cache);
        continue;
      }
      this.#deps.jobs.takeUp(cache);
      if (!cache.spec.sharding || this.#deps.jobs.running(cache.id).length > 0) continue;
      this.#deps.jobs.start(cache, {
        step: { kind: 'mend-slots' },
        reason: 'a move of slots may have been cut short before this daemon started',
      });
    }
    this.#timer = setInterval(() => this.plan(), PLAN_MS);
    this.#timer.unref();
  }

  /** Plans as soon as it can: something has changed. */
  plan(): void {
    if (this.#stopped) return;
    if (this.#planning !== null) {
      this.#again = true;
      return;
    }
    this.#planning = this.#planAll()
      .catch((error: unknown) => this.#deps.log.error({ err: error }, 'capacity cannot be planned'))
      .finally(() => {
        this.#planning = null;
        if (!this.#again) return;
        this.#again = false;
        this.plan();
      });
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    if (this.#timer !== null) clearInterval(this.#timer);
    await this.#planning;
    this.#persist();
  }

  forget(cacheId: string): void {
    this.#memories.delete(cacheId);
  }

  /** What the last plan rested on. */
  explanations(cacheId: string): readonly ShownExplanation[] {
    return this.#memories.get(cacheId)?.explanations ?? [];
  }

  async #planAll(): Promise<void> {
    const { store, pool } = this.#deps;
    const figures = await this.#deps.hosts();
    let hosts = capacityHosts(store, figures);
    const missing = new Map<string, number>();
    for (const cache of store.caches()) {
      if (!cache.formed || cache.state !== 'available') continue;
      try {
        this.#goOn(cache);
        const { nodesMissing, steps } = this.#planFor(cache, hosts);
        missing.set(cache.id, nodesMissing);
        // What one has been given is not there for the next.
        if (steps.some(({ step }) => step.kind === 'set-io-threads'))
          hosts = capacityHosts(store, figures);
      } catch (error) {
        // One cache must not keep the others from theirs. What it remembered may be the reason.
        this.#deps.log.error({ cache: cache.name, err: error }, 'its capacity cannot be planned');
        this.#memory(cache.id).state = freshPlannerState();
      }
    }
    pool.resize(poolWanted(store, figures, pool.status(), missing));
    if (Date.now() - this.#persistedAtMs > PERSIST_MS) this.#persist();
  }

  /** What was begun before, and has nobody who does it now. */
  #goOn(cache: CacheRecord): void {
    const { store, jobs, fleet } = this.#deps;
    const idle = (shard: number) =>
      !jobs.isOccupied(cache.id, shard) && !jobs.resting(cache.id, Date.now()).includes(shard);
    for (const { shard, state, replicas, maxmemoryBytes } of store.shards.of(cache.id)) {
      if (state !== 'joining' || !idle(shard)) continue;
      jobs.start(cache, {
        step: { kind: 'add-shard', shard, replicas, maxmemoryBytes },
        reason: `shard ${shard} is not whole yet`,
      });
    }
    for (const node of store.nodes(cache.id)) {
      // On a lost host nothing can be ended: it would only keep its shard from other work.
      if (!node.leaving || fleet.isOnLostHost(node.id) || !idle(node.shard)) continue;
      jobs.start(cache, {
        step: { kind: 'remove-node', nodeId: node.id, why: 'it was being taken out' },
        reason: `node ${node.id} is on its way out`,
      });
    }
  }

  #planFor(cache: CacheRecord, hosts: readonly CapacityHost[]): CapacityPlan {
    const { store, fleet, jobs, pool } = this.#deps;
    const memory = this.#memory(cache.id);
    const nowMs = Date.now();
    const view = capacityViewOf({
      nowMs,
      sinceMs: memory.sinceMs,
      cache,
      store,
      fleet,
      heat: this.#deps.heat(cache.id),
      jobs: jobs.running(cache.id),
      resting: jobs.resting(cache.id, nowMs),
      pool: pool.status(),
      hosts,
      watchedSlots: memory.watchedSlots,
      nearCachedSlots: memory.nearCachedSlots,
    });
    const plan = planCapacity(view, memory.state, this.#paramsOf(cache));
    memory.state = plan.state;
    memory.explanations = plan.explanations;
    for (const planned of plan.steps) this.#execute(cache, memory, planned);
    return plan;
  }

  /** Threads that its nodes cannot be given while they run are none that the planner may count on. */
  #paramsOf(cache: CacheRecord): PlannerParams {
    const { params, store } = this.#deps;
    return store.nodes(cache.id).every(({ engineLine }) => changesIoThreads(engineLine))
      ? params
      : { ...params, ioThreadsMaximum: 1 };
  }

  #execute(
    cache: CacheRecord,
    memory: Memory,
    { step, reason, rejected }: PlannedCapacityStep,
  ): void {
    const { store, jobs, journal } = this.#deps;
    const start = (real: Step) => jobs.start(cache, { step: real, reason, rejected });
    switch (step.kind) {
      case 'drain-shard':
      case 'keep-shard': {
        const drains = step.kind === 'drain-shard';
        store.shards.update(cache.id, step.shard, { state: drains ? 'draining' : 'serving' });
        journal.event(
          cache.name,
          drains ? 'shard-draining' : 'shard-kept',
          `shard ${step.shard}: ${reason}`,
        );
        return;
      }
      case 'watch-slots':
        memory.watchedSlots = step.slots;
        this.#deps.watchSlots(cache, step.slots);
        return;
      case 'near-cache-slots':
        memory.nearCachedSlots = step.slots;
        return;
      case 'raise-event':
        journal.event(cache.name, step.event, step.message);
        return;
      default: {
        const real = stepOfPlan(store, cache, step);
        if (real !== null) start(real);
      }
    }
  }

  #memory(cacheId: string): Memory {
    let memory = this.#memories.get(cacheId);
    if (memory === undefined) {
      memory = {
        state: plannerStateOf(this.#deps.store.scalingState(cacheId)),
        explanations: [],
        sinceMs: Date.now(),
        watchedSlots: [],
        nearCachedSlots: [],
      };
      this.#memories.set(cacheId, memory);
    }
    return memory;
  }

  #persist(): void {
    this.#persistedAtMs = Date.now();
    const { store } = this.#deps;
    for (const [cacheId, { state }] of this.#memories) {
      if (store.cache(cacheId) === undefined) this.#memories.delete(cacheId);
      else store.putScalingState(cacheId, JSON.stringify(state));
    }
  }
}

/** Of another version, unreadable, or none: the planner begins anew, with what it sees. */
function plannerStateOf(text: string | null): PlannerState {
  const fresh = freshPlannerState();
  if (text === null) return fresh;
  try {
    const state = JSON.parse(text) as PlannerState;
    return state.version === fresh.version ? state : fresh;
  } catch {
    return fresh;
  }
}
