/** The connection's own commands: HELLO, AUTH, SELECT, RESET, PING, QUIT ... */
import { encodeReply, RespMap, type RespValue } from '../../protocol/resp-value.ts';
import { newClientState } from '../client-state.ts';
import { WRONG_PASSWORD } from '../login.ts';
import { errorReply, OK_REPLY, PONG_REPLY, RESET_REPLY } from '../proxy-error.ts';
import type { Session } from '../session.ts';
import { queueable, type Call, type HandlerTable } from '../command-handler.ts';
import { endTransaction } from '../transaction.ts';

export const connectionHandlers: HandlerTable = {
  ping: queueable(ping),
  echo: (_session, call) => encodeReply(call.args[1]!, 2),
  // Drained: what follows goes over other connections, and must not overtake what was sent before.
  select: { run: select, drained: true },
  hello: { run: hello, drained: true },
  auth: { run: auth, drained: true },
  reset: { run: reset, drained: true, unqueued: true },
  quit: { run: quit, unqueued: true },
  readonly: queueable((session) => {
    session.client.readonly = true;
    return OK_REPLY;
  }),
  readwrite: queueable((session) => {
    session.client.readonly = false;
    return OK_REPLY;
  }),
  asking: queueable((session) => (session.service.cache.sharding ? OK_REPLY : CLUSTER_OFF)),
};

const CLUSTER_OFF = errorReply('ERR This instance has cluster support disabled');

function ping(session: Session, call: Call): Buffer {
  if (call.args.length > 2) return errorReply("ERR wrong number of arguments for 'ping' command");
  const { client } = session;
  if (client.resp === 2 && client.subscriptions !== null && client.subscriptions.count > 0) {
    return encodeReply(['pong', call.args[1] ?? ''], 2);
  }
  return call.args.length === 1 ? PONG_REPLY : encodeReply(call.args[1]!, 2);
}

function select(session: Session, call: Call): Buffer {
  const text = call.args[1]!.toString('latin1');
  if (!/^-?\d{1,18}$/.test(text)) return errorReply('ERR value is not an integer or out of range');
  const database = Number(text);
  const { cache } = session.service;
  if (database < 0 || database >= databasesOf(session))
    return errorReply('ERR DB index is out of range');
  if (cache.sharding && database !== 0 && databasesOf(session) === 1) {
    return errorReply('ERR SELECT is not allowed in cluster mode');
  }
  session.service.login.selectDatabase(session, database);
  return OK_REPLY;
}

/** Databases of this cache: before 9.0 a cluster has one. */
function databasesOf(session: Session): number {
  const { cache } = session.service;
  return cache.sharding && Number(cache.engineVersion) < 9 ? 1 : cache.databases;
}

async function auth(session: Session, call: Call): Promise<Buffer> {
  const { login } = session.service;
  if (call.args.length > 3) return errorReply('ERR syntax error');
  if (call.args.length === 2 && !login.defaultUserNeedsPassword()) {
    return errorReply(
      'ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?',
    );
  }
  const name = call.args.length === 3 ? call.args[1]!.toString() : 'default';
  const password = Buffer.from(call.args.at(-1)!);
  return (await login.authenticate(session, name, password)) ? OK_REPLY : WRONG_PASSWORD;
}

/** HELLO [protover [AUTH user password] [SETNAME name]] (networking.c, helloCommand). */
async function hello(session: Session, call: Call): Promise<Buffer> {
  const { client, service } = session;
  const args = call.args;
  let resp = client.resp;
  if (args.length > 1) {
    const version = args[1]!.toString('latin1');
    if (!/^-?\d{1,18}$/.test(version))
      return errorReply('ERR Protocol version is not an integer or out of range');
    if (version !== '2' && version !== '3')
      return errorReply('NOPROTO unsupported protocol version');
    resp = version === '3' ? 3 : 2;
  }
  let credentials: [string, Buffer] | null = null;
  let name: string | null = null;
  for (let i = 2; i < args.length; i++) {
    const option = args[i]!.toString('latin1').toLowerCase();
    if (option === 'auth' && i + 2 < args.length) {
      credentials = [args[i + 1]!.toString(), Buffer.from(args[i + 2]!)];
      i += 2;
    } else if (option === 'setname' && i + 1 < args.length) {
      name = args[i + 1]!.toString();
      if (!isClientName(name)) return errorReply(BAD_NAME);
      i++;
    } else {
      return errorReply(
        `ERR Syntax error in HELLO option '${args[i]!.toString('latin1')}'`,
        'latin1',
      );
    }
  }
  if (credentials !== null && !(await service.login.authenticate(session, ...credentials)))
    return WRONG_PASSWORD;
  if (!session.authenticated) {
    return errorReply(
      'NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH <user> <pass> option can be used to authenticate the client and select the RESP protocol version at the same time',
    );
  }
  if (name !== null) client.name = name;
  client.resp = resp;
  service.login.takeLane(session);
  return encodeReply(helloReply(session), resp);
}

function helloReply(session: Session): RespValue {
  const { cache } = session.service;
  return RespMap.of({
    server: 'valkey',
    version: session.service.engineVersion,
    proto: session.client.resp,
    id: session.id,
    mode: cache.sharding ? 'cluster' : 'standalone',
    role: session.reader ? 'replica' : 'master',
    modules: [],
  });
}

/** Printable characters without spaces (networking.c, validateClientAttr). */
export function isClientName(name: string): boolean {
  return /^[!-~]*$/.test(name);
}

export const BAD_NAME = 'ERR Client names cannot contain spaces, newlines or special characters.';

/** Back to how a connection begins (networking.c, resetCommand). */
function reset(session: Session): Buffer {
  endTransaction(session);
  const { service } = session;
  session.client.monitor?.close();
  session.client.tracking?.close();
  service.hub.leave(session);
  // The library behind the connection and what it can do stay as they are.
  const { libName, libVersion, redirect } = session.client;
  Object.assign(session.client, newClientState(), { libName, libVersion, redirect });
  session.authenticated = false;
  service.login.begin(session);
  return RESET_REPLY;
}

function quit(session: Session): null {
  session.reply(OK_REPLY);
  session.end.closeAfterReplies();
  return null;
}
