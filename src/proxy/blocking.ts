/**
 * Commands that may block (BLPOP, XREAD BLOCK ...): a connection of their own while they do, so that nobody else waits.
 * A client that goes away takes its blocked command with it; a failover or a moved slot is followed.
 */
import type { RequestArguments } from '../protocol/command-table.ts';
import { decodeReply, RespError } from '../protocol/resp-value.ts';
import type { PlannedCommand } from './command-book.ts';
import { ecpuOf } from './ecpu-metering.ts';
import { endBlocked } from './end-blocked.ts';
import { CLUSTER_DOWN } from './proxy-error.ts';
import type { Session } from './session.ts';
import { STALL_BUSY } from './stalls.ts';

/** Errors after which the same command is asked of the slot's owner again: it was not executed. */
const FOLLOWED: ReadonlySet<string> = new Set([
  'MOVED', 'ASK', 'TRYAGAIN', 'CLUSTERDOWN', 'LOADING', 'READONLY', 'REDIRECT', 'NODELOST', 'UNBLOCKED',
]); // prettier-ignore
const PAUSE_MS = 10;

/** Runs a command that may block, when nothing else of its session is under way. `bytes` is the request alone. */
export function blockingCommand(
  session: Session,
  planned: PlannedCommand,
  bytes: Buffer,
  slot: number,
): void {
  const place = session.answers.reserve(planned, bytes.length);
  session.stall(STALL_BUSY);
  void block(session, planned, bytes, slot).then((reply) => {
    session.client.unblock = null;
    if (session.closed) return;
    const { turn, heat } = session.service.router;
    turn.tick();
    if (slot >= 0) {
      const ecpu = ecpuOf(planned.weight, bytes.length + reply.length);
      heat.countSlot(slot, ecpu, bytes.length, reply.length);
    }
    session.answers.complete(place, reply);
    session.release();
  });
}

/** XREAD and XREADGROUP block only with BLOCK, which stands before STREAMS. */
export function mayBlock(name: string, args: RequestArguments, buf: Buffer): boolean {
  if (name !== 'xread' && name !== 'xreadgroup') return true;
  for (let i = 1; i < args.argc; i++) {
    const word = buf.toString('latin1', args.argStart[i], args.argEnd[i]).toLowerCase();
    if (word === 'block') return true;
    if (word === 'streams') return false;
  }
  return false;
}

async function block(
  session: Session,
  planned: PlannedCommand,
  bytes: Buffer,
  slot: number,
): Promise<Buffer> {
  const { router } = session.service;
  const { client } = session;
  const deadlineMs = () => performance.now() + session.service.cache.deadlineMs;
  let giveUpMs = deadlineMs();
  for (;;) {
    const upstream = router.connections.privateFor(session.lane!, router.ownerOf(slot));
    const startedMs = performance.now();
    let unblocked = false;
    client.unblock = (withError) => {
      unblocked = true;
      void endBlocked(router, upstream, withError);
    };
    session.end.onGone = () => upstream.destroy();
    const reply = await router.askBytes(bytes, {
      fixed: upstream,
      mayWait: true,
      repeatable: planned.repeatable,
      slot,
      staysInSlot: planned.staysInSlot,
    });
    session.end.onGone = null;
    if (session.closed || unblocked) {
      upstream.destroy();
      return reply;
    }
    const value = reply[0] === MINUS ? decodeReply(reply) : null;
    if (!(value instanceof RespError) || !FOLLOWED.has(value.kind)) {
      router.connections.givePrivate(session.lane!, upstream);
      return reply;
    }
    upstream.destroy();
    router.meter.retries++;
    // It was blocked for a while: the deadline is for finding an owner, not for the block.
    if (performance.now() - startedMs > 1000) giveUpMs = deadlineMs();
    if (performance.now() > giveUpMs) return value.kind === 'NODELOST' ? CLUSTER_DOWN : reply;
    router.follow(value);
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
  }
}

const MINUS = 45;
