/**
 * CLIENT: what a client says about its own connection, and the list of the connections. They are the proxy's sessions; the
 * connections to the nodes are nobody's business here.
 */
import { encodeReply, RespVerbatim, type RespValue } from '../../protocol/resp-value.ts';
import { clientLine, parseClientFilters, viewClient, type ParsedFilters } from '../client-line.ts';
import { errorReply, OK_REPLY, SYNTAX_ERROR } from '../proxy-error.ts';
import type { Session } from '../session.ts';
import type { Call, HandlerEntry, HandlerTable } from '../session-commands.ts';
import { BAD_NAME, isClientName } from './connection.ts';

export const clientHandlers: HandlerTable = {
  'client|id': (session) => reply(session, session.id),
  'client|info': (session) =>
    reply(session, text(`${clientLine(session, session.service.engineVersion)}\n`)),
  'client|list': list,
  'client|kill': kill,
  'client|setname': setName,
  'client|getname': (session) =>
    reply(session, session.client.name === '' ? null : session.client.name),
  'client|setinfo': setInfo,
  'client|no-evict': onOff((session, on) => {
    session.client.noEvict = on;
  }),
  'client|no-touch': onOff((session, on) => {
    session.client.noTouch = on;
    session.service.login.takeLane(session);
  }),
  'client|reply': replyMode(),
  'client|unblock': unblock,
  'client|capa': (session, call) => {
    // Unknown capabilities are ignored, as the engine does: they are newer than it.
    if (
      words(call)
        .slice(2)
        .some((word) => word.toLowerCase() === 'redirect')
    )
      session.client.redirect = true;
    return OK_REPLY;
  },
  // No node of a cache is ever in import mode: slots move by the control plane.
  'client|import-source': () => errorReply('ERR Server is not in import mode'),
};

function list(session: Session, call: Call): Buffer {
  const parsed = parseClientFilters(words(call).slice(2), surroundings(session));
  if (typeof parsed === 'string') return errorReply(parsed);
  const version = session.service.engineVersion;
  const lines = matching(session, parsed, false).map((each) => `${clientLine(each, version)}\n`);
  return reply(session, text(lines.join('')));
}

/** `CLIENT KILL addr` answers OK or an error, `CLIENT KILL filter ...` the number of those that went. */
function kill(session: Session, call: Call): Buffer | null {
  const [, , ...rest] = words(call);
  const old = rest.length === 1;
  const parsed = old
    ? { filters: [(view: { addr: string }) => view.addr === rest[0]], skipMe: false }
    : parseClientFilters(rest, surroundings(session));
  if (typeof parsed === 'string') return errorReply(parsed);
  const victims = matching(session, parsed, true);
  if (old && victims.length === 0) return errorReply('ERR No such client');
  const answer = old ? OK_REPLY : reply(session, victims.length);
  for (const victim of victims) if (victim !== session) victim.destroy();
  if (!victims.includes(session)) return answer;
  // Oneself: the reply first (networking.c, CLIENT_CLOSE_AFTER_REPLY).
  session.reply(answer);
  session.closeAfterReplies();
  return null;
}

/** Sessions that pass all filters, oldest first. */
function matching(session: Session, parsed: ParsedFilters, skipMeByDefault: boolean): Session[] {
  const skipMe = parsed.skipMe ?? skipMeByDefault;
  return [...session.service.sessions.values()]
    .filter((each) => !(skipMe && each === session))
    .filter((each) => {
      const view = viewClient(each);
      return parsed.filters.every((filter) => filter(view));
    });
}

function surroundings(session: Session) {
  const { service } = session;
  return {
    databases: service.cache.databases,
    hasUser: (name: string) => service.user(name) !== undefined,
  };
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

function unblock(session: Session, call: Call): Buffer {
  const [, , id, how] = words(call);
  const mode = how?.toLowerCase() ?? 'timeout';
  if (call.args.length > 4) return SYNTAX_ERROR;
  if (mode !== 'timeout' && mode !== 'error') {
    return errorReply('ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR');
  }
  if (!/^-?\d{1,18}$/.test(id!)) return errorReply('ERR value is not an integer or out of range');
  const target = session.service.sessions.get(Number(id));
  if (target === undefined || target.client.unblock === null) return reply(session, 0);
  target.client.unblock(mode === 'error');
  return reply(session, 1);
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
