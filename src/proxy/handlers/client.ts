/**
 * CLIENT: what a client says about its own connection, and the list of the connections. They are the proxy's sessions; the
 * connections to the nodes are nobody's business here.
 */
import { encodeReply, RespVerbatim, type RespValue } from '../../protocol/resp-value.ts';
import { clientLine } from '../client-line.ts';
import {
  killAtPeers,
  linesOf,
  peerLines,
  selectClients,
  unblockAtPeers,
  unblockClient,
  type ClientSelection,
} from '../client-registry.ts';
import { errorReply, OK_REPLY, SYNTAX_ERROR } from '../proxy-error.ts';
import type { Session } from '../session.ts';
import { queueable, type Call, type HandlerEntry, type HandlerTable } from '../command-handler.ts';
import { BAD_NAME, isClientName } from './connection.ts';

export const clientHandlers: HandlerTable = {
  'client|id': queueable((session) => reply(session, session.id)),
  'client|info': queueable((session) =>
    reply(session, text(`${clientLine(session, session.service.engineVersion)}\n`)),
  ),
  'client|list': queueable(list),
  'client|kill': queueable(kill),
  'client|setname': queueable(setName),
  'client|getname': queueable((session) =>
    reply(session, session.client.name === '' ? null : session.client.name),
  ),
  'client|setinfo': queueable(setInfo),
  'client|no-evict': queueable(
    onOff((session, on) => {
      session.client.noEvict = on;
      session.memory.note();
    }),
  ),
  'client|no-touch': {
    // What follows goes over other connections.
    drained: true,
    run: onOff((session, on) => {
      session.client.noTouch = on;
      session.service.login.takeLane(session);
    }),
  },
  'client|reply': replyMode(),
  'client|unblock': queueable(unblock),
  'client|capa': queueable((session, call) => {
    // Unknown capabilities are ignored, as the engine does: they are newer than it.
    if (
      words(call)
        .slice(2)
        .some((word) => word.toLowerCase() === 'redirect')
    )
      session.client.redirect = true;
    return OK_REPLY;
  }),
  // No node of a cache is ever in import mode: slots move by the control plane.
  'client|import-source': queueable(() => errorReply('ERR Server is not in import mode')),
};

async function list(session: Session, call: Call): Promise<Buffer> {
  const { service } = session;
  const rest = words(call).slice(2);
  const skip = skipsMe(rest) === true ? session : null;
  const chosen = selectClients(service, { words: rest }, skip);
  if (typeof chosen === 'string') return errorReply(chosen);
  const lines = [...linesOf(service, chosen), ...(await peerLines(service, { words: rest }))];
  lines.sort(([a], [b]) => a - b);
  return reply(session, text(lines.map(([, line]) => `${line}\n`).join('')));
}

/** `CLIENT KILL addr` answers OK or an error, `CLIENT KILL filter ...` the number of those that went. */
async function kill(session: Session, call: Call): Promise<Buffer> {
  const { service } = session;
  const [, , ...rest] = words(call);
  const old = rest.length === 1;
  const what: ClientSelection = old ? { address: rest[0]! } : { words: rest };
  const skip = old || skipsMe(rest) === false ? null : session;
  const victims = selectClients(service, what, skip);
  if (typeof victims === 'string') return errorReply(victims);
  for (const victim of victims) if (victim !== session) victim.destroy();
  const killed = victims.length + (await killAtPeers(service, what));
  if (old && killed === 0) return errorReply('ERR No such client');
  // Oneself: the reply first (networking.c, CLIENT_CLOSE_AFTER_REPLY).
  if (victims.includes(session)) session.end.closeAfterReplies();
  return old ? OK_REPLY : reply(session, killed);
}

/** What SKIPME says; null where it is not said: LIST shows oneself then, KILL spares oneself. */
function skipsMe(rest: readonly string[]): boolean | null {
  const at = rest.findLastIndex((word, i) => i % 2 === 0 && word.toLowerCase() === 'skipme');
  return at < 0 ? null : rest[at + 1]?.toLowerCase() === 'yes';
}

function setName(session: Session, call: Call): Buffer {
  const name = call.args[2]!.toString();
  if (!isClientName(name)) return errorReply(BAD_NAME);
  session.client.name = name;
  return OK_REPLY;
}

/** networking.c, clientSetinfoCommand. */
function setInfo(session: Session, call: Call): Buffer {
  const [, , option, value] = words(call);
  const name = option!.toLowerCase();
  if (name !== 'lib-name' && name !== 'lib-ver')
    return errorReply(`ERR Unrecognized option '${option}'`);
  if (!isClientName(value!)) {
    return errorReply(`ERR ${option} cannot contain spaces, newlines or special characters.`);
  }
  if (name === 'lib-name') session.client.libName = value!;
  else session.client.libVersion = value!;
  return OK_REPLY;
}

function onOff(set: (session: Session, on: boolean) => void) {
  return (session: Session, call: Call): Buffer => {
    const word = words(call)[2]!.toLowerCase();
    if (word !== 'on' && word !== 'off') return SYNTAX_ERROR;
    set(session, word === 'on');
    return OK_REPLY;
  };
}

/** OFF: nothing is answered any more; SKIP: the next command is not; ON: everything is again, this command first. */
function replyMode(): HandlerEntry {
  return {
    run: (session, call) => {
      const { client } = session;
      switch (words(call)[2]!.toLowerCase()) {
        case 'on':
          client.replyOff = false;
          client.muted = false;
          return OK_REPLY;
        case 'off':
          client.replyOff = true;
          client.muted = true;
          return OK_REPLY;
        case 'skip':
          if (!client.replyOff) client.skipNext = true;
          client.muted = true;
          return OK_REPLY;
        default:
          return SYNTAX_ERROR;
      }
    },
  };
}

async function unblock(session: Session, call: Call): Promise<Buffer> {
  const [, , id, how] = words(call);
  const mode = how?.toLowerCase() ?? 'timeout';
  if (call.args.length > 4) return SYNTAX_ERROR;
  if (mode !== 'timeout' && mode !== 'error') {
    return errorReply('ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR');
  }
  if (!/^-?\d{1,18}$/.test(id!)) return errorReply('ERR value is not an integer or out of range');
  const { service } = session;
  const withError = mode === 'error';
  const done =
    unblockClient(service, Number(id), withError) ||
    (await unblockAtPeers(service, Number(id), withError));
  return reply(session, done ? 1 : 0);
}

function words(call: Call): string[] {
  return call.args.map((arg) => arg.toString());
}

function text(value: string): RespValue {
  return new RespVerbatim('txt', value);
}

function reply(session: Session, value: RespValue): Buffer {
  return encodeReply(value, session.client.resp);
}
