/** What the replacement policy reads, made from the store and from what the nodes said last. */
import { messageOf } from '../lib/errors.ts';
import type { EngineLine } from '../model/cache-spec.ts';
import type { Fleet } from './fleet.ts';
import { isOlderLine } from './line-order.ts';
import type {
  ReplacementNodeView,
  ReplacementShardView,
  ReplacementView,
} from './policies/plan-replacement.ts';
import type { ReplacementRecord } from './replacement-table.ts';
import type { Store } from './store.ts';
import type { NodeRecord, ShardRecord } from './store-records.ts';

/** So often in a row may a new node fail to start, or end soon after. */
const FAILED_RUNS = 3;
/** So many copies are begun for new nodes that come, and go on without one. */
const COPIES_BEGUN = 10;
const COPIES_BEGUN_AFTER_MS = 15_000;

/** When a new node was first seen without its primary's data, and what its primary had done by then. */
export interface CopyWatch {
  readonly sinceMs: number;
  readonly fullSyncs: number;
}

export interface ReplacementViewSources {
  readonly store: Store;
  readonly fleet: Fleet;
  /** By node; kept by the caller from view to view. */
  readonly copies: Map<string, CopyWatch>;
  /** Whether slots or nodes of a shard are on the move for another reason. */
  isOccupied(shard: number): boolean;
  readonly nowMs: number;
}

export function replacementView(
  record: ReplacementRecord,
  sources: ReplacementViewSources,
): ReplacementView {
  const { store } = sources;
  const nodes = store.nodes(record.cacheId).filter((node) => !node.leaving);
  return {
    toLine: record.toLine,
    fromLine: record.fromLine,
    parallelShards: record.parallelShards,
    surgeNodes: record.surgeNodes,
    isStopping: record.failure !== null,
    shards: store.shards.of(record.cacheId).map((shard) =>
      shardView(
        record,
        shard,
        nodes.filter((node) => node.shard === shard.shard),
        sources,
      ),
    ),
  };
}

function shardView(
  record: ReplacementRecord,
  { shard, state, replicas }: ShardRecord,
  nodes: readonly NodeRecord[],
  sources: ReplacementViewSources,
): ReplacementShardView {
  const { fleet } = sources;
  const primary = nodes.find(({ role }) => role === 'primary');
  const isPrimaryWell =
    primary !== undefined &&
    fleet.isAlive(primary.id) &&
    !fleet.isBusy(primary.id) &&
    fleet.observation(primary.id)?.role === 'primary';
  return {
    shard,
    copies: 1 + replicas,
    settled: isPrimaryWell && state !== 'joining' && !sources.isOccupied(shard),
    nodes: nodes.map((node) => nodeView(record, node, primary, sources)),
  };
}

/** Named when it was asked for; or of the old line, having come since. */
function isOutgoing(record: ReplacementRecord, node: NodeRecord): boolean {
  if (record.nodeIds.includes(node.id)) return true;
  const { fromLine, toLine, failure } = record;
  return fromLine !== toLine && failure === null && node.engineLine === fromLine;
}

function nodeView(
  record: ReplacementRecord,
  node: NodeRecord,
  primary: NodeRecord | undefined,
  sources: ReplacementViewSources,
): ReplacementNodeView {
  const outgoing = isOutgoing(record, node);
  const inSync = isInSync(node, primary, sources.fleet);
  return {
    id: node.id,
    role: node.role,
    outgoing,
    inSync,
    failure: outgoing ? null : failureOf(node, primary, inSync, sources),
  };
}

function isInSync(node: NodeRecord, primary: NodeRecord | undefined, fleet: Fleet): boolean {
  if (fleet.state(node.id, node.role) !== 'online') return false;
  const seen = fleet.observation(node.id);
  if (node === primary) return seen?.role === 'primary';
  return (
    primary !== undefined &&
    seen?.role === 'replica' &&
    seen.linkUp &&
    seen.primaryPort === primary.port &&
    !hasMissedWrites(node, primary.engineLine, fleet)
  );
}

/**
 * A node of an older engine goes on after a command that it does not know, with its link up and its offset right. A newer
 * one knows all that an older one has; what it counts are its own refusals from when it was a primary.
 */
export function hasMissedWrites(node: NodeRecord, primaryLine: EngineLine, fleet: Fleet): boolean {
  return (
    isOlderLine(node.engineLine, primaryLine) && (fleet.observation(node.id)?.missedWrites ?? 0) > 0
  );
}

function failureOf(
  node: NodeRecord,
  primary: NodeRecord | undefined,
  inSync: boolean,
  { fleet, copies, nowMs }: ReplacementViewSources,
): string | null {
  const { count, cause } = fleet.failedRuns(node.id);
  if (count >= FAILED_RUNS) {
    return `does not come to run${cause === null ? '' : `: ${messageOf(cause)}`}`;
  }
  if (primary === undefined || node === primary) return null;
  if (hasMissedWrites(node, primary.engineLine, fleet)) {
    return `has missed writes: clients use what Valkey ${node.engineLine} does not know`;
  }
  const source = fleet.observation(primary.id);
  if (inSync || source === null || !fleet.isAlive(node.id)) {
    copies.delete(node.id);
    return null;
  }
  const watch = copies.get(node.id) ?? { sinceMs: nowMs, fullSyncs: source.fullSyncs };
  copies.set(node.id, watch);
  const begun = source.fullSyncs - watch.fullSyncs;
  return begun >= COPIES_BEGUN && nowMs - watch.sinceMs > COPIES_BEGUN_AFTER_MS
    ? `cannot load the data of Valkey ${primary.engineLine}: its primary has begun ${begun} copies for it in vain`
    : null;
}
