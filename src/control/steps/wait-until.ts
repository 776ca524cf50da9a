import { setTimeout as delay } from 'node:timers/promises';
import { SpringtideError } from '../../lib/errors.ts';

/** Raised when what a step waited for did not come in time. */
export class StepTimeout extends SpringtideError<'STEP_TIMEOUT'> {
  constructor(what: string, timeoutMs: number) {
    super('STEP_TIMEOUT', `${what} did not happen within ${timeoutMs} ms`);
  }
}

/**
 * Asks `holds` every `everyMs` until it says true.
 *
 * @throws StepTimeout after `timeoutMs`; the signal's reason when it is aborted
 */
export async function waitUntil(
  what: string,
  holds: () => Promise<boolean>,
  options: { readonly timeoutMs: number; readonly everyMs: number; readonly signal: AbortSignal },
): Promise<void> {
  const deadline = Date.now() + options.timeoutMs;
  while (!(await holds())) {
    options.signal.throwIfAborted();
    if (Date.now() > deadline) throw new StepTimeout(what, options.timeoutMs);
    await delay(options.everyMs, undefined, { signal: options.signal });
  }
}
