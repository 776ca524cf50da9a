import { setTimeout as sleep } from 'node:timers/promises';

/** For what must come, on a machine many times slower than this one. */
const WAIT_MS = 60_000;

/** Waits until the condition holds; throws when it does not come true. */
export async function until(
  condition: () => Promise<boolean> | boolean,
  timeoutMs = WAIT_MS,
): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  while (!(await condition())) {
    if (performance.now() > deadline)
      throw new Error(`did not come true in ${timeoutMs} ms: ${condition.toString()}`);
    await sleep(10);
  }
}
