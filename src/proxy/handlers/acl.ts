/**
 * What a user may see of users and settings. Nodes know every user by an internal password, and a user of the proxies' own;
 * a client sees the cache's users with the passwords that it would log in with. Nodes are asked as the client's user, so
 * that the engine decides who may look.
 */
import type { TopologyCache } from '../../model/topology.ts';
import type { CacheUser } from '../../model/user.ts';
import {
  encodeReply,
  entriesOf,
  itemsOf,
  RespError,
  RespMap,
  RespSet,
  textOf,
  type RespValue,
} from '../../protocol/resp-value.ts';
import { askShards, questionLane } from '../ask-shards.ts';
import type { Session } from '../session.ts';
import { queueable, type Call, type HandlerTable } from '../command-handler.ts';
import { firstError } from '../split.ts';

export const aclHandlers: HandlerTable = {
  'acl|list': queueable((session, call) =>
    viaNode(session, call, (value) => listLines(session.service.cache, value)),
  ),
  'acl|users': queueable((session, call) =>
    viaNode(session, call, (value) =>
      itemsOf(value).filter((name) => userOf(session.service.cache, name) !== null),
    ),
  ),
  'acl|getuser': queueable((session, call) => {
    const user = userOf(session.service.cache, call.args[2]!);
    return viaNode(session, call, (value) =>
      user === null || value === null ? null : describe(user, value),
    );
  }),
  'config|get': queueable(configGet),
};

/** One node's answer, as the client's user, decoded from RESP3 and shown in the client's version. */
async function viaNode(
  session: Session,
  call: Call,
  show: (value: RespValue) => RespValue,
): Promise<Buffer> {
  const { router } = session.service;
  const lane = questionLane(session);
  const value = await router.ask(
    call.args.map((arg) => Buffer.from(arg)),
    { lane },
  );
  return encodeReply(value instanceof RespError ? value : show(value), session.client.resp);
}

function userOf(cache: TopologyCache, name: RespValue): CacheUser | null {
  const text = textOf(name);
  return cache.users.find((user) => user.name === text) ?? null;
}

/** `user NAME on|off [nopass] #hash ... rules`. Users that are not the cache's are left out. */
function listLines(cache: TopologyCache, value: RespValue): RespValue {
  const lines: string[] = [];
  for (const line of itemsOf(value)) {
    const [, name, ...words] = textOf(line)!.split(' ');
    const user = userOf(cache, name!);
    if (user === null) continue;
    const rules = words.filter((word) => !LOGIN_WORDS.has(word) && !word.startsWith('#'));
    const hashes = user.passwordHashes.map((hash) => `#${hash}`);
    lines.push(['user', user.name, ...loginFlags(user), ...hashes, ...rules].join(' '));
  }
  return lines;
}

const LOGIN_WORDS: ReadonlySet<string> = new Set(['on', 'off', 'nopass']);

function loginFlags(user: CacheUser): string[] {
  return [user.enabled ? 'on' : 'off', ...(user.nopass ? ['nopass'] : [])];
}

function describe(user: CacheUser, value: RespValue): RespValue {
  const fields = entriesOf(value).map(([name, field]): [RespValue, RespValue] => {
    if (name === 'passwords') return [name, [...user.passwordHashes]];
    if (name !== 'flags') return [name, field];
    const others = itemsOf(field).filter((flag) => !LOGIN_WORDS.has(textOf(flag)!));
    return [name, new RespSet([...loginFlags(user), ...others])];
  });
  return new RespMap(fields);
}

/** Secrets, and where and how the nodes lie on their machines: of no use to a client. */
const HIDDEN_SETTINGS =
  /^(requirepass|(master|primary)(auth|user)|aclfile|dir|dbfilename|append(dirname|filename)|logfile|pidfile|unixsocket.*|hash-seed|(replica|slave)-announce-.*|cluster-(config-file|port|announce-.*)|bind-source-addr|tls-.*(file|pass|dir|ciphers|ciphersuites)|syslog-ident|availability-zone|rdma-.*|.*cpulist)$/;

/** CONFIG GET: the nodes' settings are alike; what belongs to the cache is the cache's. */
async function configGet(session: Session, call: Call): Promise<Buffer> {
  const answers = await askShards(
    session,
    call.args.map((arg) => Buffer.from(arg)),
  );
  const error = firstError(answers);
  if (error !== null) return encodeReply(error, session.client.resp);
  const { cache } = session.service;
  const own = ownSettings(session, cache);
  const pairs: [RespValue, RespValue][] = [];
  for (const [name, value] of entriesOf(answers[0])) {
    if (HIDDEN_SETTINGS.test(name)) continue;
    if (name === 'maxmemory') {
      const sum = answers.reduce<number>(
        (total, answer) => total + Number(textOf(new Map(entriesOf(answer)).get(name))),
        0,
      );
      pairs.push([
        name,
        String(cache.limits.memoryMaximumBytes > 0 ? cache.limits.memoryMaximumBytes : sum),
      ]);
    } else {
      pairs.push([name, own[name] ?? value]);
    }
  }
  return encodeReply(new RespMap(pairs), session.client.resp);
}

function ownSettings(session: Session, cache: TopologyCache): Readonly<Record<string, string>> {
  const { limits } = cache;
  const port = String(session.reader ? cache.readerPort : cache.port);
  // As ROLE says.
  const primary = session.reader ? `${cache.announceHost} ${cache.port}` : '';
  const pubsub = [
    limits.pubsubOutputHardBytes,
    limits.pubsubOutputSoftBytes,
    limits.pubsubOutputSoftSeconds,
  ].join(' ');
  return {
    port: cache.tls?.mode === 'required' ? '0' : port,
    'tls-port': cache.tls === null ? '0' : port,
    bind: cache.bind,
    replicaof: primary,
    slaveof: primary,
    maxclients: String(limits.connectionsMaximum),
    databases: String(cache.databases),
    'proto-max-bulk-len': String(limits.bulkMaximumBytes),
    'client-query-buffer-limit': String(limits.requestMaximumBytes),
    'client-output-buffer-limit': `normal ${limits.outputMaximumBytes} 0 0 slave 0 0 0 pubsub ${pubsub}`,
  };
}
