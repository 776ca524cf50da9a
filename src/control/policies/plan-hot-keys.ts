/**
 * Hot slots are watched (the proxies sketch their keys), and a single key that no placement helps gets its reads spread:
 * replicas for its shard alone, and a near cache in the proxies where the cache allows it. They stay until the key has
 * been cool for `hotQuietMs`.
 *
 * A slot's ECPU counts what replicas and near caches answer as well: else the cure would hide the illness and be undone.
 */
import type { CapacityEventName, HotKey, PlannedCapacityStep } from './capacity-view.ts';
import type { PlannerState } from './planner-state.ts';
import { percent } from './plan-io-threads.ts';
import type { CapacityReading, ShardReading } from './read-capacity.ts';

export interface HotKeyPlan {
  readonly steps: readonly PlannedCapacityStep[];
  readonly events: readonly { readonly event: CapacityEventName; readonly message: string }[];
  readonly seenMs: Readonly<Record<string, number>>;
  readonly nodesMissing: number;
}

export function planHotKeys(
  reading: CapacityReading,
  state: PlannerState,
  taken: ReadonlySet<number>,
): HotKeyPlan {
  const { params, view } = reading;
  const kept = { seenMs: state.hotSlotSeenMs, events: [], nodesMissing: 0 };
  // Without figures nothing is switched on or off; a replica that is missing is missing all the same.
  if (!reading.fresh) {
    const { steps, nodesMissing } = planReplicas(reading, [], state.hotSlotSeenMs, taken);
    return {
      ...kept,
      steps: steps.filter(({ step }) => step.kind === 'add-replica'),
      nodesMissing,
    };
  }
  const steps: PlannedCapacityStep[] = [];
  const watch = slotsToWatch(reading);
  if (!sameSlots(watch, view.watchedSlots)) {
    steps.push({
      step: { kind: 'watch-slots', slots: watch },
      reason:
        watch.length === 0
          ? `no slot carries ${percent(params.coolShare)} of a node any more`
          : `slots ${watch.join(', ')} carry ${percent(params.hotShare)} of a node or more: is it one key?`,
      rejected: ['watching all slots: a sketch of every key costs every request'],
    });
  }
  const hot = view.hotKeys.filter(
    (key) => keyEcpu(reading, key) > params.hotShare * reading.newShardEcpu,
  );
  const seenMs: Record<string, number> = {};
  for (const [slot, at] of Object.entries(state.hotSlotSeenMs))
    if (view.nowMs - at < params.hotQuietMs) seenMs[slot] = at;
  for (const key of hot) seenMs[key.slot] = view.nowMs;

  if (view.nearCacheAllowed || view.nearCachedSlots.length > 0) {
    const near = view.nearCacheAllowed
      ? Object.keys(seenMs)
          .map(Number)
          .sort((a, b) => a - b)
      : [];
    if (!sameSlots(near, view.nearCachedSlots)) {
      steps.push({
        step: { kind: 'near-cache-slots', slots: near },
        reason:
          near.length === 0
            ? `no key has been hot for ${Math.round(params.hotQuietMs / 1000)} s`
            : `slots ${near.join(', ')} have a key that fills a node by itself; the cache allows a near cache`,
        rejected: ['moving slots: one key is on one node wherever it is'],
      });
    }
  }
  const replicas = planReplicas(reading, hot, seenMs, taken);
  return {
    steps: [...steps, ...replicas.steps],
    events: replicas.events,
    seenMs,
    nodesMissing: replicas.nodesMissing,
  };
}

