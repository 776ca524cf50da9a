/** What a simulated run is made of, and what comes out of it. */
import type { CapacityLimits } from '../control/policies/capacity-view.ts';
import type { PlannerParams } from '../control/policies/planner-params.ts';
import type { PoolParams } from '../control/policies/plan-pool.ts';
import type { CacheShape } from './sim-shards.ts';
import type { HostShape } from './sim-fleet.ts';

export type Fault =
  | { readonly kind: 'zone-lost'; readonly atMs: number; readonly zone: string }
  /** No figures at all, until then. */
  | { readonly kind: 'metric-gap'; readonly atMs: number; readonly untilMs: number }
  /** The source (or target) of a move under way dies at the first chance from then on. */
  | { readonly kind: 'move-killed'; readonly atMs: number; readonly side: 'from' | 'to' };

export interface Scenario {
  readonly name: string;
  readonly title: string;
  /** What is stated besides the calibration: pool, data, skew. */
  readonly assumptions: string;
  /** Not counted: history for the season, settling. */
  readonly warmUpMs: number;
  readonly durationMs: number;
  readonly tickMs: number;
  readonly planMs: number;
  /** The time of day at the beginning, for the season. */
  readonly startMs: number;
  /** Requests per second; `atMs` from the beginning of what is counted, negative while warming up. */
  readonly arrivals: (atMs: number) => number;
  readonly limits: CapacityLimits;
  /** Limits that a user changes on the way; absent: `limits` all the time. */
  readonly limitsAt?: (atMs: number) => CapacityLimits;
  readonly replicas: number;
  readonly nearCacheAllowed: boolean;
  readonly shards: number;
  readonly ioThreads: number;
  readonly shape: CacheShape;
  readonly hosts: HostShape;
  readonly pool: PoolParams;
  readonly prewarmed: number;
  readonly faults: readonly Fault[];
  readonly params: Partial<PlannerParams>;
  /** Data as a factor of the shape's bytes; absent: constant. */
  readonly bytesScale?: (atMs: number) => number;
  /** What nodes can do as a factor of the calibration's: other work on their machine; absent: constant. */
  readonly capacityScale?: (atMs: number) => number;
  /** From then on the balance is judged. */
  readonly balancedFromMs: number;
}

export interface Point {
  /** Of what is counted. */
  readonly atMs: number;
  readonly offered: number;
  readonly served: number;
  readonly lost: number;
  readonly shards: number;
  readonly nodes: number;
  readonly ideal: number;
  readonly proxies: number;
  /** Heaviest shard over what placement can reach. */
  readonly balance: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

export interface Outcome {
  readonly scenario: string;
  readonly variant: string;
  readonly offered: number;
  readonly lost: number;
  /** Share of requests that were answered within their time. */
  readonly servedShare: number;
  /** Share that was answered without waiting behind a backlog of more than 100 ms. */
  readonly promptShare: number;
  /** Seconds in which at least one request in ten thousand was lost. */
  readonly overloadedSeconds: number;
  /** From the first loss to the last; 0: no loss. */
  readonly absorbedMs: number;
  readonly peakShards: number;
  readonly endShards: number;
  readonly peakProxies: number;
  readonly nodeHours: number;
  /** Offered load over what a node may carry, at least the minimum. */
  readonly idealNodeHours: number;
  readonly moves: number;
  readonly movesFailed: number;
  readonly bytesMoved: number;
  /** Times that the number of shards turned from up to down or back. */
  readonly turns: number;
  /** Heaviest shard over what placement can reach, from `balancedFromMs` on: below this in 95 % of the time. */
  readonly maxOverMean: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** The worst second. */
  readonly worstP99Ms: number;
  readonly shardsLost: number;
  readonly steps: Readonly<Record<string, number>>;
  readonly points: readonly Point[];
}
