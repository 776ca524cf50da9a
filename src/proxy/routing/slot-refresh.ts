/**
 * Asks nodes who owns what: a sharded cache by `CLUSTER NODES` of several nodes, an unsharded one by `ROLE` of all. The
 * asking itself is given by the caller.
 */
import type { TopologyCache } from '../../model/topology.ts';
import { SLOT_COUNT } from '../../protocol/hash-slot.ts';
import { itemsOf, RespError, textOf, type RespValue } from '../../protocol/resp-value.ts';
import { mergeViews, parseClusterNodes } from './slot-view.ts';

export interface KnownNode {
  readonly host: string;
  readonly port: number;
  readonly primary: boolean;
  /** A replica's primary: index into the same list, -1 when it is not there. */
  readonly primaryAt: number;
}

export interface SlotMap {
  readonly nodes: readonly KnownNode[];
  /** Index into `nodes`, -1 for none. */
  readonly owners: Int32Array;
}

interface Seed {
  readonly index: number;
  readonly host: string;
  readonly port: number;
  readonly id: string;
}

/** Asks a node (by the caller's index); null when it did not answer. */
export type Question = (node: number, args: readonly string[]) => Promise<RespValue>;

/** Views asked for at once: a majority of a small cluster, a sample of a large one. */
const VIEWS_MAXIMUM = 9;

/** The map as the nodes see it now, or null when no node answered. */
export async function readSlotMap(
  cache: TopologyCache,
  seeds: readonly Seed[],
  question: Question,
): Promise<SlotMap | null> {
  return cache.sharding ? readSharded(seeds, question) : readUnsharded(cache, seeds, question);
}

async function readSharded(seeds: readonly Seed[], question: Question): Promise<SlotMap | null> {
  const asked = sample(seeds, VIEWS_MAXIMUM);
  const views = await Promise.all(
    asked.map(async (seed) => {
      const text = textOf(await question(seed.index, ['CLUSTER', 'NODES']));
      return text === null || !text.includes('myself') ? null : parseClusterNodes(text, seed.host);
    }),
  );
  const answered = views.filter((view) => view !== null);
  if (answered.length === 0) return null;
  const merged = mergeViews(answered);
  const at = new Map(merged.nodes.map((node, index) => [node.id, index]));
  return {
    owners: merged.owners,
    nodes: merged.nodes.map((node) => ({
      host: node.host,
      port: node.port,
      primary: node.primary,
      primaryAt: node.primaryId === null ? -1 : (at.get(node.primaryId) ?? -1),
    })),
  };
}

/**
 * Every node says what it is. Two that call themselves primary (an old one that came back before it was told) are told
 * apart by the control plane's word; without it by who has replicas.
 */
async function readUnsharded(
  cache: TopologyCache,
  seeds: readonly Seed[],
  question: Question,
): Promise<SlotMap | null> {
  const roles = await Promise.all(
    seeds.map(async (seed) => {
      const reply = await question(seed.index, ['ROLE']);
      if (reply === null || reply instanceof RespError) return null;
      const items = itemsOf(reply);
      return { seed, primary: textOf(items[0]) === 'master', replicas: itemsOf(items[2]).length };
    }),
  );
  const answered = roles.filter((role) => role !== null);
  if (answered.length === 0) return null;
  const primaries = answered.filter((role) => role.primary);
  const hinted = new Set(
    cache.nodes.filter((node) => node.role === 'primary').map((node) => node.id),
  );
  const primary =
    primaries.find((role) => hinted.has(role.seed.id)) ??
    primaries.sort((a, b) => b.replicas - a.replicas)[0];
  const primaryAt = primary === undefined ? -1 : answered.indexOf(primary);
  return {
    owners: new Int32Array(SLOT_COUNT).fill(primaryAt),
    nodes: answered.map((role) => ({
      host: role.seed.host,
      port: role.seed.port,
      primary: role === primary,
      primaryAt: role === primary ? -1 : primaryAt,
    })),
  };
}

function sample<T>(items: readonly T[], count: number): readonly T[] {
  if (items.length <= count) return items;
  const offset = Math.floor(Math.random() * items.length);
  return Array.from({ length: count }, (_, i) => items[(offset + i) % items.length]!);
}
