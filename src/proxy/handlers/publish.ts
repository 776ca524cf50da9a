/**
 * PUBLISH and SPUBLISH go to a node like any command. Its count of receivers is put right: the node counts the proxies'
 * subscriptions, a client wants to know of clients. For subscribers at other proxies there is one for each proxy and user
 * (to ask them all for each message would cost more than the message).
 */
import { hashSlot } from '../../protocol/hash-slot.ts';
import { NO_SLOT, type Request } from '../routing/request.ts';
import type { RequestSink } from '../routing/request-sink.ts';
import { errorReply } from '../proxy-error.ts';
import type { Session } from '../session.ts';
import type { Call, HandlerTable } from '../session-commands.ts';

export const publishHandlers: HandlerTable = {
  publish: (session, call) => publish(session, call, 'channel'),
  spublish: (session, call) => publish(session, call, 'shard'),
};

function publish(session: Session, call: Call, kind: 'channel' | 'shard'): Buffer | null {
  const { cache, hub, router } = session.service;
  const channel = call.args[1]!;
  if (channel.length > cache.limits.keyMaximumBytes) {
    return errorReply(
      `ERR a key or channel name exceeds the limit of ${cache.limits.keyMaximumBytes} bytes of this cache`,
    );
  }
  const slot = kind === 'shard' ? hashSlot(channel, 0, channel.length) : NO_SLOT;
  if (hub.idle) {
    session.forward(call.planned, call.bytes, 0, call.bytes.length, slot);
    return null;
  }
  const request = router.pool.take();
  const name = channel.toString('latin1');
  request.sink = new ReceiverCount(
    session,
    session.reserve(call.planned, call.bytes.length),
    (counted) => {
      const { clients, upstream } = hub.receivers(kind, name, router.ownerOf(slot));
      return clients + Math.max(0, counted - upstream);
    },
  );
  request.buf = call.bytes;
  request.start = 0;
  request.end = call.bytes.length;
  request.command = call.command;
  request.lane = session.lane;
  request.slot = slot;
  request.startedUs = router.turn.nowUs;
  router.route(request);
  return null;
}

/** Waits for the node's count and answers with the right one. */
class ReceiverCount implements RequestSink {
  readonly #session: Session;
  readonly #place: Request;
  readonly #correct: (counted: number) => number;

  constructor(session: Session, place: Request, correct: (counted: number) => number) {
    this.#session = session;
    this.#place = place;
    this.#correct = correct;
  }

  get abandoned(): boolean {
    return this.#session.closed;
  }

  onReply(request: Request, buf: Buffer, start: number, end: number): void {
    const reply = buf.subarray(start, end);
    this.#session.service.router.pool.give(request);
    if (this.#session.closed) return;
    const counted =
      reply[0] === COLON ? Number(reply.toString('latin1', 1, reply.length - 2)) : null;
    const answer = counted === null ? reply : Buffer.from(`:${this.#correct(counted)}\r\n`);
    this.#session.complete(this.#place, answer);
  }

  onRetrying(): void {}
  onPiece(): boolean {
    return false;
  }
  onLastPiece(): void {}
  onBroken(): void {}
}

const COLON = 58;
