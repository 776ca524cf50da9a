/**
 * CLUSTER as a client of a sharded cache sees it: one virtual node that owns every slot on the endpoint's address, and one
 * virtual replica on the reader's port, as ElastiCache Serverless shows itself (reference: "Topology shown to clients").
 * The replica is always listed: reads there work with or without replicas. Nothing here tells of the nodes behind.
 */
import { createHash } from 'node:crypto';
import { isIP } from 'node:net';
import { SLOT_COUNT } from '../../protocol/hash-slot.ts';
import {
  encodeReply,
  entriesOf,
  itemsOf,
  RespMap,
  RespVerbatim,
  textOf,
  type RespValue,
} from '../../protocol/resp-value.ts';
import type { TopologyCache } from '../../model/topology.ts';
import { askShards } from '../ask-shards.ts';
import { errorReply } from '../proxy-error.ts';
import { NO_SLOT } from '../routing/request.ts';
import type { Session } from '../session.ts';
import type { Call, HandlerTable } from '../command-handler.ts';
import { firstError } from '../split.ts';

export const clusterHandlers: HandlerTable = {
  'cluster|slots': (session) => reply(session, slots(session)),
  'cluster|shards': (session) => reply(session, shards(session)),
  'cluster|nodes': (session) => reply(session, text(`${nodeLines(session).join('\n')}\n`)),
  'cluster|info': (session) => reply(session, text(clusterInfo(session))),
  'cluster|myid': (session) => reply(session, self(session).id),
  'cluster|myshardid': (session) => reply(session, shardId(session.service.cache)),
  'cluster|replicas': replicas,
  'cluster|slaves': replicas,
  'cluster|links': (session) => reply(session, []),
  'cluster|count-failure-reports': (session, call) =>
    virtualNode(session, call) === null ? unknownNode(call) : reply(session, 0),
  'cluster|countkeysinslot': askOwner,
  'cluster|getkeysinslot': askOwner,
  'cluster|slot-stats': slotStats,
};

interface VirtualNode {
  readonly id: string;
  readonly port: number;
  readonly primary: boolean;
}

function virtualNodes(cache: TopologyCache): readonly [VirtualNode, VirtualNode] {
  return [
    { id: cache.virtualPrimaryId, port: cache.port, primary: true },
    { id: cache.virtualReaderId, port: cache.readerPort, primary: false },
  ];
}

/** The one that this client is connected to. */
function self(session: Session): VirtualNode {
  return virtualNodes(session.service.cache)[session.reader ? 1 : 0];
}

/** Of a virtual node in the engine's terms: a name is shown as cluster-announce-hostname with the endpoint type `hostname`. */
function addressOf(session: Session): { ip: string; hostname: string | null; endpoint: string } {
  const { announceHost } = session.service.cache;
  if (isIP(announceHost) !== 0) return { ip: announceHost, hostname: null, endpoint: announceHost };
  // The address that the name led this client to.
  const local = session.socket.localAddress ?? '';
  const ip = local.startsWith('::ffff:') ? local.slice(7) : local;
  return { ip, hostname: announceHost, endpoint: announceHost };
}

/** cluster.c, clusterCommandSlots: [first, last, [endpoint, port, id, metadata] ...]. */
function slots(session: Session): RespValue {
  const { ip, hostname, endpoint } = addressOf(session);
  const metadata = RespMap.of(hostname === null ? {} : { ip });
  const nodes = virtualNodes(session.service.cache).map((node): RespValue => [
    endpoint,
    node.port,
    node.id,
    metadata,
  ]);
  return [[0, SLOT_COUNT - 1, ...nodes]];
}

/** cluster_legacy.c, clusterCommandShards. `replication-offset` is 0: a virtual node has none of its own. */
function shards(session: Session): RespValue {
  const { cache } = session.service;
  const { ip, hostname, endpoint } = addressOf(session);
  const mode = cache.tls?.mode;
  const nodes = virtualNodes(cache).map((node) =>
    RespMap.of({
      id: node.id,
      ...(mode === 'required' ? {} : { port: node.port }),
      ...(mode === undefined ? {} : { 'tls-port': node.port }),
      ip,
      endpoint,
      ...(hostname === null ? {} : { hostname }),
      role: node.primary ? 'master' : 'replica',
      'replication-offset': 0,
      health: 'online',
    }),
  );
  return [
    RespMap.of({
      slots: [0, SLOT_COUNT - 1],
      nodes,
      ...(Number(cache.engineVersion) >= 9 ? { id: shardId(cache) } : {}),
    }),
  ];
}

/** cluster_legacy.c, clusterGenNodeDescription. The bus port is 0: there is no bus to talk to. */
function nodeLines(session: Session): string[] {
  const { cache } = session.service;
  const { ip, hostname } = addressOf(session);
  const own = self(session);
  return virtualNodes(cache).map((node) => {
    const address = `${ip}:${node.port}@0${hostname === null ? '' : `,${hostname}`}`;
    const flags = `${node.id === own.id ? 'myself,' : ''}${node.primary ? 'master' : 'slave'}`;
    const primary = node.primary ? '-' : cache.virtualPrimaryId;
    const pongAtMs = node.id === own.id ? 0 : Date.now();
    const range = node.primary ? ` 0-${SLOT_COUNT - 1}` : '';
    return `${node.id} ${address} ${flags} ${primary} 0 ${pongAtMs} ${EPOCH} connected${range}`;
  });
}

