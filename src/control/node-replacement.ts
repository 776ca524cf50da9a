/**
 * The lane in which the nodes of a cache are replaced by new ones: looks, asks planReplacement what to do, does it, until
 * all are. What was asked for is in the store (ReplacementTable), so that a daemon killed in the middle goes on.
 *
 * Joining and healing of the new nodes are their shard's lane's; so is the failover, which is left to it here.
 */
import { randomBytes } from 'node:crypto';
import { ControlError } from './control-error.ts';
import { executeStep } from './execute-step.ts';
import type { Fleet } from './fleet.ts';
import type { RunResult } from './keyed-queue.ts';
import type { LifecycleObserver } from './cache-lifecycle.ts';
import {
  planReplacement,
  type ReplacementPlan,
  type ReplacementStep,
} from './policies/plan-replacement.ts';
import type { ReplacementRecord } from './replacement-table.ts';
import { REPLACEMENT_WORDS } from './replacement-words.ts';
import { replacementView, type CopyWatch } from './replacement-view.ts';
import type { PlannedStep, Step } from './step.ts';
import type { StepContext } from './step-context.ts';
import type { Store } from './store.ts';
import type { CacheRecord } from './store-records.ts';
import { newNodeId } from './steps/provision-node.ts';

export interface NodeReplacementDependencies {
  readonly store: Store;
  readonly fleet: Fleet;
  readonly observer: LifecycleObserver;
  context(cache: CacheRecord, signal: AbortSignal): StepContext;
  /** Whether slots or nodes of a shard are on the move for another reason. */
  isOccupied(cacheId: string, shard: number): boolean;
  /** Has the shard's own lane do a step; resolves when it is done. */
  inShardLane(cacheId: string, shard: number, planned: PlannedStep): Promise<void>;
}

const LOOK_AGAIN_MS = 200;

export class NodeReplacement {
  readonly #deps: NodeReplacementDependencies;
  readonly #copies = new Map<string, CopyWatch>();

  constructor(deps: NodeReplacementDependencies) {
    this.#deps = deps;
  }

  async run(cacheId: string, lane: string, signal: AbortSignal): Promise<RunResult> {
    const { store } = this.#deps;
    const cache = store.cache(cacheId);
    const record = store.replacements.get(cacheId);
    if (cache === undefined || record === undefined || cache.state === 'deleting') return {};
    if (!cache.formed) return { requeueAfterMs: LOOK_AGAIN_MS };
    // What a killed daemon left open follows from what is there.
    for (const open of store.steps.open(cacheId, lane)) {
      store.steps.end(open.id, 'failed', 'the daemon ended during it', Date.now());
    }
    const plan = this.#plan(record);
    if (plan.failure !== null) {
      this.#giveUp(cache, record, plan.failure);
    } else if (plan.done) {
      this.#finish(cache, record);
      return {};
    } else {
      this.#report(record, plan);
      await this.#execute(cache, record, lane, plan.steps, signal);
    }
    return { requeueAfterMs: LOOK_AGAIN_MS };
  }

