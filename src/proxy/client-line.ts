/**
 * A session as `CLIENT LIST` shows a connection (networking.c, catClientInfoString), and the filters of CLIENT LIST and
 * CLIENT KILL (parseClientFiltersOrReply). What a proxy does not keep is 0, the file descriptor -1.
 */
import { isIPv6 } from 'node:net';
import type { Session } from './session.ts';

/** What filters look at and a line shows. */
export interface ClientView {
  readonly id: number;
  readonly addr: string;
  readonly laddr: string;
  readonly ip: string;
  readonly name: string;
  readonly ageSeconds: number;
  readonly idleSeconds: number;
  readonly flags: string;
  /** CLIENT CAPA: letters. */
  readonly capa: string;
  readonly database: number;
  readonly user: string;
  readonly libName: string;
  readonly libVersion: string;
  readonly type: ClientType;
}

export type ClientType = 'normal' | 'pubsub' | 'replica' | 'primary';

export function viewClient(session: Session): ClientView {
  const { client, socket } = session;
  const idleUs = session.lastCommandUs === 0 ? 0 : performance.now() * 1000 - session.lastCommandUs;
  return {
    id: session.id,
    addr: `${hostOf(socket.remoteAddress)}:${socket.remotePort ?? 0}`,
    laddr: `${hostOf(socket.localAddress)}:${socket.localPort ?? 0}`,
    ip: hostOf(socket.remoteAddress).replaceAll(/[[\]]/g, ''),
    name: client.name,
    ageSeconds: Math.floor((Date.now() - session.createdAtMs) / 1000),
    idleSeconds: Math.max(0, Math.floor(idleUs / 1e6)),
    flags: flagsOf(session),
    capa: client.redirect ? 'r' : '',
    database: client.database,
    user: client.user,
    libName: client.libName,
    libVersion: client.libVersion,
    type: (client.subscriptions?.count ?? 0) > 0 ? 'pubsub' : 'normal',
  };
}

/** One line, without its line break. `version`: of the engine, which decides about the newer fields. */
export function clientLine(session: Session, version: string): string {
  const view = viewClient(session);
  const { client } = session;
  const { transaction, subscriptions } = client;
  const output = session.output.sizeBytes;
  const fields: [string, string | number][] = [
    ['id', view.id],
    ['addr', view.addr],
    ['laddr', view.laddr],
    ['fd', -1],
    ['name', view.name],
    ['age', view.ageSeconds],
    ['idle', view.idleSeconds],
    ['flags', view.flags],
    ...(Number.parseFloat(version) >= 8.1 ? [['capa', view.capa] satisfies [string, string]] : []),
    ['db', view.database],
    ['sub', subscriptions?.channels.size ?? 0],
    ['psub', subscriptions?.patterns.size ?? 0],
    ['ssub', subscriptions?.shardChannels.size ?? 0],
    ['multi', transaction?.open === true ? transaction.queued.length : -1],
    ['watch', transaction?.watched.size ?? 0],
    ['qbuf', session.input.sizeBytes],
    ['qbuf-free', 0],
    ['argv-mem', 0],
    ['multi-mem', transaction?.queued.sizeBytes ?? 0],
    ['rbs', 0],
    ['rbp', 0],
    ['obl', 0],
    ['oll', 0],
    ['omem', output],
    ['tot-mem', session.input.sizeBytes + output],
    ['events', 'r'],
    ['cmd', session.lastCommand?.command.name ?? 'NULL'],
    ['user', view.user],
    ['redir', client.tracking?.options.redirect ?? -1],
    ['resp', client.resp],
    ['lib-name', view.libName],
    ['lib-ver', view.libVersion],
    ['tot-net-in', session.socket.bytesRead],
    ['tot-net-out', session.socket.bytesWritten],
    ['tot-cmds', session.commands],
  ];
  return fields.map(([name, value]) => `${name}=${value}`).join(' ');
}

/** In the engine's order of letters; N for none. */
function flagsOf(session: Session): string {
  const { client } = session;
  const flags = [
    client.monitor === null ? '' : 'O',
    (client.subscriptions?.count ?? 0) > 0 ? 'P' : '',
    client.transaction?.open === true ? 'x' : '',
    client.unblock === null ? '' : 'b',
    client.tracking === null ? '' : 't',
    client.tracking?.redirectBroken === true ? 'R' : '',
    client.tracking?.options.bcast === true ? 'B' : '',
    client.readonly ? 'r' : '',
    client.noEvict ? 'e' : '',
    client.noTouch ? 'T' : '',
  ].join('');
  return flags === '' ? 'N' : flags;
}

