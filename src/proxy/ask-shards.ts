/** Questions to nodes as the client's user, for answers that are put together. */
import type { RespValue } from '../protocol/resp-value.ts';
import type { Lane } from './routing/lane.ts';
import { NO_SLOT } from './routing/request.ts';
import type { Session } from './session.ts';
import { shardSlots } from './split.ts';

/**
 * The shared connections of the session's user for decoded answers: RESP3, whatever the client speaks, because it says
 * what is a map, and encodes to RESP2 as the engine would. Without the session's tracking: what is asked is not read by
 * the client.
 */
export function questionLane(session: Session): Lane {
  const { user, secret, systemSecret, database, sharded } = session.lane!.kind;
  return session.service.router.connections.lane({
    user,
    secret,
    systemSecret,
    database,
    sharded,
    resp: 3,
    readonly: false,
    noTouch: false,
  });
}

/** The answers of all primaries, one for each shard in slot order, asked by slot: a failover is followed. */
export function askShards(
  session: Session,
  args: readonly (string | Uint8Array)[],
): Promise<RespValue[]> {
  const { router, cache } = session.service;
  const lane = questionLane(session);
  const slots = cache.sharding ? [...shardSlots(router.owners).values()] : [NO_SLOT];
  // Nobody owns a slot now: one question that waits until somebody does, or says so.
  const targets = slots.length === 0 ? [0] : slots;
  return Promise.all(targets.map((slot) => router.ask(args, { lane, slot })));
}
