/** Ends what a node does for a client that waits (CLIENT UNBLOCK). */
import { setTimeout as sleep } from 'node:timers/promises';
import { askOnce } from './ask-once.ts';
import type { CacheRouter } from './routing/cache-router.ts';
import type { Upstream } from './routing/upstream.ts';

const AGAIN_MS = 2;

/**
 * Unblocks the command of a private connection: with a null reply, or an error. The command may still be on its way to
 * the node, so this goes on until the node has done it or the reply is there. The caller destroys the connection after
 * the reply: a late UNBLOCK must not meet its next user.
 */
export async function endBlocked(
  router: CacheRouter,
  upstream: Upstream,
  withError: boolean,
): Promise<void> {
  while (!upstream.closed && upstream.pending > 0) {
    if (upstream.clientId !== 0) {
      const how = withError ? 'ERROR' : 'TIMEOUT';
      const done = await askOnce(router, upstream.node, [
        'CLIENT',
        'UNBLOCK',
        upstream.clientId,
        how,
      ]);
      if (done === 1) return;
    }
    await sleep(AGAIN_MS);
  }
}