function hostOf(address: string | undefined): string {
  const host = address?.startsWith('::ffff:') ? address.slice(7) : (address ?? '');
  return isIPv6(host) ? `[${host}]` : host;
}

export type ClientFilter = (view: ClientView) => boolean;

/** What the words of CLIENT LIST or KILL ask for. SKIPME is the caller's: it knows who asks. */
export interface ParsedFilters {
  readonly filters: readonly ClientFilter[];
}

export interface FilterSurroundings {
  readonly databases: number;
  readonly hasUser: (name: string) => boolean;
}

const TYPES: Readonly<Record<string, ClientType>> = {
  normal: 'normal', pubsub: 'pubsub', replica: 'replica', slave: 'replica', primary: 'primary', master: 'primary',
}; // prettier-ignore
const FLAGS = 'AbBcdeIKmMNOPRrSTtuUx';
const SYNTAX = 'ERR syntax error';

/** Parses filters as the engine's 9.1 does, whatever the cache's version: newer filters only add. */
export function parseClientFilters(
  words: readonly string[],
  around: FilterSurroundings,
): ParsedFilters | string {
  const filters: ClientFilter[] = [];
  for (let i = 0; i < words.length;) {
    const option = words[i]!.toLowerCase();
    const value = words[i + 1];
    if (value === undefined) return SYNTAX;
    if (option === 'skipme') {
      if (!/^(yes|no)$/i.test(value)) return SYNTAX;
      i += 2;
      continue;
    }
    const negated = option.startsWith('not-');
    const name = negated ? option.slice(4) : option;
    if (name === 'id') {
      const ids = new Set<number>();
      let at = i + 1;
      // A list of ids goes on until the next option.
      for (; at < words.length && (at === i + 1 || /^-?\d+$/.test(words[at]!)); at++) {
        if (!/^-?\d+$/.test(words[at]!)) return SYNTAX;
        if (Number(words[at]) < 1) return 'ERR client-id should be greater than 0';
        ids.add(Number(words[at]));
      }
      filters.push((view) => ids.has(view.id) !== negated);
      i = at;
      continue;
    }
    if (negated && (name === 'maxage' || name === 'idle')) return SYNTAX;
    const filter = parseFilter(name, value, around);
    if (typeof filter === 'string') return filter;
    filters.push(negated ? (view) => !filter(view) : filter);
    i += 2;
  }
  return { filters };
}

function parseFilter(
  name: string,
  value: string,
  around: FilterSurroundings,
): ClientFilter | string {
  switch (name) {
    case 'type': {
      const type = TYPES[value.toLowerCase()];
      return type === undefined
        ? `ERR Unknown client type '${value}'`
        : (view) => view.type === type;
    }
    case 'addr':
      return (view) => view.addr === value;
    case 'laddr':
      return (view) => view.laddr === value;
    case 'ip':
      return (view) => view.ip === value;
    case 'user':
      return around.hasUser(value) ? (view) => view.user === value : `ERR No such user '${value}'`;
    case 'name':
      return (view) => view.name === value && value !== '';
    case 'lib-name':
      return (view) => view.libName === value && value !== '';
    case 'lib-ver':
      return (view) => view.libVersion === value && value !== '';
    case 'flags': {
      const unknown = [...value].filter((flag) => !FLAGS.includes(flag)).join('');
      if (unknown !== '') return `ERR Unknown flags found in the provided filter: ${unknown}`;
      return (view) => [...value].every((flag) => view.flags.includes(flag));
    }
    case 'capa': {
      const unknown = [...value].filter((flag) => flag !== 'r').join('');
      if (unknown !== '') return `ERR Unknown capa found in the provided filter: ${unknown}`;
      return (view) => [...value].every((flag) => view.capa.includes(flag));
    }
    case 'db': {
      if (!isInteger(value)) return 'ERR DB is not an integer or out of range';
      const database = Number(value);
      if (database < 0 || database >= around.databases) {
        return `ERR DB number should be between 0 and ${around.databases - 1}`;
      }
      return (view) => view.database === database;
    }
    case 'maxage':
    case 'idle': {
      if (!isInteger(value)) return `ERR ${name} is not an integer or out of range`;
      const seconds = Number(value);
      if (seconds < 1) return `ERR ${name} should be greater than 0`;
      return name === 'idle'
        ? (view) => view.idleSeconds >= seconds
        : (view) => view.ageSeconds >= seconds;
    }
    default:
      return SYNTAX;
  }
}

function isInteger(text: string): boolean {
  return /^-?\d{1,18}$/.test(text);
}
