/** Whoever asked for a change of a cache and wants to hear how it goes. */
import type { Progress } from '../model/admin-api.ts';
import type { LifecycleObserver } from './cache-lifecycle.ts';
import type { ControlError } from './control-error.ts';

export type Report = (progress: Progress) => void;

interface Waiter {
  readonly report: Report;
  resolve(): void;
  reject(error: ControlError): void;
}

export class OperationWaiters implements LifecycleObserver {
  readonly #waiters = new Map<string, Waiter[]>();

  /** Resolves or rejects when the cache is settled. */
  wait(cacheId: string, report: Report): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#waiters.set(cacheId, [
        ...(this.#waiters.get(cacheId) ?? []),
        { report, resolve, reject },
      ]);
    });
  }

  /** @param fraction of the whole, 0 to 1 */
  progress(cacheId: string, step: string, fraction: number): void {
    const progress: Progress = { type: 'progress', step, fraction };
    for (const waiter of this.#waiters.get(cacheId) ?? []) waiter.report(progress);
  }

  /** @param error null: what was asked for is done */
  settled(cacheId: string, error: ControlError | null): void {
    const waiters = this.#waiters.get(cacheId) ?? [];
    this.#waiters.delete(cacheId);
    for (const waiter of waiters) {
      if (error === null) waiter.resolve();
      else waiter.reject(error);
    }
  }
}
