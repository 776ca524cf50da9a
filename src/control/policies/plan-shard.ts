/**
 * What one shard needs next. Pure: a snapshot in, steps with reasons out; run again after every change.
 *
 * The rule it protects: a node that was a primary and died comes back EMPTY (nothing is persisted). Were it to act as a
 * primary again, its replicas would copy the emptiness. So the order is fixed: first a new primary, then, and only when
 * that one is known, the dead node is started again, as its replica and with a new identity.
 */
import type { PlannedStep } from '../step.ts';
import type { ShardNodeView, ShardView } from './shard-view.ts';

/** As long as the cache's default deadline for held requests: after that, an empty shard is better than none. */
const SILENT_REPLICA_PATIENCE_MS = 5_000;
/** Twice the cluster node timeout. */
export const FENCE_AFTER_MS = 10_000;

export function planShard(view: ShardView): PlannedStep[] {
  const primary = findPrimary(view);
  return primary === null ? planWithoutPrimary(view) : planReplicas(view, primary);
}

/**
 * The node that is the shard's primary now. Sharded: whoever owns slots, with the newest claim if two say so. Unsharded:
 * a node that follows nobody; if two do, the one that was meant to, because the other may be a restarted, empty one.
 */
export function findPrimary(view: ShardView): ShardNodeView | null {
  const claimants = view.nodes.filter(
    (node) =>
      node.process === 'alive' &&
      node.observed?.role === 'primary' &&
      (!view.sharding || node.observed.slots > 0 || isMeantEmpty(view, node)),
  );
  if (view.sharding) {
    claimants.sort((a, b) => b.observed!.configEpoch - a.observed!.configEpoch);
    return claimants[0] ?? null;
  }
  // Somebody else than the one meant counts only when others follow it: an engine-side or manual change of roles.
  return (
    claimants.find((node) => node.intent === 'primary') ??
    claimants.find((node) => view.nodes.some((other) => other.observed?.primaryId === node.id)) ??
    null
  );
}

/** The primary of a shard that owns nothing, as it should be. */
function isMeantEmpty(view: ShardView, node: ShardNodeView): boolean {
  return view.slots === 0 && node.intent === 'primary';
}

/**
 * Replicas that may take over, best first: the one that has most of what the dead primary acknowledged. Those that are known
 * to have missed some of it come last, and are still better than nothing.
 */
export function rankCandidates(view: ShardView): ShardNodeView[] {
  return view.nodes
    .filter((node) => node.process === 'alive' && node.observed?.role === 'replica' && node.hasData)
    .sort(
      (a, b) =>
        Number(a.hasMissedWrites) - Number(b.hasMissedWrites) ||
        b.observed!.offset - a.observed!.offset ||
        (a.id < b.id ? -1 : 1),
    );
}

function planWithoutPrimary(view: ShardView): PlannedStep[] {
  const meant = view.nodes.find((node) => node.intent === 'primary');
  if (meant === undefined) return [];
  if (meant.process === 'alive') {
    if (meant.busy) return [];
    if (meant.observed === null) return planSilentPrimary(view, meant);
    // It answers and is no primary: the engine demoted it in favour of one that is gone by now.
    if (meant.observed.role === 'primary') return reclaim(view, meant);
    const followed = view.nodes.find((node) => node.id === meant.observed?.primaryId);
    if (followed?.process !== 'gone') return [];
    return takeOver(view, followed);
  }
  return takeOver(view, meant);
}

/** It answers as a primary without slots: it lost what it knew of its cluster, and nobody took its place. */
function reclaim(view: ShardView, empty: ShardNodeView): PlannedStep[] {
  const best = rankCandidates(view)[0];
  // A replica of the identity that was lost still has the data.
  if (best !== undefined) return takeOver(view, empty);
  return [
    {
      step: { kind: 'reclaim-slots', nodeId: empty.id },
      reason: `no node owns the slots of shard ${view.shard}; ${empty.id} is its primary and lost its cluster state`,
    },
  ];
}

