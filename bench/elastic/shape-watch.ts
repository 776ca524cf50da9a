/**
 * Watches a cache from outside while it is under load: its shape a few times a second, its decisions as `springtide explain`
 * tells them, and what clients saw around each of them.
 */
import type { CacheHeatAnswer } from '../../src/model/heat.ts';
import type { Decision } from '../../src/model/admin-api.ts';
import type { LiveSpringtide } from './live-springtide.ts';
import { windowOf, type LoadWindow, type OpenLoop } from './open-loop.ts';

export interface ShapeSample {
  /** Epoch. */
  readonly atMs: number;
  readonly shards: number;
  readonly replicas: number;
}

export interface HeatSample {
  readonly atMs: number;
  readonly nodes: CacheHeatAnswer['nodes'];
  /** Requests a second of each shard's slots. */
  readonly byShard: Readonly<Record<string, number>>;
  readonly requestsPerSecond: number;
}

const SHAPE_MS = 250;
const HEAT_MS = 1_000;
/** What follows from a step is over by then. */
const AFTER_MS = 1_000;

export class ShapeWatch implements AsyncDisposable {
  readonly shapes: ShapeSample[] = [];
  readonly heats: HeatSample[] = [];
  readonly #springtide: LiveSpringtide;
  readonly #name: string;
  readonly #running: Promise<unknown>;
  #stopped = false;

  constructor(springtide: LiveSpringtide, name: string) {
    this.#springtide = springtide;
    this.#name = name;
    this.#running = Promise.all([
      this.#every(SHAPE_MS, () => this.#lookAtShape()),
      this.#every(HEAT_MS, () => this.#lookAtHeat()),
    ]);
  }

  get shards(): number {
    return this.shapes.at(-1)?.shards ?? 0;
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#running;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  async #every(ms: number, look: () => Promise<void>): Promise<void> {
    while (!this.#stopped) {
      // The daemon may be away; there is a gap then.
      await look().catch(() => {});
      await new Promise((resolve) => setTimeout(resolve, ms));
    }
  }

  async #lookAtShape(): Promise<void> {
    const { nodes } = await this.#springtide.cache(this.#name);
    const primaries = nodes.filter(({ role, state }) => role === 'primary' && state === 'online');
    const replicas = nodes.filter(({ role, state }) => role === 'replica' && state === 'online');
    const shards = new Set(primaries.map(({ shard }) => shard)).size;
    this.shapes.push({ atMs: Date.now(), shards, replicas: replicas.length });
  }

  async #lookAtHeat(): Promise<void> {
    const heat = await this.#springtide.heat(this.#name);
    const byShard = Object.fromEntries(shardLoads(heat));
    const requestsPerSecond = Object.values(byShard).reduce((sum, load) => sum + load, 0);
    this.heats.push({ atMs: Date.now(), nodes: heat.nodes, byShard, requestsPerSecond });
  }
}

/** Requests a second of the slots that each shard owns, smoothed. */
export function shardLoads(
  heat: Pick<CacheHeatAnswer, 'owners' | 'smoothed'>,
): Map<number, number> {
  const loads = new Map<number, number>();
  for (const [slot, shard] of heat.owners.entries())
    loads.set(shard, (loads.get(shard) ?? 0) + heat.smoothed.requests[slot]!);
  return loads;
}

export interface StepSeen {
  readonly step: string;
  readonly tookMs: number;
  readonly seen: LoadWindow;
}

/** What clients saw from a little before to a little after. */
export function seenDuring(loop: OpenLoop, fromMs: number, toMs: number): LoadWindow {
  return windowOf(
    loop.intervals.filter((one) => one.toMs > fromMs && one.fromMs < toMs + AFTER_MS),
  );
}

/** Decisions that have ended, with what clients saw while they were carried out. */
export function seenSteps(loop: OpenLoop, decisions: readonly Decision[]): StepSeen[] {
  return decisions.flatMap(({ step, startedAtMs, finishedAtMs }) =>
    finishedAtMs === null
      ? []
      : [
          {
            step,
            tookMs: finishedAtMs - startedAtMs,
            seen: seenDuring(loop, startedAtMs, finishedAtMs),
          },
        ],
  );
}