  #plan(record: ReplacementRecord): ReplacementPlan {
    const { store, fleet } = this.#deps;
    return planReplacement(
      replacementView(record, {
        store,
        fleet,
        copies: this.#copies,
        isOccupied: (shard) => this.#deps.isOccupied(record.cacheId, shard),
        nowMs: Date.now(),
      }),
    );
  }

  /** The steps of one look, all at once; ended before their time when one of the new nodes turns out not to work. */
  async #execute(
    cache: CacheRecord,
    record: ReplacementRecord,
    lane: string,
    steps: readonly ReplacementStep[],
    signal: AbortSignal,
  ): Promise<void> {
    const hopeless = new AbortController();
    const watch = setInterval(() => {
      const plan = this.#plan(record);
      this.#report(record, plan);
      if (plan.failure !== null) hopeless.abort(new Error(plan.failure));
    }, LOOK_AGAIN_MS);
    const context = this.#deps.context(cache, AbortSignal.any([signal, hopeless.signal]));
    try {
      const results = await Promise.allSettled(
        steps.map((each) => this.#executeOne(context, lane, each)),
      );
      const failed = results.find((result) => result.status === 'rejected');
      if (failed !== undefined && !hopeless.signal.aborted) throw failed.reason;
    } finally {
      clearInterval(watch);
    }
  }

  async #executeOne(context: StepContext, lane: string, each: ReplacementStep): Promise<void> {
    const { cache, store } = context;
    const planned = { step: stepOf(cache, each), reason: each.reason };
    const { step } = planned;
    if (step.kind === 'planned-failover') {
      // The shard's lane may have ended by then, with the daemon, and never come to it.
      await unlessAborted(this.#deps.inShardLane(cache.id, each.shard, planned), context.signal);
      return;
    }
    const isOld = step.kind === 'remove-node' && this.#isOutgoing(cache.id, step.nodeId);
    const node = step.kind === 'remove-node' ? store.node(step.nodeId) : undefined;
    await executeStep(context, lane, planned);
    if (isOld && node !== undefined) {
      context.event(
        'node-replaced',
        `node ${node.id} of shard ${node.shard} (Valkey ${node.engineLine}) was replaced by a new one`,
      );
    }
  }

  #isOutgoing(cacheId: string, nodeId: string): boolean {
    return this.#deps.store.replacements.get(cacheId)?.nodeIds.includes(nodeId) === true;
  }

  #report(record: ReplacementRecord, plan: ReplacementPlan): void {
    const { done, doing } = replacementProgress(record, plan);
    this.#deps.observer.progress(record.cacheId, doing, done);
  }

  #giveUp(cache: CacheRecord, record: ReplacementRecord, failure: string): void {
    const { store } = this.#deps;
    const { noun, failed } = REPLACEMENT_WORDS[record.kind];
    const context = this.#deps.context(cache, AbortSignal.abort());
    store.durableIfPossible(() => {
      store.replacements.giveUp(cache.id, failure);
      store.updateCache(cache.id, {
        ...(record.kind === 'upgrade'
          ? { spec: { ...cache.spec, engineVersion: record.fromLine } }
          : {}),
        reason: `${noun} was given up: ${failure}`,
      });
      context.event(
        failed.event,
        `${noun} of cache ${cache.name} was given up: ${failure}. Shards that had not changed yet keep their nodes; clients were served all the time.`,
      );
    });
    context.publish();
  }

  #finish(cache: CacheRecord, record: ReplacementRecord): void {
    const { store, fleet, observer } = this.#deps;
    const nodes = store.nodes(cache.id).filter(({ leaving }) => !leaving);
    const version = nodes
      .filter(({ engineLine }) => engineLine === cache.spec.engineVersion)
      .map(({ id }) => fleet.observation(id)?.version ?? null)
      .find((each) => each !== null);
    const context = this.#deps.context(cache, AbortSignal.abort());
    const seconds = ((Date.now() - record.startedAtMs) / 1000).toFixed(0);
    const { noun, done } = REPLACEMENT_WORDS[record.kind];
    store.durableIfPossible(() => {
      store.replacements.delete(cache.id);
      store.updateCache(cache.id, {
        state: 'available',
        ...(record.failure === null ? { reason: null } : {}),
        ...(version === undefined ? {} : { engineFullVersion: version }),
      });
      if (record.failure !== null) return;
      context.event(
        done.event,
        `${noun} of cache ${cache.name} is done after ${seconds} s: its ${nodes.length === 1 ? 'node runs' : `${nodes.length} nodes run`} Valkey ${version ?? record.toLine}`,
      );
    });
    for (const id of this.#copies.keys()) {
      if (store.node(id) === undefined || store.node(id)?.cacheId === cache.id)
        this.#copies.delete(id);
    }
    context.publish();
    if (record.failure !== null) {
      observer.settled(cache.id, new ControlError('InternalFailure', failureWords(cache, record)));
      return;
    }
    observer.settled(cache.id, null);
  }
}

/** Of the nodes that were to be replaced; those that stay are not counted. */
export function replacementProgress(
  { nodeIds, failure }: Pick<ReplacementRecord, 'nodeIds' | 'failure'>,
  { readyNodes, allNodes, waitingFor }: ReplacementPlan,
): { readonly done: number; readonly doing: string } {
  const of = nodeIds.length;
  const ready = Math.min(of, Math.max(0, readyNodes - (allNodes - of)));
  const waits =
    waitingFor.length === 0 ? '' : `; shard ${waitingFor.join(', ')} is busy with something else`;
  return {
    done: Math.min(0.99, ready / Math.max(1, of)),
    doing:
      failure === null
        ? `${Math.floor(ready)} of ${of === 1 ? '1 node is' : `${of} nodes are`} replaced${waits}`
        : 'Going back to the nodes that were there',
  };
}

function failureWords(cache: CacheRecord, record: ReplacementRecord): string {
  return `${REPLACEMENT_WORDS[record.kind].noun} of cache ${cache.name} was given up: ${record.failure}`;
}

async function unlessAborted(work: Promise<void>, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted();
  const { promise, reject } = Promise.withResolvers<never>();
  const onAbort = () => reject(signal.reason as Error);
  signal.addEventListener('abort', onAbort);
  try {
    await Promise.race([work, promise]);
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}

function stepOf(cache: CacheRecord, { step }: ReplacementStep): Step {
  if (step.kind !== 'add-replica') return step;
  return { ...step, nodeId: newNodeId(cache.name, randomBytes(4).toString('hex')) };
}
