/** Commands about the whole of the data or the server: RANDOMKEY, ROLE, MEMORY STATS, the running script. */
import {
  encodeReply,
  entriesOf,
  RespDouble,
  RespMap,
  textOf,
  type RespValue,
} from '../../protocol/resp-value.ts';
import { askOnce } from '../ask-once.ts';
import { parseInfo } from '../info-merge.ts';
import { laneHandshake } from '../routing/lane.ts';
import { CLUSTER_DOWN, OK_REPLY } from '../proxy-error.ts';
import type { Session } from '../session.ts';
import { queueable, type Call, type HandlerTable } from '../command-handler.ts';
import { shardSlots } from '../split.ts';
import { merged } from './shard-logs.ts';

export const keyspaceHandlers: HandlerTable = {
  randomkey: randomKey,
  role: queueable(role),
  'memory|stats': merged(memoryStats),
  'function|stats': merged(functionStats),
  'function|kill': killScript,
  'script|kill': killScript,
};

/** A key of a shard taken at random; of another when that one has none. */
async function randomKey(session: Session): Promise<Buffer> {
  const { router } = session.service;
  const slots = [...shardSlots(router.owners).values()];
  for (let i = slots.length - 1; i > 0; i--) {
    const j = Math.floor(Math.random() * (i + 1));
    [slots[i], slots[j]] = [slots[j]!, slots[i]!];
  }
  if (slots.length === 0) return CLUSTER_DOWN;
  for (const slot of slots) {
    const reply = await router.ask(['RANDOMKEY'], { lane: session.lane!, slot });
    if (reply !== null) return encodeReply(reply, session.client.resp);
  }
  return encodeReply(null, session.client.resp);
}

/** replication.c, roleCommand, of the virtual node: its replica is not one to count bytes of. */
async function role(session: Session): Promise<Buffer> {
  const { router, cache } = session.service;
  const infos = await Promise.all(
    router.primaries().map((node) => askOnce(router, node, ['INFO', 'replication'])),
  );
  const offset = infos
    .map((info) =>
      parseInfo(textOf(info ?? '') ?? '')
        .get('Replication')
        ?.get('master_repl_offset'),
    )
    .reduce((sum, each) => sum + Number(each ?? 0), 0);
  const value: RespValue = session.reader
    ? ['slave', cache.announceHost, cache.port, 'connected', offset]
    : ['master', offset, []];
  return encodeReply(value, session.client.resp);
}

/** The running script of the first shard that runs one; engines and libraries are the same everywhere. */
function functionStats(answers: readonly RespValue[]): RespValue {
  const first = new Map(entriesOf(answers[0]));
  const running = answers
    .map((answer) => new Map(entriesOf(answer)).get('running_script'))
    .find((each) => each !== null);
  return RespMap.of({
    running_script: running ?? null,
    engines: first.get('engines') ?? new RespMap([]),
  });
}

/**
 * SCRIPT KILL, FUNCTION KILL: whichever shard runs one. Over connections of their own: the shared ones wait for the very
 * script. Those of database 0: a busy node lets nobody SELECT.
 */
async function killScript(session: Session, call: Call): Promise<Buffer> {
  const { router } = session.service;
  const bytes = Buffer.from(call.bytes);
  const handshake = laneHandshake({
    ...session.lane!.kind,
    database: 0,
    readonly: false,
    noTouch: false,
    resp: 2,
  });
  const replies = await Promise.all(
    router.primaries().map(async (node) => {
      const upstream = router.connections.openPrivate(node, handshake);
      const reply = await router.askBytes(bytes, { fixed: upstream, repeatable: false });
      upstream.destroy();
      return reply.toString('latin1');
    }),
  );
  if (replies.includes(OK_REPLY.toString('latin1'))) return OK_REPLY;
  // UNKILLABLE says more than another shard's NOTBUSY.
  const telling = replies.find((reply) => !reply.startsWith('-NOTBUSY')) ?? replies[0];
  return telling === undefined ? CLUSTER_DOWN : Buffer.from(telling, 'latin1');
}

/** object.c, memoryCommand STATS: sizes added up, shares and ratios computed again. */
function memoryStats(answers: readonly RespValue[]): RespValue {
  if (answers.length === 1) return answers[0]!;
  const sum = addUp(answers);
  const number = (name: string) => Number(textOf(sum.get(name)) ?? 0);
  const set = (name: string, value: number) => {
    if (sum.has(name)) sum.set(name, new RespDouble(String(Number.isFinite(value) ? value : 0)));
  };
  const total = number('total.allocated');
  const net = total - number('startup.allocated');
  const resident = number('allocator.resident');
  const keys = number('keys.count');
  if (sum.has('keys.bytes-per-key'))
    sum.set('keys.bytes-per-key', keys === 0 ? 0 : Math.floor(net / keys));
  set('dataset.percentage', (number('dataset.bytes') * 100) / net);
  set('peak.percentage', (total * 100) / number('peak.allocated'));
  set('allocator-fragmentation.ratio', number('allocator.active') / number('allocator.allocated'));
  set('allocator-rss.ratio', resident / number('allocator.active'));
  set('rss-overhead.ratio', (resident + number('rss-overhead.bytes')) / resident);
  set('fragmentation', (total + number('fragmentation.bytes')) / total);
  return new RespMap([...sum]);
}

/** Numbers by name, summed; maps within (`db.0`) likewise. */
function addUp(maps: readonly RespValue[]): Map<string, RespValue> {
  const result = new Map<string, RespValue>();
  for (const [name, value] of maps.flatMap((map) => entriesOf(map))) {
    const known = result.get(name);
    if (known === undefined) result.set(name, value);
    else if (value instanceof RespMap) result.set(name, new RespMap([...addUp([known, value])]));
    else result.set(name, Number(textOf(known)) + Number(textOf(value)));
  }
  return result;
}
