/**
 * Puts new nodes in the place of old ones, shard by shard: how a cache gets another engine version, how its nodes get new
 * settings, how a host is emptied. Pure: a snapshot in, steps with reasons out; run again after every change, so that it
 * does not matter where it was cut short.
 *
 *   as many new nodes as the shard has copies join as replicas (N+K)
 *   -> all of them have the data -> one takes over, writes held meanwhile -> the old ones leave
 *
 * The rules it protects: a shard never has fewer copies of its data than it is meant to have, and the node that takes over
 * is never alone. A node of an older engine that follows a newer one may miss writes that it does not know, with its link
 * up and its offset right; whoever makes the view says so (`inSync`), and such a copy counts for nothing.
 *
 * Where a new node turns out not to work, shards whose primary is still an old node go back (`isStopping`): the same
 * rules, with old and new in each other's place. Shards whose primary is a new node are finished.
 */
import type { EngineLine } from '../../model/cache-spec.ts';
import type { Step } from '../step.ts';

export interface ReplacementNodeView {
  readonly id: string;
  readonly role: 'primary' | 'replica';
  /** It is to be replaced: of another engine line than wanted, or named by whoever asked. */
  readonly outgoing: boolean;
  /** A primary that answers; a replica with all of its primary's data and nothing that says it has lost some since. */
  readonly inSync: boolean;
  /** Why it will not come to work by itself; null while it may. */
  readonly failure: string | null;
}

export interface ReplacementShardView {
  readonly shard: number;
  /** Copies of the data that it is meant to have, the primary's included. */
  readonly copies: number;
  /** Nothing else is being done to it: no node is being healed, no slot moves. */
  readonly settled: boolean;
  readonly nodes: readonly ReplacementNodeView[];
}

export interface ReplacementView {
  /** Line of the new nodes, and of the old ones. Equal where nodes are replaced for another reason. */
  readonly toLine: EngineLine;
  readonly fromLine: EngineLine;
  /** Shards at a time. */
  readonly parallelShards: number;
  /** Nodes that a shard may have above its copies at one moment; at least 1. */
  readonly surgeNodes: number;
  /** It was given up: undo what can be. */
  readonly isStopping: boolean;
  readonly shards: readonly ReplacementShardView[];
}

export interface ReplacementStep {
  readonly shard: number;
  readonly step:
    | Omit<Extract<Step, { kind: 'add-replica' }>, 'nodeId'>
    | Extract<Step, { kind: 'planned-failover' }>
    | Extract<Step, { kind: 'remove-node' }>;
  readonly reason: string;
}

export interface ReplacementPlan {
  readonly steps: readonly ReplacementStep[];
  /** Every node is as it should be. */
  readonly done: boolean;
  /** It should be given up, and why. */
  readonly failure: string | null;
  /** Nodes that are where they should be, of all that there should be: for a progress bar. */
  readonly readyNodes: number;
  readonly allNodes: number;
  /** Shards whose turn it is, with something else under way in them that is waited for. */
  readonly waitingFor: readonly number[];
}

/** A shard with the nodes that stay and those that go told apart. */
interface Split {
  readonly shard: ReplacementShardView;
  readonly staying: readonly ReplacementNodeView[];
  readonly going: readonly ReplacementNodeView[];
  readonly primary: ReplacementNodeView | undefined;
}

export function planReplacement(view: ReplacementView): ReplacementPlan {
  const splits = view.shards.map(split);
  const open = splits.filter((each) => !isDone(view, each));
  const begun = open.filter(({ staying, going }) => staying.length > 0 && going.length > 0);
  const waiting = open.filter((each) => !begun.includes(each));
  const failure = view.isStopping ? null : failureOf(view, begun);
  const room = Math.max(0, view.parallelShards - begun.length);
  const active = view.isStopping ? open : [...begun, ...waiting.slice(0, room)];
  return {
    steps: failure === null ? active.flatMap((each) => nextSteps(view, each)) : [],
    done: open.length === 0,
    failure,
    readyNodes: splits.reduce((sum, each) => sum + readyNodes(each), 0),
    allNodes: splits.reduce((sum, { shard }) => sum + shard.copies, 0),
    waitingFor: active.filter(({ shard }) => !shard.settled).map(({ shard }) => shard.shard),
  };
}

function split(shard: ReplacementShardView): Split {
  return {
    shard,
    staying: shard.nodes.filter((node) => !node.outgoing),
    going: shard.nodes.filter((node) => node.outgoing),
    primary: shard.nodes.find((node) => node.role === 'primary'),
  };
}

