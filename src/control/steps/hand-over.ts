/**
 * An unsharded primary hands its place to a replica that has all its writes, by the engine's FAILOVER.
 *
 *   old primary: a replica in name, its writers wait -> PSYNC ... FAILOVER to the new one, which is the primary from then on
 *
 * One command that the old primary carries out by itself, so that two never take writes, whatever becomes of the daemon
 * after it. (REPLICAOF NO ONE on the one and REPLICAOF on the other left both taking writes when the daemon died in
 * between; what the old one acknowledged then was lost.) FORCE with the shortest timeout, because without it the engine
 * waits for the replica's acknowledgement, which comes once a second: the caller has compared the offsets.
 *
 * A hand-over whose replica has died goes on until somebody ends it (FAILOVER ABORT, below): the old primary is a replica of
 * the dead meanwhile, and its writers wait.
 */
import { NodeReplyError } from '../../engine/admin-client.ts';
import type { StepContext } from '../step-context.ts';
import type { NodeRecord } from '../store-records.ts';
import { waitUntil } from './wait-until.ts';

const HAND_OVER_MS = 1_000;
/** Writes wait so long at most while one that did not come about is undone. */
const UNDO_PAUSE_MS = 2_000;

/**
 * @param primary whose writes are paused; it is not paused any more when this ends, well or not
 * @param node its replica, in sync
 * @throws StepTimeout, NodeError; the primary is still one then
 */
export async function handOver(
  context: StepContext,
  primary: NodeRecord,
  node: NodeRecord,
): Promise<void> {
  const { fleet, signal } = context;
  const to = [fleet.address(node), node.port];
  const failover = ['FAILOVER', 'TO', ...to, 'FORCE', 'TIMEOUT', 1];
  try {
    // In one write: FAILOVER pauses until its own end, and nothing is left paused should the daemon die now.
    const [told] = await Promise.allSettled([
      fleet.call(primary.id, failover),
      fleet.call(primary.id, ['CLIENT', 'UNPAUSE']),
    ]);
    if (told.status === 'rejected') throw told.reason;
    await waitUntil(
      `node ${node.id} taking over from ${primary.id}`,
      async () => {
        // The question to the old one is also what has its event loop turn, which is when it looks at its timeout.
        const [, seen] = await Promise.all([fleet.observe(primary.id), fleet.observe(node.id)]);
        return seen?.role === 'primary';
      },
      { timeoutMs: HAND_OVER_MS, everyMs: 2, signal },
    );
  } catch (error) {
    await undo(context, primary, node);
    throw error;
  }
}

/** The old one is the primary again, unless the new one is by now. */
async function undo({ fleet }: StepContext, primary: NodeRecord, node: NodeRecord): Promise<void> {
  await Promise.allSettled([
    fleet.call(primary.id, ['CLIENT', 'PAUSE', UNDO_PAUSE_MS, 'WRITE']),
    fleet.call(primary.id, ['FAILOVER', 'ABORT']),
  ]);
  if ((await fleet.observe(node.id))?.role === 'primary') await follow({ fleet }, primary, node);
  await fleet.call(primary.id, ['CLIENT', 'UNPAUSE']).catch(() => undefined);
}

/**
 * Makes an unsharded node follow another one, also in the middle of a hand-over, which refuses REPLICAOF: no write is
 * taken in between.
 *
 * @throws NodeError
 */
export async function follow(
  { fleet }: Pick<StepContext, 'fleet'>,
  node: NodeRecord,
  primary: NodeRecord,
  timeoutMs?: number,
): Promise<void> {
  const command = ['REPLICAOF', fleet.address(primary), primary.port];
  try {
    await fleet.call(node.id, command, timeoutMs);
  } catch (error) {
    if (!(error instanceof NodeReplyError)) throw error;
    const [, , followed] = await Promise.allSettled([
      fleet.call(node.id, ['CLIENT', 'PAUSE', UNDO_PAUSE_MS, 'WRITE'], timeoutMs),
      fleet.call(node.id, ['FAILOVER', 'ABORT'], timeoutMs),
      fleet.call(node.id, command, timeoutMs),
      fleet.call(node.id, ['CLIENT', 'UNPAUSE'], timeoutMs),
    ]);
    if (followed.status === 'rejected') throw followed.reason;
  }
}

/** Makes an unsharded replica a primary, also one that waits for the dead to take its place over. @throws NodeError */
export async function becomePrimary(
  { fleet }: Pick<StepContext, 'fleet'>,
  node: NodeRecord,
  timeoutMs: number,
): Promise<void> {
  const [, promoted] = await Promise.allSettled([
    fleet.call(node.id, ['FAILOVER', 'ABORT'], timeoutMs),
    fleet.call(node.id, ['REPLICAOF', 'NO', 'ONE'], timeoutMs),
  ]);
  if (promoted.status === 'rejected') throw promoted.reason;
}
