/**
 * Whether the kernel ended a process because memory ran out. It tells nobody whose end that was, so its count of such ends
 * is watched: one that goes up at the time of an end by SIGKILL explains it. A control group's own kills are in it too.
 */
import { readProcFile } from './process-identity.ts';

const READ_MS = 1_000;

export class OomKills {
  readonly #count: () => number;
  readonly #timer: NodeJS.Timeout;
  /** As it was between one and two readings ago: what went up since then may explain an end that is seen now. */
  #before: number;
  #last: number;

  /** @param count for tests; default: the kernel's */
  constructor(count: () => number = kernelCount) {
    this.#count = count;
    this.#before = this.#last = count();
    this.#timer = setInterval(() => this.read(), READ_MS);
    this.#timer.unref();
  }

  /** Called about once a second. */
  read(): void {
    this.#before = this.#last;
    this.#last = this.#count();
  }

  /** Whether one of the newest kills is left to explain the end of a process; each explains one. */
  take(): boolean {
    const count = this.#count();
    if (count <= this.#before) return false;
    this.#before++;
    this.#last = Math.max(this.#last, this.#before);
    return true;
  }

  stop(): void {
    clearInterval(this.#timer);
  }
}

/** From the text of /proc/vmstat; 0 where it does not say. */
export function parseOomKills(vmstat: string): number {
  return Number(/^oom_kill (\d+)$/m.exec(vmstat)?.[1] ?? 0);
}

function kernelCount(): number {
  return parseOomKills(readProcFile('/proc/vmstat') ?? '');
}
