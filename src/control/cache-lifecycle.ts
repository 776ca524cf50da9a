/**
 * The lane of a whole cache: creation, users, deletion. One run at a time per cache; what it does is in planLifecycle and
 * the steps, what is here is their order and the report to whoever waits.
 *
 *   creating -> nodes run -> formed -> proxies serve it -> available
 *   modifying, not formed (none of its nodes was left) -> the same way
 *   deleting -> proxies let go -> nodes stop -> directories and records are removed
 */
import type { Logger } from 'pino';
import { NodeError } from '../engine/node-error.ts';
import { messageOf } from '../lib/errors.ts';
import { ControlError } from './control-error.ts';
import { executeStep } from './execute-step.ts';
import type { Fleet } from './fleet.ts';
import type { RunResult } from './keyed-queue.ts';
import { planLifecycle } from './policies/plan-lifecycle.ts';
import type { Ports } from './ports.ts';
import type { ServingBoard } from './serving-board.ts';
import type { StepContext } from './step-context.ts';
import type { Store } from './store.ts';
import type { CacheRecord } from './store-records.ts';

/** Whoever asked for the change, if it is still there. */
export interface LifecycleObserver {
  progress(cacheId: string, step: string, fraction: number): void;
  /** The cache reached the state that was asked for (`available`, or gone), or never will. */
  settled(cacheId: string, error: ControlError | null): void;
}

export interface LifecycleDependencies {
  readonly store: Store;
  readonly fleet: Fleet;
  readonly ports: Ports;
  readonly log: Logger;
  readonly observer: LifecycleObserver;
  readonly proxies: ServingBoard;
  context(cache: CacheRecord, signal: AbortSignal): StepContext;
  /** The cache is formed: its shards are to be looked after from now on. */
  onFormed(cache: CacheRecord): void;
  /** Resolves when nothing runs any more for the cache's shards. */
  drainShards(cacheId: string): Promise<void>;
  /** Ends the jobs that change its shape; resolves when they have. */
  cancelJobs(cacheId: string): Promise<void>;
  /** Everything of the cache is gone. */
  onDeleted(cache: CacheRecord): void;
}

const CREATE_ATTEMPTS = 3;
const SERVING_TIMEOUT_MS = 15_000;
const RELEASE_TIMEOUT_MS = 3_000;
const STOP_GRACE_MS = 2_000;

export class CacheLifecycle {
  readonly #deps: LifecycleDependencies;
  readonly #attempts = new Map<string, number>();

  constructor(deps: LifecycleDependencies) {
    this.#deps = deps;
  }

  async run(cacheId: string, lane: string, signal: AbortSignal): Promise<RunResult> {
    const cache = this.#deps.store.cache(cacheId);
    if (cache === undefined) return {};
    if (cache.state === 'deleting') return this.#delete(cache);
    if (cache.state === 'creating' || !cache.formed) return this.#create(cache, lane, signal);
    await this.#executeAll(cache, lane, signal);
    return {};
  }

