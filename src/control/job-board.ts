/**
 * Work on the shape of caches that takes its time: shards that join, slots that move, nodes that leave. Jobs of a cache run
 * side by side as long as no shard is in two of them; each is a persisted step, and one that a killed daemon left open is
 * taken up by the next.
 *
 *   start -> runs -> done | failed: the shards it was for are left alone for a while, longer after each failure in a row
 */
import { messageOf } from '../lib/errors.ts';
import { executeStep } from './execute-step.ts';
import type { Journal } from './journal.ts';
import { stepWords } from './step-words.ts';
import type { PlannedStep, Step } from './step.ts';
import type { StepContext } from './step-context.ts';
import type { Store } from './store.ts';
import type { CacheRecord, StepRecord } from './store-records.ts';

export interface Job {
  readonly step: Step;
  readonly reason: string;
  /** Shards that nobody else may give work to meanwhile. */
  readonly occupied: readonly number[];
  readonly startedAtMs: number;
  /** Of what is to be moved, 0..1; null: it does not say. */
  readonly fraction: number | null;
}

export interface JobBoardDependencies {
  readonly store: Store;
  readonly journal: Journal;
  context(cache: CacheRecord, signal: AbortSignal): StepContext;
  /** A job has ended: there may be something to do now. */
  onEnd(cacheId: string): void;
}

interface Running {
  readonly job: { -readonly [K in keyof Job]: Job[K] };
  readonly abort: AbortController;
  readonly ended: Promise<void>;
}

interface Failures {
  count: number;
  notBeforeMs: number;
}

const BACKOFF_FIRST_MS = 2_000;
const BACKOFF_LAST_MS = 60_000;

export class JobBoard {
  readonly #deps: JobBoardDependencies;
  readonly #running = new Map<string, Set<Running>>();
  /** By cache and shard. */
  readonly #failures = new Map<string, Failures>();
  #stopping = false;

  constructor(deps: JobBoardDependencies) {
    this.#deps = deps;
  }

