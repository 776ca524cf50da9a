/**
 * What a cache as a whole needs next, between its creation and its deletion. Pure. Shards are planned apart
 * (plan-shard.ts), from the moment the cache is formed.
 */
import type { CacheState } from '../../model/admin-api.ts';
import type { PlannedStep } from '../step.ts';

export interface LifecycleView {
  readonly state: CacheState;
  readonly sharding: boolean;
  readonly formed: boolean;
  readonly aclVersion: number;
  readonly nodes: readonly {
    readonly id: string;
    readonly process: 'alive' | 'gone';
    readonly aclVersion: number;
  }[];
}

/** Steps that may run at the same time; the next ones follow when all of them are done. */
export function planLifecycle(view: LifecycleView): PlannedStep[] {
  if (view.state === 'deleting' || view.state === 'create-failed') return [];
  if (!view.formed) {
    const missing = view.nodes.filter((node) => node.process === 'gone');
    if (missing.length > 0) {
      return missing.map((node) => ({
        step: { kind: 'start-node', nodeId: node.id, identity: 'fresh', replicaOf: null },
        reason: `node ${node.id} of the new cache does not run yet`,
      }));
    }
    return [
      {
        step: { kind: view.sharding ? 'form-cluster' : 'form-replication' },
        reason: 'the nodes of the new cache run and know nothing of one another',
      },
    ];
  }
  return view.nodes
    .filter((node) => node.process === 'alive' && node.aclVersion < view.aclVersion)
    .map((node) => ({
      step: { kind: 'sync-users', nodeId: node.id },
      reason: `node ${node.id} has the access rules of version ${node.aclVersion}, not ${view.aclVersion}`,
    }));
}
