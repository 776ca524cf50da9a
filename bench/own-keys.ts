/** Keys of the bench's own in a cache that is somebody else's: told by their prefix, and taken away at the end. */
import { withConnection } from './admin.ts';
import { keyName } from './prefill.ts';
import type { Target } from './targets/target.ts';

export const OWN_KEY_PREFIX = 'springtide-bench';
const REMOVE_BATCH = 500;

/** @param keys how many were written, from number 0 up */
export async function removeOwnKeys(target: Target, keys: number): Promise<void> {
  await withConnection(
    target.plain ?? target.tls!,
    async (client) => {
      for (let from = 0; from < keys; from += REMOVE_BATCH) {
        // One command a key, so that an endpoint that splits nothing takes it too.
        const batch = client.pipeline();
        for (let key = from; key < Math.min(from + REMOVE_BATCH, keys); key++)
          batch.unlink(keyName(key, OWN_KEY_PREFIX));
        for (const [error] of (await batch.exec()) ?? []) if (error !== null) throw error;
      }
    },
    { ...target.credentials, tls: target.plain === null },
  );
}