  /** What runs for a cache. */
  running(cacheId: string): Job[] {
    return [...(this.#running.get(cacheId) ?? [])].map(({ job }) => job);
  }

  /** Shards whose last job failed a short time ago. */
  resting(cacheId: string, nowMs: number): number[] {
    return this.#deps.store.shards
      .of(cacheId)
      .map(({ shard }) => shard)
      .filter((shard) => this.#rests(`${cacheId} ${shard}`, nowMs));
  }

  isOccupied(cacheId: string, shard: number): boolean {
    return this.running(cacheId).some(({ occupied }) => occupied.includes(shard));
  }

  /** Begins a job, unless one of its shards has another, or is left alone after a failure. Never throws: what goes wrong is told as an event. */
  start(cache: CacheRecord, planned: PlannedStep): void {
    const occupied = shardsOf(planned.step, cache.id, this.#deps.store);
    if (this.#stopping || occupied.some((shard) => this.isOccupied(cache.id, shard))) return;
    if (this.running(cache.id).some((job) => isSameSetting(job.step, planned.step))) return;
    const abort = new AbortController();
    const { step, reason } = planned;
    const job = { step, reason, occupied, startedAtMs: Date.now(), fraction: null };
    const nowMs = Date.now();
    if (failureKeys(cache.id, job).some((key) => this.#rests(key, nowMs))) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    const running: Running = { job, abort, ended: promise };
    const jobs = this.#running.get(cache.id) ?? new Set();
    this.#running.set(cache.id, jobs.add(running));
    void this.#run(cache, planned, running).finally(() => {
      jobs.delete(running);
      resolve();
      if (!this.#stopping) this.#deps.onEnd(cache.id);
    });
  }

  /** Takes up what a daemon before this one has begun and not ended. */
  takeUp(cache: CacheRecord): void {
    for (const { step, reason } of this.#closeOpen(cache)) this.start(cache, { step, reason });
  }

  /** Closes what a daemon before this one has begun: nobody goes on with it. */
  abandon(cache: CacheRecord): void {
    this.#closeOpen(cache);
  }

  #closeOpen(cache: CacheRecord): StepRecord[] {
    const { store } = this.#deps;
    const open = store.steps.open(cache.id, jobLane(cache.id));
    for (const { id } of open) {
      store.steps.end(id, 'failed', 'the daemon ended during it', Date.now());
    }
    return open;
  }

  /** Ends what runs for a cache, as soon as it safely can. */
  async cancel(cacheId: string): Promise<void> {
    const jobs = [...(this.#running.get(cacheId) ?? [])];
    for (const { abort } of jobs) abort.abort(new Error('cancelled'));
    await Promise.all(jobs.map(({ ended }) => ended));
  }

  /** A cache is gone for which nothing runs any more. */
  forget(cacheId: string): void {
    this.#running.delete(cacheId);
    for (const key of this.#failures.keys())
      if (key.startsWith(`${cacheId} `)) this.#failures.delete(key);
  }

  /** For good. The records of what ran stay open: the next daemon takes them up. */
  async stop(): Promise<void> {
    this.#stopping = true;
    await Promise.all([...this.#running.keys()].map((cacheId) => this.cancel(cacheId)));
  }

  async #run(cache: CacheRecord, planned: PlannedStep, { job, abort }: Running): Promise<void> {
    const { store, journal } = this.#deps;
    const base = this.#deps.context(cache, abort.signal);
    const context = { ...base, progress: (fraction: number) => void (job.fraction = fraction) };
    try {
      await executeStep(context, jobLane(cache.id), planned);
      for (const key of failureKeys(cache.id, job)) this.#failures.delete(key);
    } catch (error) {
      if (this.#stopping) {
        // Ended with us, not by itself.
        store.steps.begin(cache.id, jobLane(cache.id), planned, Date.now());
        return;
      }
      if (abort.signal.aborted) return;
      for (const key of failureKeys(cache.id, job)) this.#countFailure(key);
      journal.event(
        cache.name,
        'step-failed',
        `${stepWords(planned.step)} did not succeed (${messageOf(error)}); it is planned anew`,
      );
    }
  }

  #rests(key: string, nowMs: number): boolean {
    return (this.#failures.get(key)?.notBeforeMs ?? 0) > nowMs;
  }

  #countFailure(key: string): void {
    const count = (this.#failures.get(key)?.count ?? 0) + 1;
    const delayMs = Math.min(BACKOFF_LAST_MS, BACKOFF_FIRST_MS * 2 ** (count - 1));
    this.#failures.set(key, { count, notBeforeMs: Date.now() + delayMs });
  }
}

/** Under which jobs of a cache are written down. */
export function jobLane(cacheId: string): string {
  return `job:${cacheId}`;
}

/** The shards that a step works on. */
function shardsOf(step: Step, cacheId: string, store: Store): number[] {
  switch (step.kind) {
    case 'move-slots':
      return [step.from, step.to];
    case 'add-shard':
    case 'remove-shard':
    case 'add-replica':
      return [step.shard];
    case 'remove-node': {
      const node = store.node(step.nodeId);
      return node === undefined ? [] : [node.shard];
    }
    case 'mend-slots':
      return store.shards.of(cacheId).map(({ shard }) => shard);
    default:
      return [];
  }
}

/** What is left alone for a while when a job fails: its shards, or a setting alone. */
function failureKeys(cacheId: string, { step, occupied }: Job): string[] {
  if (step.kind === 'set-shard') return [`${cacheId} ${step.shard} settings`];
  return occupied.map((shard) => `${cacheId} ${shard}`);
}

/** Settings are changed at any time, beside whatever else is done; each only once at a time. */
function isSameSetting(one: Step, other: Step): boolean {
  return one.kind === 'set-shard' && other.kind === 'set-shard' && one.shard === other.shard;
}
