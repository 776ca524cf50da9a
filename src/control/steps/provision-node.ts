/**
 * Gets a process for a new node of a cache: from the warm pool if one is ready there, else a new one. It then has the
 * cache's users, secrets, settings and functions, and knows nobody of its cluster.
 *
 *   warm node -> users, settings, functions -> it is a node of the cache (one transaction)
 *
 * Killed before that transaction, the pool gives the node up; after it, the node is like any other.
 */
import type { WarmNode } from '../warm-pool.ts';
import { SYSTEM_USER_NAME } from '../../model/user.ts';
import { replBacklogBytes } from '../../engine/node-config.ts';
import { aclLines } from '../acl-rules.ts';
import type { PlacedNode } from '../hosts.ts';
import { functionsOf } from '../functions-of.ts';
import { newNodeRecord } from '../new-node-record.ts';
import type { NodeRecord } from '../store-records.ts';
import type { StepContext } from '../step-context.ts';

export interface NewNode {
  /** Used when a process must be started; a warm node has a name already. */
  readonly id: string;
  readonly shard: number;
  readonly role: NodeRecord['role'];
  readonly engineLine: NodeRecord['engineLine'];
}

/** @throws NodeError, EngineError; nothing is left behind then that the next try, or the next daemon, does not find */
export async function provisionNode(context: StepContext, wanted: NewNode): Promise<NodeRecord> {
  const { cache, pool, fleet, store } = context;
  const beside = neighbours(context, wanted.shard);
  const hostIds = fleet.hosts.rank(store, wanted.role, beside.staying, [], beside.leaving);
  // A warm one is a second sooner there; copies that are lost together are so for as long as they live.
  const farthest = fleet.hosts.asFarApart(hostIds, beside.staying);
  const warm = cache.spec.sharding
    ? pool.take({ engineLine: wanted.engineLine, databases: cache.spec.databases }, farthest)
    : null;
  if (warm === null) return startCold(context, wanted, beside);
  try {
    return await adopt(context, wanted, warm);
  } catch (error) {
    context.log.warn({ node: warm.record.id, err: error }, 'a warm node cannot be used');
    await pool.giveUp(warm);
    return startCold(context, wanted, beside);
  }
}

/** Hosts of a shard's other nodes: of those that it keeps, and of those that are being replaced. */
interface Neighbours {
  readonly staying: readonly string[];
  readonly leaving: readonly string[];
}

function neighbours({ store, fleet, cache }: StepContext, shard: number): Neighbours {
  const outgoing = new Set(store.replacements.get(cache.id)?.nodeIds);
  const nodes = fleet.hosts
    .placed(store)
    .filter((node) => node.cacheId === cache.id && node.shard === shard && !node.leaving);
  const hostsOf = (some: readonly PlacedNode[]) => some.map(({ hostId }) => hostId);
  return {
    staying: hostsOf(nodes.filter(({ id }) => !outgoing.has(id))),
    leaving: hostsOf(nodes.filter(({ id }) => outgoing.has(id))),
  };
}

async function adopt(
  context: StepContext,
  wanted: NewNode,
  { record, process, admin }: WarmNode,
): Promise<NodeRecord> {
  const { store, fleet, cache } = context;
  const node = nodeRecord(context, wanted, record);
  using _ = fleet.hosts.expect(node);
  const shard = store.shards.get(cache.id, wanted.shard);
  // Of the moment at which the users are read: a change that comes later is brought by the cache's lane.
  const { aclVersion } = store.cache(cache.id)!;
  fleet.files.writeAcl(node.id, aclLines(store.users(cache.id), cache.systemSecret));
  const maxmemory = shard?.maxmemoryBytes ?? 0;
  await Promise.all([
    admin.call('ACL', 'LOAD'),
    admin.call('CONFIG', 'SET', 'primaryuser', SYSTEM_USER_NAME, 'primaryauth', cache.systemSecret),
    admin.call('CONFIG', 'SET', 'maxmemory', maxmemory),
    admin.call('CONFIG', 'SET', 'repl-backlog-size', replBacklogBytes(maxmemory)),
    // It was started with one, and an engine that keeps what it was started with refuses even that.
    ...(shard === undefined || shard.ioThreads === 1
      ? []
      : [admin.call('CONFIG', 'SET', 'io-threads', shard.ioThreads)]),
  ]);
  const functions = await functionsOf(context, node);
  if (functions !== null) {
    await admin.callWith({}, 'FUNCTION', 'RESTORE', Buffer.from(functions), 'REPLACE');
  }
  const clusterNodeId = String(await admin.call('CLUSTER', 'MYID'));
  admin.close();
  store.transaction(() => {
    store.warm.delete(record.id);
    store.insertNode({ ...node, aclVersion, clusterNodeId, identity: 'kept' });
  });
  await fleet.take(store.node(node.id)!, process);
  return store.node(node.id)!;
}

async function startCold(
  context: StepContext,
  wanted: NewNode,
  beside: Neighbours,
): Promise<NodeRecord> {
  const { store, fleet, ports, cache, signal } = context;
  const hostId = fleet.hosts.place(store, wanted.role, beside.staying, [], beside.leaving);
  const place = { ...wanted, cacheId: cache.id, hostId, leaving: false };
  using _ = fleet.hosts.expect(place);
  const node = nodeRecord(context, wanted, {
    id: wanted.id,
    hostId,
    ...(await ports.nodePair(fleet.hosts.address(hostId))),
  });
  store.insertNode(node);
  const functions = await functionsOf(context, node);
  await fleet.start(cache, node, { replicaOf: null, functions, signal });
  if (cache.spec.sharding) {
    // Known from here on: one without an identity is a stranger that others are told to forget.
    const clusterNodeId = String(await fleet.call(node.id, ['CLUSTER', 'MYID']));
    store.updateNode(node.id, { clusterNodeId, identity: 'kept' });
  }
  return store.node(node.id)!;
}

function nodeRecord(
  { cache }: StepContext,
  { id: askedAs, shard, role, engineLine }: NewNode,
  { id, hostId, port, busPort }: Pick<NodeRecord, 'id' | 'hostId' | 'port' | 'busPort'>,
): NodeRecord {
  const chosen = { id, cacheId: cache.id, shard, role, port, busPort, hostId, engineLine };
  return newNodeRecord(chosen, askedAs === id ? null : askedAs);
}

/** A name for a node that is added to a cache that is there. */
export function newNodeId(cacheName: string, unique: string): string {
  return `${cacheName}-${unique}`;
}
