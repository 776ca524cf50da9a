/**
 * A large request goes to its node over a connection of its own: on the shared one everybody's requests would wait until its
 * last byte is written, and a node that takes seconds to read it would look as if it hung.
 */
import { decodeReply, RespError } from '../protocol/resp-value.ts';
import { FOLLOWED } from './blocking.ts';
import type { PlannedCommand } from './command-book.ts';
import { PLAN_FORWARD } from './command-plan.ts';
import type { Session } from './session.ts';
import { STALL_BUSY } from './stalls.ts';

/** More than what one read brings (READ_BYTES): such a request has memory of its own. */
export const LARGE_REQUEST_BYTES = 1024 * 1024;

/** CLIENT CACHING YES and the command that it is for stay together, on the shared connection. */
export function goesAlone(session: Session, planned: PlannedCommand, sizeBytes: number): boolean {
  return (
    sizeBytes > LARGE_REQUEST_BYTES &&
    planned.kind === PLAN_FORWARD &&
    session.client.tracking?.caching !== true
  );
}

/** Runs one command, when nothing else of its session is under way. `bytes` is the request alone, and does not change. */
export function largeRequest(
  session: Session,
  planned: PlannedCommand,
  bytes: Buffer,
  slot: number,
): void {
  const place = session.reserve(planned, bytes.length);
  session.stall(STALL_BUSY);
  void send(session, planned, bytes, slot).then((reply) => {
    if (session.closed) return;
    session.service.router.turn.tick();
    session.complete(place, reply);
    session.release();
  });
}

async function send(
  session: Session,
  planned: PlannedCommand,
  bytes: Buffer,
  slot: number,
): Promise<Buffer> {
  const { router } = session.service;
  const lane = session.lane!;
  const { repeatable } = planned;
  const upstream = router.connections.privateFor(lane, router.ownerOf(slot));
  const reply = await router.askBytes(bytes, { fixed: upstream, repeatable });
  const value = reply[0] === MINUS ? decodeReply(reply) : null;
  if (!(value instanceof RespError) || !FOLLOWED.has(value.kind)) {
    router.connections.givePrivate(lane, upstream);
    return reply;
  }
  upstream.destroy();
  router.meter.retries++;
  router.follow(value);
  // Slots are in motion: the shared connection knows all ways to follow them.
  return router.askBytes(bytes, { lane, slot, repeatable });
}

const MINUS = 45;