  async #create(cache: CacheRecord, lane: string, signal: AbortSignal): Promise<RunResult> {
    const { store, observer } = this.#deps;
    try {
      while (!cache.formed) {
        const running = store.nodes(cache.id).every((node) => this.#deps.fleet.isAlive(node.id));
        if (running) observer.progress(cache.id, 'Forming the cluster', 0.4);
        else observer.progress(cache.id, 'Starting nodes', 0.1);
        await this.#executeAll(cache, lane, signal);
        cache = store.cache(cache.id)!;
      }
    } catch (error) {
      // One that had been there before is wanted: it is tried again until it can be.
      if (signal.aborted || cache.state !== 'creating') throw error;
      const attempts = (this.#attempts.get(cache.id) ?? 0) + 1;
      this.#attempts.set(cache.id, attempts);
      if (attempts < CREATE_ATTEMPTS) throw error;
      return this.#fail(cache, error);
    }
    this.#attempts.delete(cache.id);
    this.#deps.onFormed(cache);
    observer.progress(cache.id, 'Opening the endpoint', 0.9);
    this.#deps.context(cache, signal).publish();
    const failures = await this.#untilServed(cache, signal);
    const reason = failures.length === 0 ? null : [...new Set(failures)].join('; ');
    const created = cache.state === 'creating';
    // Formed anew while its nodes were being replaced: that goes on.
    const state = store.replacements.get(cache.id) === undefined ? 'available' : 'modifying';
    store.updateCache(cache.id, { state, reason });
    this.#deps
      .context(cache, signal)
      .event(
        created ? 'cache-created' : 'cache-restarted',
        created
          ? `Cache ${cache.name} is created and ready to use.`
          : `Cache ${cache.name} runs again, empty, and is ready to use.`,
      );
    observer.settled(cache.id, null);
    return {};
  }

  async #executeAll(cache: CacheRecord, lane: string, signal: AbortSignal): Promise<void> {
    const { store, fleet } = this.#deps;
    const context = this.#deps.context(cache, signal);
    const steps = planLifecycle({
      state: cache.state,
      sharding: cache.spec.sharding,
      formed: cache.formed,
      aclVersion: cache.aclVersion,
      nodes: store.nodes(cache.id).map((node) => ({
        id: node.id,
        process: fleet.isAlive(node.id) ? 'alive' : 'gone',
        aclVersion: node.aclVersion,
      })),
    });
    const results = await Promise.allSettled(
      steps.map((planned) => executeStep(context, lane, planned)),
    );
    const failed = results.find((result) => result.status === 'rejected');
    if (failed !== undefined) throw failed.reason;
  }

  /** Proxies that cannot listen are named in the cache's reason; the ones that can do serve it. */
  async #untilServed(cache: CacheRecord, signal: AbortSignal): Promise<readonly string[]> {
    const { all, failures } = await this.#deps.proxies.settled(
      cache.name,
      SERVING_TIMEOUT_MS,
      signal,
    );
    if (all) return failures;
    const late = `not every proxy has opened the endpoint after ${SERVING_TIMEOUT_MS / 1000} s`;
    return [...failures, late];
  }

  async #fail(cache: CacheRecord, error: unknown): Promise<RunResult> {
    const { store, fleet, log, observer } = this.#deps;
    const reason = messageOf(error);
    log.error({ cache: cache.name, err: error }, 'cache cannot be created');
    this.#attempts.delete(cache.id);
    await Promise.all(store.nodes(cache.id).map((node) => fleet.stop(node.id, 0)));
    store.updateCache(cache.id, { state: 'create-failed', reason });
    this.#deps
      .context(cache, AbortSignal.abort())
      .event('cache-creation-failed', `Failed to create cache ${cache.name}. ${reason}`);
    observer.settled(
      cache.id,
      new ControlError(
        isDiskFull(error) ? 'DiskFull' : 'InternalFailure',
        `cache ${cache.name} could not be created: ${reason}`,
        {
          cause: error,
        },
      ),
    );
    return {};
  }

  async #delete(cache: CacheRecord): Promise<RunResult> {
    const { store, fleet, ports, observer, proxies } = this.#deps;
    observer.progress(cache.id, 'Closing the endpoint', 0.1);
    await this.#deps.cancelJobs(cache.id);
    await this.#deps.drainShards(cache.id);
    const context = this.#deps.context(cache, AbortSignal.abort());
    context.publish();
    await proxies.settled(cache.name, RELEASE_TIMEOUT_MS);
    observer.progress(cache.id, 'Stopping nodes', 0.4);
    const nodes = store.nodes(cache.id);
    // A primary that is told to go waits for its replicas; these go first, and nothing is worth waiting for.
    await Promise.all(nodes.map((node) => fleet.remove(node.id, STOP_GRACE_MS)));
    store.durableIfPossible(() => {
      store.deleteCache(cache.id);
      context.event('cache-deleted', `Cache ${cache.name} is deleted.`);
    });
    ports.release(nodes.flatMap((node) => [node.port, node.busPort]));
    ports.release([cache.port, cache.readerPort]);
    this.#deps.onDeleted(cache);
    observer.settled(cache.id, null);
    return {};
  }
}

function isDiskFull(error: unknown): boolean {
  if (!(error instanceof NodeError) || error.code !== 'NODE_DIRECTORY_UNUSABLE') return false;
  const { code } = (error.cause ?? {}) as NodeJS.ErrnoException;
  return code === 'ENOSPC' || code === 'EDQUOT';
}
