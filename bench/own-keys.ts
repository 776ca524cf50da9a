/** Keys of the bench's own in a cache that is somebody else's: told by their prefix, and taken away at the end. */
import { messageOf } from '../src/lib/errors.ts';
import { withConnection, type Valkey } from './admin.ts';
import { BenchError } from './bench-error.ts';
import { keyName } from './prefill.ts';
import type { Progress } from './progress.ts';
import type { Target } from './targets/target.ts';

export const OWN_KEY_PREFIX = 'springtide-bench';
const REMOVE_BATCH = 500;
/** An endpoint that does not answer must not keep the bench from its end. */
const ANSWER_TIMEOUT_MS = 30_000;

/** @throws BenchError BENCH_TARGET_FAILED when nobody answers, or the user or the password is not right */
export async function requireLogin(target: Target): Promise<void> {
  await onTarget(target, (client) => client.get(keyName(0, OWN_KEY_PREFIX))).catch(
    (cause: unknown) => {
      throw new BenchError(
        'BENCH_TARGET_FAILED',
        `${target.label} cannot be used: ${messageOf(cause)}`,
        { cause },
      );
    },
  );
}

/**
 * Takes them away; what is in the way of that is told and is no error of the measurement.
 *
 * @param keys how many were written, from number 0 up
 */
export async function removeOwnKeys(
  target: Target,
  keys: number,
  progress: Progress,
): Promise<void> {
  progress.show('removing the keys', target.label);
  try {
    await onTarget(target, async (client) => {
      for (let from = 0; from < keys; from += REMOVE_BATCH) {
        // One command a key, so that an endpoint that splits nothing takes it too.
        const batch = client.pipeline();
        for (let key = from; key < Math.min(from + REMOVE_BATCH, keys); key++)
          batch.unlink(keyName(key, OWN_KEY_PREFIX));
        for (const [error] of (await batch.exec()) ?? []) if (error !== null) throw error;
      }
    });
  } catch (error) {
    progress.note(`the keys ${OWN_KEY_PREFIX}:* are still there: ${messageOf(error)}`);
  }
}

function onTarget<T>(target: Target, work: (client: Valkey) => Promise<T>): Promise<T> {
  return withConnection(target.plain ?? target.tls!, work, {
    ...target.credentials,
    tls: target.plain === null,
    timeoutMs: ANSWER_TIMEOUT_MS,
  });
}
