/**
 * The measurements themselves.
 *
 *   for each repetition, for each cell, for each command:  target A, target B, target C ...   (interleaved)
 *
 * so that a ratio's two runs are seconds apart. The order of targets turns from repetition to repetition: whoever runs
 * after a heavy neighbour is not always the same.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { messageOf } from '../src/lib/errors.ts';
import { BenchError } from './bench-error.ts';
import { cpuDelta, CpuReader } from './cpu.ts';
import { runLoad, type Load } from './load.ts';
import { nodeFaults } from './prefill.ts';
import type { Invocation } from './processes.ts';
import type { Progress } from './progress.ts';
import {
  BASELINE,
  BENCH_COMMANDS,
  type BenchCommand,
  type Cell,
  type FailedRun,
  type Sample,
} from './sample.ts';
import type { Target } from './targets/target.ts';

export interface MeasurePlan {
  readonly cells: readonly Cell[];
  readonly repetitions: number;
  /** Requests of a run are chosen so that the baseline takes about this long: CPU time comes in steps of 10 ms. */
  readonly secondsPerRun: number;
  readonly keys: number;
  readonly valueBytes: number;
}

export interface MeasureTools {
  readonly benchmark: Invocation;
  readonly progress: Progress;
  readonly signal?: AbortSignal;
}

// Runs that take this much longer than planned are given up: 20 times slower than the baseline is a hang.
const TIMEOUT_FACTOR = 20;
// After a run: servers close the connections, which belongs to the run that opened them.
const SETTLE_MS = 100;
// Two trials find a target's speed, the second long enough to tell; a slow one is not kept busy for minutes by either.
const FIRST_TRIAL_ROUNDS = 20;
const FIRST_TRIAL_REQUESTS = 2_000;
const SECOND_TRIAL_SECONDS = 0.4;
// Code that is compiled as it runs, Node's above all, needs some time under load to reach its speed.
const WARM_UP_SECONDS = 1;
const WARM_UP: readonly Cell[] = [
  { clients: 50, pipeline: 1, tls: false },
  { clients: 50, pipeline: 16, tls: false },
  { clients: 50, pipeline: 1, tls: true },
];

/** Runs the load for one cell of one target. */
export class Meter {
  readonly #plan: MeasurePlan;
  readonly #tools: MeasureTools;
  readonly #cpu = new CpuReader();

  constructor(plan: MeasurePlan, tools: MeasureTools) {
    this.#plan = plan;
    this.#tools = tools;
  }

  /** Brings a target to its working speed; measures nothing. */
  async warmUp(target: Target, withTls: boolean): Promise<void> {
    for (const cell of WARM_UP) {
      if (addressFor(target, cell) === null || (cell.tls && !withTls)) continue;
      const requests = await this.calibrate(target, cell, WARM_UP_SECONDS);
      for (const command of BENCH_COMMANDS) await this.#load(target, cell, command, requests);
    }
  }

  /** How many requests make a run of this length against this target. */
  async calibrate(target: Target, cell: Cell, seconds = this.#plan.secondsPerRun): Promise<number> {
    const unit = cell.clients * cell.pipeline;
    const whole = (requests: number): number => Math.max(1, Math.round(requests / unit)) * unit;
    const first = Math.max(FIRST_TRIAL_REQUESTS, unit * FIRST_TRIAL_ROUNDS);
    const glance = await this.#load(target, cell, 'get', whole(first));
    const second = glance.requestsPerSecond * SECOND_TRIAL_SECONDS;
    const { requestsPerSecond } = await this.#load(target, cell, 'get', whole(second));
    return whole(requestsPerSecond * seconds);
  }