function planReplicas(
  reading: CapacityReading,
  hot: readonly HotKey[],
  seenMs: Readonly<Record<string, number>>,
  taken: ReadonlySet<number>,
): Omit<HotKeyPlan, 'seenMs'> {
  const { params, view } = reading;
  const steps: PlannedCapacityStep[] = [];
  const events: { event: CapacityEventName; message: string }[] = [];
  const { owners } = view.slots;
  const cooling = new Set(Object.keys(seenMs).map((slot) => owners[Number(slot)]));
  let ready = view.pool.ready;
  let nodesMissing = 0;
  for (const shard of reading.shards) {
    if (shard.view.state !== 'serving' || shard.view.primary === null || taken.has(shard.shard))
      continue;
    if (!shard.idle) continue;
    const keys = hot.filter((key) => owners[key.slot] === shard.shard);
    const extra = extraReplicas(reading, shard, keys);
    const wanted = view.replicasWanted + extra;
    const present = shard.view.replicas.length;
    if (present < wanted) {
      if (ready < 1) {
        nodesMissing += wanted - present;
        continue;
      }
      ready -= 1;
      steps.push({
        step: { kind: 'add-replica', shard: shard.shard },
        reason:
          extra > 0
            ? `one key of slot ${keys[0]!.slot} asks for ${percent(keyEcpu(reading, keys[0]!) / reading.newShardEcpu)} of a node, ${percent(keys[0]!.readShare)} of it reads: ${wanted} replicas spread them`
            : `shard ${shard.shard} has ${present} of ${wanted} replicas`,
        rejected:
          extra > 0
            ? [
                'moving slots: one key is on one node wherever it is',
                'replicas for every shard: the others have no hot key',
              ]
            : [],
      });
    } else if (present > wanted && !cooling.has(shard.shard)) {
      steps.push({
        step: { kind: 'remove-replica', shard: shard.shard, nodeId: leastUseful(shard) },
        reason: `shard ${shard.shard} has ${present} replicas, ${wanted} ${wanted === 1 ? 'is' : 'are'} wanted, and no key of it has asked for more in the last ${Math.round(params.hotQuietMs / 1000)} s`,
        rejected: [],
      });
    }
    for (const key of keys) {
      const writes = keyEcpu(reading, key) * (1 - key.readShare);
      if (writes > params.outUrgentUtilisation * shard.potentialEcpu)
        events.push({
          event: 'hot-key',
          message: `one key of slot ${key.slot} is written to at ${Math.round(writes)} ECPU/s, which is what a node can do; neither replicas nor shards help`,
        });
    }
  }
  return { steps, events, nodesMissing };
}

/** Slots to sketch: hot ones, and those watched already until they are cool. */
function slotsToWatch(reading: CapacityReading): number[] {
  const { params, view } = reading;
  const { ecpu } = view.slots;
  const capacity = reading.newShardEcpu;
  const watched = new Set(view.watchedSlots);
  const found: number[] = [];
  if (reading.hottestSlotEcpu <= params.coolShare * capacity) return found;
  for (let slot = 0; slot < ecpu.length; slot += 1) {
    if (ecpu[slot]! > params.hotShare * capacity) found.push(slot);
    else if (watched.has(slot) && ecpu[slot]! > params.coolShare * capacity) found.push(slot);
  }
  return found
    .sort((a, b) => ecpu[b]! - ecpu[a]! || a - b)
    .slice(0, params.watchedSlotsMaximum)
    .sort((a, b) => a - b);
}

function extraReplicas(
  reading: CapacityReading,
  shard: ShardReading,
  keys: readonly HotKey[],
): number {
  const { params, view } = reading;
  const asked = keys.reduce((sum, key) => sum + keyEcpu(reading, key) * key.readShare, 0);
  // A near cache answers most of them already: only what still arrives needs replicas.
  const near = keys.some((key) => view.nearCachedSlots.includes(key.slot));
  const reads = near ? Math.min(asked, shard.load ?? 0) : asked;
  // Reads that cannot be spread over two nodes are no help: writes have to be made on each anyway.
  const byEcpu = Math.ceil(reads / (params.targetUtilisation * reading.newShardEcpu) - 1e-9);
  const nodes = Math.min(byEcpu, nodesByUse(shard, params.targetUtilisation));
  return Math.min(
    params.hotReplicasMaximum,
    Math.max(0, nodes - reading.view.replicasWanted - (nodes > 0 ? 0 : 1)),
  );
}

/** Nodes that the shard keeps busy, by what they say of themselves; while one of them says nothing, those that there are. */
function nodesByUse({ view }: ShardReading, targetUtilisation: number): number {
  let busy = 0;
  for (const node of [view.primary, ...view.replicas]) {
    const utilisation = node?.utilisation;
    if (utilisation === undefined) return Number.POSITIVE_INFINITY;
    if (utilisation === null) return 1 + view.replicas.length;
    busy += utilisation;
  }
  return Math.ceil(busy / targetUtilisation - 1e-9);
}

function keyEcpu(reading: CapacityReading, key: HotKey): number {
  return (reading.view.slots.ecpu[key.slot] ?? 0) * key.share;
}

function leastUseful(shard: ShardReading): string {
  const replicas = [...shard.view.replicas].sort(
    (a, b) =>
      Number(a.online) - Number(b.online) ||
      (b.lagBytes ?? Number.MAX_SAFE_INTEGER) - (a.lagBytes ?? Number.MAX_SAFE_INTEGER) ||
      (a.nodeId < b.nodeId ? 1 : -1),
  );
  return replicas[0]!.nodeId;
}

function sameSlots(a: readonly number[], b: readonly number[]): boolean {
  if (a.length !== b.length) return false;
  const set = new Set(b);
  return a.every((slot) => set.has(slot));
}
