/**
 * PUBLISH and SPUBLISH go to a node like any command. Its count of receivers is put right: the node counts the proxies'
 * subscriptions, a client wants to know of clients. For subscribers at other proxies there is one for each proxy and user
 * (to ask them all for each message would cost more than the message).
 */
import { hashSlot } from '../../protocol/hash-slot.ts';
import { NO_SLOT } from '../routing/request.ts';
import { Gather } from '../gather.ts';
import { errorReply } from '../proxy-error.ts';
import { STALL_BUSY } from '../stalls.ts';
import type { Session } from '../session.ts';
import type { Call, HandlerEntry, HandlerTable } from '../command-handler.ts';

export const publishHandlers: HandlerTable = {
  publish: publishing('channel'),
  spublish: publishing('shard'),
};

function publishing(kind: 'channel' | 'shard'): HandlerEntry {
  return {
    // Its own message comes to a client after the reply: that must be the next one, then. So must it where it waits.
    drained: (session) => hearsMessages(session) || session.service.hub.leaving,
    run: (session, call) => publish(session, call, kind),
    amend: (session, call, reply) => countRight(session, call.args[1]!, kind, reply),
  };
}

function hearsMessages({ client }: Session): boolean {
  return (client.subscriptions?.count ?? 0) > 0;
}

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
  // Whoever has left is not to be counted, nor the proxy in its stead.
  if (hub.leaving) {
    session.stall(STALL_BUSY);
    void hub.left().then(() => {
      if (session.closed) return;
      router.turn.tick();
      send(session, call, kind, slot);
      session.release();
    });
  } else {
    send(session, call, kind, slot);
  }
  return null;
}

function send(session: Session, call: Call, kind: 'channel' | 'shard', slot: number): void {
  const channel = call.args[1]!;
  const hears = hearsMessages(session);
  if (hears) session.pushes.hold();
  const gather = new Gather(session, call.planned, 1, call.bytes.length, ([reply]) => {
    // After the reply, which is written when this has returned.
    if (hears) queueMicrotask(() => session.pushes.release());
    return countRight(session, channel, kind, reply!);
  });
  gather.send(0, call.bytes, slot, -1);
}

/** The node's reply with the clients of this proxy in the place of its own subscriptions. */
function countRight(
  session: Session,
  channel: Buffer,
  kind: 'channel' | 'shard',
  reply: Buffer,
): Buffer {
  if (reply[0] !== COLON) return reply;
  const { hub, router } = session.service;
  const slot = kind === 'shard' ? hashSlot(channel, 0, channel.length) : NO_SLOT;
  const counted = Number(reply.toString('latin1', 1, reply.length - 2));
  const name = channel.toString('latin1');
  const { clients, upstream } = hub.receivers(kind, name, router.ownerOf(slot));
  return Buffer.from(`:${clients + Math.max(0, counted - upstream)}\r\n`);
}

const COLON = 58;
