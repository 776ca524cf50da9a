/** One question to every shard, as the client's user, and the first thing to do with the answers. */
import { RespError, type RespValue } from '../protocol/resp-value.ts';
import { NO_SLOT } from './request.ts';
import type { Session } from './session.ts';
import { shardSlots } from './split.ts';

/**
 * The answers of all primaries, one for each shard in slot order, asked by slot: a failover is followed. Decoded from
 * RESP3, whatever the client speaks: it says what is a map, and encodes to RESP2 as the engine would.
 */
export function askShards(
  session: Session,
  args: readonly (string | Uint8Array)[],
): Promise<RespValue[]> {
  const { router, cache } = session.service;
  const lane = router.lane({ ...session.lane!.kind, resp: 3 });
  const slots = cache.sharding ? [...shardSlots(router.owners).values()] : [NO_SLOT];
  // Nobody owns a slot now: one question that waits until somebody does, or says so.
  const targets = slots.length === 0 ? [0] : slots;
  return Promise.all(targets.map((slot) => router.ask(args, { lane, slot })));
}

/** Answers that are none: the error of the first shard that has one. */
export function errorAmong(answers: readonly RespValue[]): RespError | null {
  return answers.find((answer) => answer instanceof RespError) ?? null;
}