  /** One run. Throws a BenchError for anything that makes its figures worthless. */
  async run(
    target: Target,
    cell: Cell,
    command: BenchCommand,
    requests: number,
  ): Promise<Omit<Sample, 'repetition'>> {
    const faultsBefore = await nodeFaults(target.nodes);
    const pids = await target.pids();
    const cpuBefore = this.#cpu.read(pids);
    const startedMs = performance.now();
    const result = await this.#load(target, cell, command, requests);
    const wallSeconds = (performance.now() - startedMs) / 1000;
    await delay(
      SETTLE_MS,
      undefined,
      this.#tools.signal === undefined ? {} : { signal: this.#tools.signal },
    );
    const cpuSeconds = cpuDelta(cpuBefore, this.#cpu.read(pids));
    const faults = await nodeFaults(target.nodes);
    if (faults.misses > faultsBefore.misses) {
      throw new BenchError(
        'BENCH_RUN_FAILED',
        `${faults.misses - faultsBefore.misses} GETs found no key`,
      );
    }
    if (faults.errors > faultsBefore.errors) {
      throw new BenchError(
        'BENCH_RUN_FAILED',
        `nodes sent ${faults.errors - faultsBefore.errors} error replies`,
      );
    }
    return { target: target.name, ...cell, command, requests, wallSeconds, ...result, cpuSeconds };
  }

  #load(
    target: Target,
    cell: Cell,
    command: BenchCommand,
    requests: number,
  ): ReturnType<typeof runLoad> {
    const { keys, valueBytes, secondsPerRun } = this.#plan;
    const load: Load = {
      ...cell,
      ...addressFor(target, cell)!,
      ...target.credentials,
      cluster: target.cluster,
      command,
      requests,
      keys,
      valueBytes,
      ...(target.keyPrefix === undefined ? {} : { keyPrefix: target.keyPrefix }),
    };
    const { benchmark, signal } = this.#tools;
    const timeoutMs = (secondsPerRun * TIMEOUT_FACTOR + 30) * 1000;
    return runLoad(benchmark, load, { timeoutMs, ...(signal === undefined ? {} : { signal }) });
  }
}

function addressFor(target: Target, cell: Cell): Target['plain'] {
  return cell.tls ? target.tls : target.plain;
}

/** How many runs `measure` will make. */
function countRuns(targets: readonly Target[], { cells, repetitions }: MeasurePlan): number {
  let runs = 0;
  for (const cell of cells) {
    runs += targets.filter((target) => addressFor(target, cell) !== null).length;
  }
  return runs * repetitions * BENCH_COMMANDS.length;
}

/** Measures all cells of the plan on all targets that can take them. Runs that fail are kept apart and never counted. */
export async function measure(
  targets: readonly Target[],
  plan: MeasurePlan,
  tools: MeasureTools,
): Promise<{ samples: Sample[]; failures: FailedRun[] }> {
  const { progress, signal } = tools;
  const meter = new Meter(plan, tools);
  const withTls = plan.cells.some((cell) => cell.tls);
  for (const target of targets) {
    progress.show('warming up', target.label);
    await meter.warmUp(target, withTls);
  }
  const samples: Sample[] = [];
  const failures: FailedRun[] = [];
  const requestsByCell = new Map<Cell, number>();
  progress.expect(countRuns(targets, plan));
  for (let repetition = 1; repetition <= plan.repetitions; repetition++) {
    for (const cell of plan.cells) {
      const able = rotate(
        targets.filter((target) => addressFor(target, cell) !== null),
        repetition - 1,
      );
      if (able.length === 0) continue;
      const heading = `repetition ${repetition}/${plan.repetitions}, ${cellLabel(cell)}`;
      const yardstick = able.find((target) => target.name === BASELINE) ?? able[0]!;
      if (!requestsByCell.has(cell)) {
        progress.show(heading, 'choosing the number of requests');
        requestsByCell.set(cell, await meter.calibrate(yardstick, cell));
      }
      const requests = requestsByCell.get(cell)!;
      for (const command of BENCH_COMMANDS) {
        for (const target of able) {
          progress.show(heading, `${command.toUpperCase()} ${target.label}`);
          try {
            samples.push({ ...(await meter.run(target, cell, command, requests)), repetition });
          } catch (error) {
            signal?.throwIfAborted();
            failures.push({
              target: target.name,
              ...cell,
              command,
              repetition,
              error: messageOf(error),
            });
            progress.note(
              `failed: ${target.name} ${command} ${cellLabel(cell)}: ${messageOf(error)}`,
            );
          }
          progress.advance();
        }
      }
    }
  }
  return { samples, failures };
}

/** `P16, 50 clients, TLS` */
export function cellLabel({ clients, pipeline, tls }: Cell): string {
  return `P${pipeline}, ${clients} clients${tls ? ', TLS' : ''}`;
}

/** The same list beginning `by` places further on. */
export function rotate<T>(list: readonly T[], by: number): T[] {
  const start = list.length === 0 ? 0 : by % list.length;
  return [...list.slice(start), ...list.slice(0, start)];
}
