/** Steps as they are written down: before they are executed, and when they have ended. */
import type { StateFile } from './state-file.ts';
import type { PlannedStep, Step } from './step.ts';
import { toFinishedStep, toStep, type FinishedStep, type StepRecord } from './store-records.ts';

/** Finished steps kept: enough to explain the last days, bounded for good. */
const STEPS_KEPT = 2_000;

export class StepLog {
  readonly #file: StateFile;

  constructor(file: StateFile) {
    this.#file = file;
  }

  /** @returns the record's id, for `end` */
  begin(cacheId: string, lane: string, planned: PlannedStep, nowMs: number): number {
    const { step, reason, rejected = [] } = planned;
    const id = this.#file.nextId('steps');
    this.#file.run(
      "INSERT INTO steps (id, cache_id, lane, step, reason, state, started_at_ms, rejected) VALUES (?, ?, ?, ?, ?, 'running', ?, ?)",
      id,
      cacheId,
      lane,
      JSON.stringify(step),
      reason,
      nowMs,
      JSON.stringify(rejected),
    );
    return id;
  }

  end(id: number, state: 'done' | 'failed', error: string | null, nowMs: number): void {
    this.#file.run(
      'UPDATE steps SET state = ?, error = ?, finished_at_ms = ? WHERE id = ?',
      state,
      error,
      nowMs,
      id,
    );
    this.#file.run("DELETE FROM steps WHERE state != 'running' AND id <= ?", id - STEPS_KEPT);
  }

  /** Of one lane, newest first, with what became of them. */
  latest(cacheId: string, lane: string, limit: number): FinishedStep[] {
    return this.#file
      .all(
        'SELECT * FROM steps WHERE cache_id = ? AND lane = ? ORDER BY id DESC LIMIT ?',
        cacheId,
        lane,
        limit,
      )
      .map(toFinishedStep);
  }

  /** Steps of these kinds that were begun and not ended, in any lane, oldest first. */
  openOf(cacheId: string, kinds: readonly Step['kind'][]): StepRecord[] {
    return this.#file
      .all("SELECT * FROM steps WHERE cache_id = ? AND state = 'running' ORDER BY id", cacheId)
      .map(toStep)
      .filter(({ step }) => kinds.includes(step.kind));
  }

  /** Steps that were begun and not ended, oldest first: after a crash, where to go on. */
  open(cacheId: string, lane: string): StepRecord[] {
    return this.#file
      .all(
        "SELECT * FROM steps WHERE cache_id = ? AND lane = ? AND state = 'running' ORDER BY id",
        cacheId,
        lane,
      )
      .map(toStep);
  }
}
