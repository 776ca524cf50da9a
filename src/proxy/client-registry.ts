/**
 * The connections of a cache: those of this proxy, and through the peer link those of the other proxies of the machine.
 * To a client they are one server's.
 */
import { z } from 'zod';
import type { CacheService } from './cache-service.ts';
import { clientLine, parseClientFilters, viewClient } from './client-line.ts';
import type { Session } from './session.ts';

/** Words of CLIENT LIST or KILL; `address` instead for the old CLIENT KILL. */
const selection = z.object({
  words: z.array(z.string()).optional(),
  address: z.string().optional(),
});
export type ClientSelection = z.infer<typeof selection>;

const lines = z.array(z.tuple([z.number(), z.string()]));
const unblocking = z.object({ id: z.number(), withError: z.boolean() });

/** Numbers of INFO's sections Clients and Stats. */
const counts = z.object({
  connected: z.number(), received: z.number(), rejected: z.number(), inputMaximum: z.number(), outputMaximum: z.number(),
  blocked: z.number(), tracking: z.number(), pubsub: z.number(), watching: z.number(), watchedKeys: z.number(),
}); // prettier-ignore
export type ClientCounts = z.infer<typeof counts>;

/** Sessions that pass the filters; the text of the engine's error where they make no sense. */
export function selectClients(
  service: CacheService,
  what: ClientSelection,
  skip: Session | null,
): Session[] | string {
  const own = [...service.sessions.values()].filter(
    (session) => session !== skip && !session.end.left,
  );
  if (what.address !== undefined)
    return own.filter((session) => viewClient(session).addr === what.address);
  const parsed = parseClientFilters(what.words ?? [], {
    databases: service.cache.databases,
    hasUser: (name) => service.user(name) !== undefined,
  });
  if (typeof parsed === 'string') return parsed;
  return own.filter((session) => {
    const view = viewClient(session);
    return parsed.filters.every((filter) => filter(view));
  });
}

/** What other proxies may ask of this one (peer-answers.ts). */
export const CLIENT_ANSWERS: Readonly<
  Record<string, (service: CacheService, body: unknown) => unknown>
> = {
  'client-list': (service, body): z.infer<typeof lines> => {
    const chosen = selectClients(service, selection.parse(body), null);
    return typeof chosen === 'string' ? [] : linesOf(service, chosen);
  },
  'client-kill': (service, body): number => {
    const victims = selectClients(service, selection.parse(body), null);
    if (typeof victims === 'string') return 0;
    for (const victim of victims) victim.destroy();
    return victims.length;
  },
  'client-unblock': (service, body): boolean => {
    const { id, withError } = unblocking.parse(body);
    return unblockClient(service, id, withError);
  },
  'client-counts': (service): ClientCounts => countClients(service),
};

export function linesOf(service: CacheService, sessions: readonly Session[]): [number, string][] {
  return sessions.map((session) => [session.id, clientLine(session, service.engineVersion)]);
}

/** Lines of the clients of the other proxies. */
export async function peerLines(
  service: CacheService,
  what: ClientSelection,
): Promise<[number, string][]> {
  const answers = await service.peers.ask('client-list', service.cache.name, what);
  return answers.flatMap((answer) => lines.safeParse(answer).data ?? []);
}

/** How many clients of other proxies were closed. */
export async function killAtPeers(service: CacheService, what: ClientSelection): Promise<number> {
  const answers = await service.peers.ask('client-kill', service.cache.name, what);
  return answers.reduce<number>((sum, answer) => sum + (z.number().safeParse(answer).data ?? 0), 0);
}

export async function unblockAtPeers(
  service: CacheService,
  id: number,
  withError: boolean,
): Promise<boolean> {
  const answers = await service.peers.ask('client-unblock', service.cache.name, { id, withError });
  return answers.includes(true);
}

/** Ends what a client of this proxy is blocked in; false when it is not. */
export function unblockClient(service: CacheService, id: number, withError: boolean): boolean {
  const unblock = service.sessions.get(id)?.client.unblock ?? null;
  unblock?.(withError);
  return unblock !== null;
}

/** Of all proxies together. */
export async function countAllClients(service: CacheService): Promise<ClientCounts> {
  const answers = await service.peers.ask('client-counts', service.cache.name, null);
  const others = answers
    .map((answer) => counts.safeParse(answer).data)
    .filter((each) => each !== undefined);
  return others.reduce((total, each) => {
    const sum = { ...total };
    for (const name of Object.keys(sum) as (keyof ClientCounts)[]) {
      sum[name] = name.endsWith('Maximum')
        ? Math.max(sum[name], each[name])
        : sum[name] + each[name];
    }
    return sum;
  }, countClients(service));
}

function countClients(service: CacheService): ClientCounts {
  const { meter } = service.router;
  const total: ClientCounts = {
    connected: meter.connections, received: meter.connectionsTotal, rejected: meter.connectionsRefused,
    inputMaximum: 0, outputMaximum: 0, blocked: 0, tracking: 0, pubsub: 0, watching: 0, watchedKeys: 0,
  }; // prettier-ignore
  for (const session of service.sessions.values()) {
    const { client } = session;
    const watched = client.transaction?.watched.size ?? 0;
    if (client.unblock !== null) total.blocked++;
    if (client.tracking !== null) total.tracking++;
    if ((client.subscriptions?.count ?? 0) > 0) total.pubsub++;
    if (watched > 0) total.watching++;
    total.watchedKeys += watched;
    total.inputMaximum = Math.max(total.inputMaximum, session.input.sizeBytes);
    total.outputMaximum = Math.max(total.outputMaximum, session.output.sizeBytes);
  }
  return total;
}