/** Configuration epoch of the virtual node: it never changes hands. */
const EPOCH = 1;

function clusterInfo(session: Session): string {
  return [...clusterInfoFields(session)].map(([name, value]) => `${name}:${value}\r\n`).join('');
}

/** cluster_legacy.c, genClusterInfoString; what is about the bus is 0. Also a section of INFO since 9.1. */
export function clusterInfoFields(session: Session): Map<string, string> {
  const { router, cache } = session.service;
  let owned = 0;
  for (const owner of router.owners) if (owner >= 0) owned++;
  const recent = Number(cache.engineVersion) >= 9;
  const fields: [string, string | number][] = [
    ['cluster_state', owned > 0 ? 'ok' : 'fail'],
    ['cluster_slots_assigned', SLOT_COUNT],
    ['cluster_slots_ok', owned],
    ['cluster_slots_pfail', 0],
    ['cluster_slots_fail', SLOT_COUNT - owned],
    ...(recent ? NODE_FAILURES.map((name): [string, number] => [name, 0]) : []),
    ['cluster_known_nodes', 2],
    ['cluster_size', 1],
    ['cluster_current_epoch', EPOCH],
    ['cluster_my_epoch', EPOCH],
    ['cluster_stats_messages_sent', 0],
    ['cluster_stats_messages_received', 0],
    ...(recent ? BUS_BYTES.map((name): [string, number] => [name, 0]) : []),
    ['total_cluster_links_buffer_limit_exceeded', 0],
  ];
  return new Map(fields.map(([name, value]) => [name, String(value)]));
}

/** Fields since 9.0. */
const NODE_FAILURES = [
  'cluster_nodes_pfail',
  'cluster_nodes_fail',
  'cluster_voting_nodes_pfail',
  'cluster_voting_nodes_fail',
];
const BUS_BYTES = ['', '_pubsub', '_module'].flatMap((kind) => [
  `cluster_stats${kind}_bytes_sent`,
  `cluster_stats${kind}_bytes_received`,
]);

/** The same for the cache's whole life, and another for each cache. */
function shardId(cache: TopologyCache): string {
  return createHash('sha1').update(`shard of ${cache.virtualPrimaryId}`).digest('hex');
}

function replicas(session: Session, call: Call): Buffer {
  const node = virtualNode(session, call);
  if (node === null) return unknownNode(call);
  if (!node.primary) return errorReply('ERR The specified node is not a master');
  return reply(session, [nodeLines(session)[1]!]);
}

function virtualNode(session: Session, call: Call): VirtualNode | null {
  const id = call.args[2]!.toString('latin1');
  return virtualNodes(session.service.cache).find((node) => node.id === id) ?? null;
}

function unknownNode(call: Call): Buffer {
  return errorReply(`ERR Unknown node ${call.args[2]!.toString('latin1')}`);
}

/** COUNTKEYSINSLOT, GETKEYSINSLOT: the slot's owner knows; any node can say what is wrong with a number that is none. */
function askOwner(session: Session, call: Call): null {
  const number = call.args[2]!.toString('latin1');
  const slot = /^\d{1,5}$/.test(number) && Number(number) < SLOT_COUNT ? Number(number) : NO_SLOT;
  session.forward(call.planned, call.bytes, 0, call.bytes.length, slot);
  return null;
}

/** SLOT-STATS of all shards in one list, ordered and cut as one node would (cluster_slot_stats.c). */
async function slotStats(session: Session, call: Call): Promise<Buffer> {
  const args = call.args.map((arg) => Buffer.from(arg));
  const answers = await askShards(session, args);
  const error = firstError(answers);
  if (error !== null) return reply(session, error);
  const bySlot = new Map<number, RespValue>();
  for (const entry of answers.flatMap((answer) => itemsOf(answer)))
    bySlot.set(Number(itemsOf(entry)[0]), entry);
  const entries = [...bySlot].sort(([a], [b]) => a - b).map(([, entry]): RespValue => entry);
  const words = args.map((arg) => arg.toString('latin1').toLowerCase());
  if (words[2] !== 'orderby') return reply(session, entries);
  const sign = words.includes('asc') ? 1 : -1;
  const limitAt = words.indexOf('limit');
  const limit = limitAt < 0 ? SLOT_COUNT : Number(words[limitAt + 1]);
  // A stable sort: equal ones stay in the order of their slots, as on a node.
  entries.sort((a, b) => sign * (metricOf(a, words[3]!) - metricOf(b, words[3]!)));
  return reply(session, entries.slice(0, limit));
}

function metricOf(entry: RespValue, metric: string): number {
  return Number(textOf(new Map(entriesOf(itemsOf(entry)[1])).get(metric)) ?? 0);
}

function text(value: string): RespValue {
  return new RespVerbatim('txt', value);
}

function reply(session: Session, value: RespValue): Buffer {
  return encodeReply(value, session.client.resp);
}
