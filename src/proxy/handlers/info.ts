/**
 * INFO of the cache as of one server: what its primaries say, put together (info-merge.ts), with what only the proxy knows
 * (clients, address, age) in place of the nodes' own. Asked as the client's user: the engine decides who may.
 */
import { createHash } from 'node:crypto';
import {
  encodeReply,
  RespError,
  RespVerbatim,
  textOf,
  type RespValue,
} from '../../protocol/resp-value.ts';
import {
  bytesToHuman,
  mergeInfo,
  parseInfo,
  renderInfo,
  type InfoFields,
  type InfoSections,
} from '../info-merge.ts';
import { NO_SLOT } from '../request.ts';
import type { Session } from '../session.ts';
import type { Call, HandlerTable } from '../session-commands.ts';
import { shardSlots } from '../split.ts';
import { clusterInfoFields } from './cluster.ts';

export const infoHandlers: HandlerTable = { info };

async function info(session: Session, call: Call): Promise<Buffer> {
  const { router, cache } = session.service;
  const args = call.args.map((arg) => Buffer.from(arg));
  const targets = cache.sharding ? [...shardSlots(router.owners).values()] : [NO_SLOT];
  const lane = session.lane!;
  const answers = await Promise.all(
    targets.length === 0
      ? [router.ask(args, { lane })]
      : targets.map((slot) => router.ask(args, { lane, slot })),
  );
  // A shard that cannot answer must not hide the others from who is looking at them.
  const texts = answers
    .map((answer) => (answer instanceof RespError ? null : textOf(answer)))
    .filter((each) => each !== null);
  if (texts.length === 0) return encodeReply(answers[0]!, session.client.resp);
  const sections = mergeInfo(texts.map(parseInfo));
  describeCache(session, sections);
  return encodeReply(new RespVerbatim('txt', renderInfo(sections)), session.client.resp);
}

/** Replaces what nodes say of themselves by what is true of the cache. */
function describeCache(session: Session, sections: InfoSections): void {
  const { cache } = session.service;
  const edit = (title: string, change: (fields: InfoFields) => void) => {
    const fields = sections.get(title);
    if (fields !== undefined) change(fields);
  };
  edit('Server', (fields) => server(session, fields));
  edit('Clients', (fields) => override(fields, clients(session)));
  edit('Stats', (fields) => {
    const { meter } = session.service.router;
    override(fields, {
      total_connections_received: meter.connectionsTotal,
      rejected_connections: meter.connectionsRefused,
    });
  });
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

/** The connections of this proxy; those of the nodes are the proxies' own. */
function clients(session: Session): Record<string, number> {
  const { service } = session;
  let [blocked, pubsub, watching, watchedKeys, inputMaximum, outputMaximum] = [0, 0, 0, 0, 0, 0];
  for (const each of service.sessions.values()) {
    const { client } = each;
    if (client.unblock !== null) blocked++;
    if ((client.subscriptions?.count ?? 0) > 0) pubsub++;
    if ((client.transaction?.watchedKeys ?? 0) > 0) watching++;
    watchedKeys += client.transaction?.watchedKeys ?? 0;
    inputMaximum = Math.max(inputMaximum, each.inputBytes);
    outputMaximum = Math.max(outputMaximum, each.outputBytes);
  }
  return {
    connected_clients: service.router.meter.connections,
    cluster_connections: 0,
    maxclients: service.cache.limits.connectionsMaximum,
    client_recent_max_input_buffer: inputMaximum,
    client_recent_max_output_buffer: outputMaximum,
    blocked_clients: blocked,
    pubsub_clients: pubsub,
    watching_clients: watching,
    clients_in_timeout_table: 0,
    total_watched_keys: watchedKeys,
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

/** For ROLE: the sum of the primaries' offsets. */
export async function replicationOffset(session: Session): Promise<number> {
  const { router, cache } = session.service;
  const targets = cache.sharding ? [...shardSlots(router.owners).values()] : [NO_SLOT];
  const answers = await Promise.all(
    targets.map((slot): Promise<RespValue> => router.ask(['INFO', 'replication'], { slot })),
  );
  return answers
    .map((answer) =>
      parseInfo(answer instanceof RespError ? '' : (textOf(answer) ?? '')).get('Replication'),
    )
    .reduce((total, fields) => total + Number(fields?.get('master_repl_offset') ?? 0), 0);
}
