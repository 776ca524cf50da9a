/** CLIENT TRACKING, CACHING, TRACKINGINFO and GETREDIR (networking.c); what follows from them is tracking.ts. */
import { encodeRequest } from '../../protocol/request-encoder.ts';
import { encodeReply, RespMap, RespSet } from '../../protocol/resp-value.ts';
import { laneHandshake } from '../routing/lane.ts';
import { CLUSTER_DOWN, errorReply, OK_REPLY, SYNTAX_ERROR } from '../proxy-error.ts';
import type { Session } from '../session.ts';
import { queueable, type Call, type HandlerTable } from '../command-handler.ts';
import { Tracking, trackingOn, type TrackingOptions } from '../tracking.ts';

export const trackingHandlers: HandlerTable = {
  'client|tracking': { drained: true, run: track },
  'client|caching': caching,
  'client|trackinginfo': queueable(({ client }) =>
    encodeReply(client.tracking?.info() ?? NOT_TRACKING, client.resp),
  ),
  'client|getredir': queueable(({ client }) =>
    encodeReply(client.tracking?.options.redirect ?? -1, client.resp),
  ),
};

const NOT_TRACKING = RespMap.of({ flags: new RespSet(['off']), redirect: -1, prefixes: [] });
const HELLO = encodeRequest(['HELLO']);
const PAUSE_MS = 20;

async function track(session: Session, call: Call): Promise<Buffer> {
  const { client, service } = session;
  const args = call.args.map((arg) => Buffer.from(arg));
  const verdict = await judge(session, args);
  if (session.closed || !verdict.equals(OK_REPLY)) return verdict;
  const former = client.tracking;
  if (args[2]!.toString('latin1').toLowerCase() === 'off') {
    client.tracking = null;
    service.login.takeLane(session);
    former?.close();
    return OK_REPLY;
  }
  const options = optionsOf(args.slice(3), former);
  const tracking = new Tracking(session, options, (former?.generation ?? 0) + 1);
  client.tracking = tracking;
  service.login.takeLane(session);
  former?.close();
  await tracking.reachAll();
  return OK_REPLY;
}

/**
 * What the engine says to this command, after those before it: it knows every rule about the options. Asked on a connection
 * that ends then.
 */
async function judge(session: Session, args: readonly Buffer[]): Promise<Buffer> {
  const { cache, router, sessions } = session.service;
  const { tracking: _, ...kind } = session.lane!.kind;
  const giveUpMs = performance.now() + cache.deadlineMs;
  for (;;) {
    const upstream = router.connections.openPrivate(
      router.anyPrimary(),
      laneHandshake({ ...kind, readonly: false }),
    );
    const ask = (bytes: Buffer) => router.askBytes(bytes, { fixed: upstream });
    await ask(HELLO);
    const { tracking } = session.client;
    if (tracking !== null) {
      const { options } = tracking;
      await ask(trackingOn(options, options.redirect === 0 ? 0 : upstream.clientId));
    }
    const reply = await ask(
      encodeRequest(
        withEngineIds(args, upstream.clientId, (id) => sessions.get(id)?.end.left === false),
      ),
    );
    upstream.destroy();
    if (!reply.toString('latin1', 0, 9).startsWith('-NODELOST')) return reply;
    if (performance.now() > giveUpMs) return CLUSTER_DOWN;
    router.refresh();
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
  }
}

/** The command with ids that the engine knows: its own id for a client that is there, for others one that never is. */
function withEngineIds(
  args: readonly Buffer[],
  own: number,
  isThere: (id: number) => boolean,
): (Buffer | number)[] {
  return args.map((arg, i) => {
    if (i < 4 || args[i - 1]!.toString('latin1').toLowerCase() !== 'redirect') return arg;
    const id = arg.toString('latin1');
    if (!/^-?\d{1,18}$/.test(id)) return arg;
    return isThere(Number(id)) ? own : 0;
  });
}

/** Options that the engine has found right. Prefixes add up over several commands. */
function optionsOf(args: readonly Buffer[], former: Tracking | null): TrackingOptions {
  const words = args.map((arg) => arg.toString('latin1'));
  const said = new Set<string>();
  const prefixes = new Set(former?.options.prefixes);
  let redirect = 0;
  for (let i = 0; i < words.length; i++) {
    const word = words[i]!.toLowerCase();
    if (word === 'redirect') redirect = Number(words[++i]);
    else if (word === 'prefix') prefixes.add(words[++i]!);
    else said.add(word);
  }
  const bcast = said.has('bcast');
  // Without a prefix: every key (tracking.c, enableTracking).
  if (bcast && !words.some((word) => word.toLowerCase() === 'prefix')) prefixes.add('');
  return {
    redirect,
    bcast,
    optIn: said.has('optin'),
    optOut: said.has('optout'),
    noLoop: said.has('noloop'),
    prefixes: bcast ? [...prefixes] : [],
  };
}

function caching({ client }: Session, call: Call): Buffer {
  const { tracking } = client;
  if (tracking === null || !(tracking.options.optIn || tracking.options.optOut)) {
    return errorReply(
      'ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or OPTOUT mode enabled',
    );
  }
  switch (call.args[2]!.toString('latin1').toLowerCase()) {
    case 'yes':
      if (!tracking.options.optIn) {
        return errorReply(
          'ERR CLIENT CACHING YES is only valid when tracking is enabled in OPTIN mode.',
        );
      }
      break;
    case 'no':
      if (!tracking.options.optOut) {
        return errorReply(
          'ERR CLIENT CACHING NO is only valid when tracking is enabled in OPTOUT mode.',
        );
      }
      break;
    default:
      return SYNTAX_ERROR;
  }
  tracking.caching = true;
  return OK_REPLY;
}
