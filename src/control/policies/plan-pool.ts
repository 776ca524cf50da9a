/**
 * How many nodes the warm pool holds: enough for the caches to double until new ones have started, no more than the host
 * has room for or the operator pays for. One pool for all caches: they rarely burst together.
 */
export interface PoolView {
  /** Nodes of each cache that may grow. */
  readonly cacheNodes: readonly number[];
  /** Nodes that one more shard takes at once: of the cache with the most copies; default 1. */
  readonly shardNodes?: number;
  readonly ready: number;
  readonly starting: number;
  /** What plans asked for in the last second and did not get (`CapacityPlan.nodesMissing`). */
  readonly missing: number;
  /** Nodes that the hosts have memory for besides. */
  readonly roomNodes: number;
}

export interface PoolParams {
  /** Time to start a node until it is ready. */
  readonly coldStartMs: number;
  /** The fastest growth that is to be followed without waiting for a start. */
  readonly doublingMs: number;
  /** Caches that burst together, as a share of all nodes of caches. */
  readonly burstShare: number;
  readonly minimum: number;
  /** The cost: an idle node is memory and a process. */
  readonly maximum: number;
}

export interface PoolPlan {
  readonly target: number;
  /** Started in parallel. */
  readonly start: number;
  readonly stop: number;
  readonly reason: string;
}

export const DEFAULT_POOL_PARAMS: PoolParams = {
  coldStartMs: 2_000,
  doublingMs: 30_000,
  burstShare: 1,
  minimum: 1,
  maximum: 64,
};

/** Above the target by this share nothing is stopped yet: the next burst would start it again. */
const SLACK = 0.25;

export function planPool(view: PoolView, params: PoolParams): PoolPlan {
  const nodes = view.cacheNodes.reduce((sum, count) => sum + count, 0);
  const largest = Math.max(0, ...view.cacheNodes);
  // At least the largest cache can double for as long as a start takes.
  const bursting = Math.max(largest, nodes * params.burstShare);
  const growth = bursting * (2 ** (params.coldStartMs / params.doublingMs) - 1);
  // With fewer not even one shard could join without waiting for a start.
  const least = Math.max(params.minimum, view.shardNodes ?? 1);
  const wanted = Math.max(least, Math.ceil(growth - 1e-9)) + view.missing;
  const present = view.ready + view.starting;
  const target = Math.min(wanted, params.maximum, present + view.roomNodes);
  const start = Math.max(0, target - present);
  const surplus = view.ready - Math.ceil(target * (1 + SLACK));
  const stop = view.starting > 0 || view.missing > 0 ? 0 : Math.max(0, surplus);
  const limit =
    target === wanted
      ? ''
      : target === params.maximum
        ? `, ${params.maximum} are allowed`
        : `, the hosts have room for ${view.roomNodes} more`;
  return {
    target,
    start,
    stop,
    reason: `${nodes} nodes of ${view.cacheNodes.length} caches doubling in ${Math.round(params.doublingMs / 1000)} s need ${Math.ceil(growth - 1e-9)} while one starts (${(params.coldStartMs / 1000).toFixed(1)} s), ${view.missing} are missing now${limit}`,
  };
}
