/** How many warm nodes of each class there should be: one pool for all caches of an engine line; those that cannot grow need none. */
import type { HostFigures } from './hosts.ts';
import { DEFAULT_POOL_PARAMS, planPool } from './policies/plan-pool.ts';
import type { Store } from './store.ts';
import type { PoolStatus, WarmClass } from './warm-pool.ts';

interface PoolClass extends WarmClass {
  readonly cacheNodes: number[];
  shardNodes: number;
  missing: number;
}

/** Left free on the hosts when warm nodes are started. */
const RESERVE_BYTES = 256 * 1024 ** 2;
/** Of an empty engine with its buffers. */
const WARM_NODE_BYTES = 32 * 1024 ** 2;

/** @param missing nodes that the plan of a cache could not get from the pool, by cache id */
export function poolWanted(
  store: Store,
  hosts: readonly HostFigures[],
  present: readonly PoolStatus[],
  missing: ReadonlyMap<string, number>,
): (WarmClass & { readonly count: number })[] {
  const freeBytes = hosts.reduce((sum, { capacity }) => sum + capacity.freeMemoryBytes, 0);
  const roomNodes = Math.max(0, Math.floor((freeBytes - RESERVE_BYTES) / WARM_NODE_BYTES));
  return poolClasses(store, missing).map((one) => {
    const { engineLine, databases, cacheNodes, shardNodes, missing: lacking } = one;
    const own = present.find(
      (status) => status.engineLine === engineLine && status.databases === databases,
    );
    const { ready = 0, starting = 0 } = own ?? {};
    const view = { cacheNodes, shardNodes, ready, starting, missing: lacking, roomNodes };
    const plan = planPool(view, DEFAULT_POOL_PARAMS);
    return { engineLine, databases, count: ready + starting + plan.start - plan.stop };
  });
}

/** The caches that may grow, by what they need of a warm node. */
function poolClasses(store: Store, missing: ReadonlyMap<string, number>): PoolClass[] {
  const classes = new Map<string, PoolClass>();
  for (const cache of store.caches()) {
    const { sharding, shards, shardsMaximum, engineVersion: engineLine, databases } = cache.spec;
    const lacks = missing.get(cache.id) ?? 0;
    const grows = shardsMaximum === 0 || shardsMaximum > shards || lacks > 0;
    if (!sharding || !grows || !cache.formed || cache.state !== 'available') continue;
    const key = `${engineLine} ${databases}`;
    const one = classes.get(key) ?? {
      engineLine,
      databases,
      cacheNodes: [],
      shardNodes: 1,
      missing: 0,
    };
    one.shardNodes = Math.max(one.shardNodes, 1 + cache.spec.replicas);
    one.cacheNodes.push(store.nodes(cache.id).length);
    one.missing += lacks;
    classes.set(key, one);
  }
  return [...classes.values()];
}