/**
 * A primary that hangs, as its host says, is ended as soon as that is known, if a replica that follows it can take its
 * place: its death is certain then. One that is busy may come back with the newest data, and with three shards or more
 * the engine's quorum replaces it after the cluster node timeout. Where that has not happened in twice the time (it
 * cannot, with fewer shards or none), it is ended too.
 */
function planSilentPrimary(view: ShardView, silent: ShardNodeView): PlannedStep[] {
  // Nobody there can be told to end it, and nobody else may say that it has ended: two might take writes then.
  if (silent.hostLost) return [];
  const candidates = rankCandidates(view);
  const inStep = candidates.some((node) => node.observed!.linkUp);
  const isDue = silent.silentMs >= FENCE_AFTER_MS || (silent.hangs !== null && inStep);
  if (candidates.length === 0 || !isDue) return [];
  return [fence(view, silent, 'a replica can take its place')];
}

function fence(view: ShardView, silent: ShardNodeView, what: string): PlannedStep {
  const why = silent.hangs === null ? '' : `${silent.hangs}, `;
  return {
    step: { kind: 'fence-node', nodeId: silent.id },
    reason: `${silent.intent} ${silent.id} of shard ${view.shard} ${why}has not answered for ${Math.round(silent.silentMs)} ms and ${what}`,
  };
}

function takeOver(view: ShardView, dead: ShardNodeView): PlannedStep[] {
  const best = rankCandidates(view)[0];
  if (best !== undefined) {
    return [
      {
        step: {
          kind: 'take-over',
          nodeId: best.id,
          deadNodeId: dead.process === 'gone' ? dead.id : null,
        },
        reason: `primary ${dead.id} of shard ${view.shard} is ${dead.process === 'gone' ? 'dead' : 'empty'}; ${best.id} has the highest replication offset (${best.observed!.offset})`,
      },
    ];
  }
  if (dead.busy || worthWaitingFor(view)) return [];
  return [
    {
      step:
        view.sharding && dead.identity === 'none'
          ? { kind: 'start-node', nodeId: dead.id, identity: 'fresh', replicaOf: null }
          : { kind: 'restart-primary', nodeId: dead.id },
      reason: `primary ${dead.id} of shard ${view.shard} is dead and no replica has its data; it starts again, empty`,
    },
  ];
}

/** A replica that has the data but does not answer at the moment: starting the dead primary empty would erase it. */
function worthWaitingFor(view: ShardView): boolean {
  return (
    view.primaryGoneMs < SILENT_REPLICA_PATIENCE_MS &&
    view.nodes.some((node) => node.process === 'alive' && node.observed === null && node.hasData)
  );
}

function planReplicas(view: ShardView, primary: ShardNodeView): PlannedStep[] {
  const steps: PlannedStep[] = [];
  if (primary.intent !== 'primary') {
    steps.push({
      step: { kind: 'record-roles', primaryId: primary.id },
      reason: `the engine made ${primary.id} the primary of shard ${view.shard}`,
    });
  }
  for (const node of view.nodes) {
    if (node === primary || node.busy) continue;
    if (node.process === 'alive' && node.hangs !== null) {
      steps.push(fence(view, node, 'it has nothing that its primary has not'));
      continue;
    }
    if (node.process === 'gone') {
      const fresh = view.sharding && (node.identity !== 'kept' || node.intent === 'primary');
      steps.push({
        step: {
          kind: 'start-node',
          nodeId: node.id,
          identity: fresh ? 'fresh' : 'kept',
          replicaOf: view.sharding ? null : primary.id,
        },
        reason: `replica ${node.id} of shard ${view.shard} is not running`,
      });
    } else if (node.observed !== null && !follows(node, primary)) {
      steps.push({
        step: { kind: 'join-replica', nodeId: node.id, primaryId: primary.id },
        reason: `${node.id} does not follow ${primary.id}, the primary of shard ${view.shard}`,
      });
    }
  }
  return steps;
}

function follows(node: ShardNodeView, primary: ShardNodeView): boolean {
  const { observed } = node;
  // One that owns slots, though not the newest claim, is told by the engine itself.
  if (observed === null || observed.slots > 0) return true;
  return observed.role === 'replica' && observed.primaryId === primary.id && observed.introduced;
}
