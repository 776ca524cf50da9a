/**
 * INFO of the cache as of one server: what its primaries say, put together (info-merge.ts), with what only the proxy knows
 * (clients, address, age) in place of the nodes' own. On the reader port the work that is counted is the replicas'. Asked as the client's user: the engine decides who may.
 */
import { createHash } from 'node:crypto';
import { encodeReply, RespVerbatim, textOf } from '../../protocol/resp-value.ts';
import { askOnce } from '../ask-once.ts';
import { askShards, questionLane } from '../ask-shards.ts';
import { countAllClients, type ClientCounts } from '../client-registry.ts';
import {
  bytesToHuman,
  mergeInfo,
  parseInfo,
  renderInfo,
  type InfoFields,
  type InfoSections,
} from '../info-merge.ts';
import type { Session } from '../session.ts';
import { queueable, type Call, type HandlerTable } from '../command-handler.ts';
import { clusterInfoFields } from './cluster.ts';

export const infoHandlers: HandlerTable = { info: queueable(info) };

async function info(session: Session, call: Call): Promise<Buffer> {
  const args = call.args.map((arg) => Buffer.from(arg));
  const [answers, readers] = await Promise.all([
    askShards(session, args),
    session.reader ? askReaders(session, args) : [],
  ]);
  // A shard that cannot answer must not hide the others from who is looking at them.
  const texts = answers.map((answer) => textOf(answer)).filter((each) => each !== null);
  if (texts.length === 0) return encodeReply(answers[0]!, session.client.resp);
  const sections = mergeInfo(texts.map(parseInfo));
  if (readers.length > 0) {
    const work = mergeInfo(readers.map(parseInfo));
    for (const title of WORK_SECTIONS)
      if (sections.has(title)) sections.set(title, work.get(title) ?? new Map());
  }
  describeCache(session, sections, await countAllClients(session.service));
  return encodeReply(new RespVerbatim('txt', renderInfo(sections)), session.client.resp);
}

/** What was done, and by whom: on the reader port that is the replicas, who serve it, while the data is the shards'. */
const WORK_SECTIONS = ['Stats', 'CPU', 'Commandstats', 'Errorstats', 'Latencystats'] as const;

/** INFO of all who serve the reader port: the replicas, and the primaries that have none; those that answer. */
async function askReaders(session: Session, args: readonly Uint8Array[]): Promise<string[]> {
  const { router } = session.service;
  if (router.replicas().length === 0) return [];
  const followed = new Set(router.replicas().map((node) => router.nodes[node]!.primaryIndex));
  const alone = router.primaries().filter((node) => !followed.has(node));
  const lane = questionLane(session);
  const answers = await Promise.all(
    [...router.replicas(), ...alone].map((node) => askOnce(router, node, args, lane)),
  );
  return answers.map((answer) => textOf(answer)).filter((text) => text !== null);
}

/** Replaces what nodes say of themselves by what is true of the cache. */
function describeCache(session: Session, sections: InfoSections, counts: ClientCounts): void {
  const { cache } = session.service;
  const edit = (title: string, change: (fields: InfoFields) => void) => {
    const fields = sections.get(title);
    if (fields !== undefined) change(fields);
  };
  edit('Server', (fields) => server(session, fields));
  edit('Clients', (fields) => override(fields, clients(session, counts)));
  edit('Stats', (fields) =>
    override(fields, {
      total_connections_received: counts.received,
      rejected_connections: counts.rejected,
    }),
  );
  edit('Memory', (fields) => {
    const limit = cache.limits.memoryMaximumBytes;
    if (limit > 0) override(fields, { maxmemory: limit, maxmemory_human: bytesToHuman(limit) });
  });
  edit('Replication', (fields) => sections.set('Replication', replication(session, fields)));
  if (sections.has('Cluster Info')) sections.set('Cluster Info', clusterInfoFields(session));
}

function server(session: Session, fields: InfoFields): void {
  const { cache } = session.service;
  const uptimeSeconds = Math.max(0, Math.floor((Date.now() - cache.createdAtMs) / 1000));
  override(fields, {
    process_id: process.pid,
    run_id: cache.virtualPrimaryId,
    tcp_port: session.reader ? cache.readerPort : cache.port,
    server_time_usec: Date.now() * 1000,
    uptime_in_seconds: uptimeSeconds,
    uptime_in_days: Math.floor(uptimeSeconds / 86_400),
    executable: '',
    config_file: '',
  });
  for (const name of fields.keys()) if (name.startsWith('listener')) fields.delete(name);
  fields.set(
    'listener0',
    `name=tcp,bind=${cache.bind},port=${session.reader ? cache.readerPort : cache.port}`,
  );
}

/** The connections of the proxies; those of the nodes are the proxies' own. */
function clients(session: Session, counts: ClientCounts): Record<string, number> {
  return {
    connected_clients: counts.connected,
    cluster_connections: 0,
    maxclients: session.service.cache.limits.connectionsMaximum,
    client_recent_max_input_buffer: counts.inputMaximum,
    client_recent_max_output_buffer: counts.outputMaximum,
    blocked_clients: counts.blocked,
    tracking_clients: counts.tracking,
    pubsub_clients: counts.pubsub,
    watching_clients: counts.watching,
    clients_in_timeout_table: 0,
    total_watched_keys: counts.watchedKeys,
  };
}

/** One primary with one replica, as CLUSTER SLOTS says; the offset is the sum of the shards'. */
function replication(session: Session, fields: InfoFields): InfoFields {
  const { cache } = session.service;
  const offset = fields.get('master_repl_offset') ?? '0';
  const kept = [...fields].filter(
    ([name]) => !/^(slave\d+|role|connected_slaves|master_host|master_port)$/.test(name),
  );
  const type = Number(cache.engineVersion) >= 9 ? ',type=replica' : '';
  const head: [string, string][] = session.reader
    ? [
        ['role', 'slave'],
        ['master_host', cache.announceHost],
        ['master_port', String(cache.port)],
        ['master_link_status', 'up'],
        ['master_last_io_seconds_ago', '0'],
        ['master_sync_in_progress', '0'],
        ['slave_read_repl_offset', offset],
        ['slave_repl_offset', offset],
        ['slave_priority', '100'],
        ['slave_read_only', '1'],
        ['replica_announced', '1'],
        ['connected_slaves', '0'],
      ]
    : [
        ['role', 'master'],
        ['connected_slaves', '1'],
        [
          'slave0',
          `ip=${cache.announceHost},port=${cache.readerPort},state=online,offset=${offset},lag=0${type}`,
        ],
      ];
  const merged: InfoFields = new Map([...head, ...kept]);
  override(merged, {
    master_replid: createHash('sha1').update(`history of ${cache.virtualPrimaryId}`).digest('hex'),
    master_replid2: '0'.repeat(40),
    second_repl_offset: -1,
  });
  return merged;
}

/** Sets fields that are there; what the engine's version does not have stays away. */
function override(fields: InfoFields, values: Record<string, string | number>): void {
  for (const [name, value] of Object.entries(values))
    if (fields.has(name)) fields.set(name, String(value));
}