function isDone(view: ReplacementView, of: Split): boolean {
  if (!goesBack(view, of)) return of.going.length === 0;
  return of.shard.nodes.length === of.shard.copies && of.staying.every((node) => !node.failure);
}

function goesBack(view: ReplacementView, of: Split): boolean {
  return view.isStopping && mayGoBack(view, of);
}

/** Until a node of another engine has taken over: after that, the old ones may not know all that is written. */
function mayGoBack(view: ReplacementView, { primary }: Split): boolean {
  return view.fromLine === view.toLine || primary?.outgoing !== false;
}

/** Half of the way: a new node has the data. All of it: an old one has left. */
function readyNodes({ shard, staying, going }: Split): number {
  const served = Math.min(shard.copies, staying.filter((node) => node.inSync).length);
  return (served + Math.min(served, Math.max(0, shard.copies - going.length))) / 2;
}

/** While a shard can go back, a new node that does not work is a reason to. */
function failureOf(view: ReplacementView, begun: readonly Split[]): string | null {
  for (const each of begun) {
    if (!mayGoBack(view, each)) continue;
    const { shard, staying } = each;
    const failed = staying.find((node) => node.failure !== null);
    if (failed !== undefined) return `node ${failed.id} of shard ${shard.shard} ${failed.failure}`;
  }
  return null;
}

function nextSteps(view: ReplacementView, of: Split): ReplacementStep[] {
  const { shard, staying, going, primary } = of;
  if (goesBack(view, of)) return stepsBack(view, of);
  if (!shard.settled || primary === undefined) return [];
  const missing = shard.copies - staying.length;
  const room = shard.copies + view.surgeNodes - shard.nodes.length;
  if (missing > 0 && room > 0) return addReplicas(shard, view.toLine, Math.min(missing, room));
  if (!staying.every((node) => node.inSync)) return [];
  if (missing > 0) return removeOneToMakeRoom(of);
  if (primary.outgoing) return takeOver(of, primary);
  return going.map((node) =>
    removal(shard, node, `the new nodes of shard ${shard.shard} have all its data`),
  );
}

/** Whatever does not work goes, then whatever there is too much of; what is short comes from the old engine. */
function stepsBack(view: ReplacementView, { shard, staying, going }: Split): ReplacementStep[] {
  const failed = staying.filter((node) => node.failure !== null);
  if (failed.length > 0) return failed.map((node) => removal(shard, node, 'it does not work'));
  if (!shard.settled) return [];
  const surplus = shard.nodes.length - shard.copies;
  if (surplus < 0) return addReplicas(shard, view.fromLine, -surplus);
  const spare = [...staying, ...going].filter(({ role }) => role === 'replica');
  return spare
    .toSorted((a, b) => Number(a.inSync) - Number(b.inSync))
    .slice(0, surplus)
    .map((node) => removal(shard, node, `shard ${shard.shard} has one node too many`));
}

function addReplicas(
  { shard }: ReplacementShardView,
  engineLine: EngineLine,
  count: number,
): ReplacementStep[] {
  return Array.from({ length: count }, () => ({
    shard,
    step: { kind: 'add-replica', shard, engineLine },
    reason: `shard ${shard} gets a node of Valkey ${engineLine} in the place of another`,
  }));
}

/** Too few nodes may be there at once to replace all of them together: one old replica, if the rest are copies enough. */
function removeOneToMakeRoom({ shard, going }: Split): ReplacementStep[] {
  const spare = going
    .filter((node) => node.role === 'replica')
    .toSorted((a, b) => Number(a.inSync) - Number(b.inSync))[0];
  const left = shard.nodes.filter((node) => node !== spare && node.inSync).length;
  if (spare === undefined || left < shard.copies) return [];
  return [removal(shard, spare, `shard ${shard.shard} has a new node with all its data`)];
}

function takeOver({ shard, staying }: Split, primary: ReplacementNodeView): ReplacementStep[] {
  const next = staying[0]!;
  return [
    {
      shard: shard.shard,
      step: { kind: 'planned-failover', nodeId: next.id, primaryId: primary.id },
      reason: `${next.id} has all data of shard ${shard.shard} and takes the place of ${primary.id}`,
    },
  ];
}

function removal(
  { shard }: ReplacementShardView,
  node: ReplacementNodeView,
  reason: string,
): ReplacementStep {
  return { shard, step: { kind: 'remove-node', nodeId: node.id, why: reason }, reason };
}
