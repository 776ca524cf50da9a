/**
 * Owns every process the bench starts, by pid: they are stopped at the end, after an error and on Ctrl-C. Nothing else
 * is ever signalled.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { openSync, closeSync, readFileSync } from 'node:fs';
import { once } from 'node:events';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { BenchError } from './bench-error.ts';

/** How to call a program: engines may need a loader and a library path before their own arguments. */
export interface Invocation {
  readonly file: string;
  readonly args: readonly string[];
  readonly env?: NodeJS.ProcessEnv;
}

const STOP_GRACE_MS = 3_000;

export class Processes implements AsyncDisposable {
  readonly #logDir: string;
  readonly #children = new Map<ChildProcess, string>();
  readonly #killAtExit = (): void => {
    for (const child of this.#children.keys()) child.kill('SIGKILL');
  };

  /** @param logDir one log per process goes here; its end is shown when the process dies early */
  constructor(logDir: string) {
    this.#logDir = logDir;
    process.on('exit', this.#killAtExit);
  }

  /** Starts a long-running process and returns its pid. `name` names its log. */
  async start(name: string, { file, args, env }: Invocation): Promise<number> {
    const log = openSync(join(this.#logDir, `${name}.log`), 'a');
    // Its own process group: a Ctrl-C on the terminal is for the bench, which then stops its processes in order.
    const child = spawn(file, args, {
      stdio: ['ignore', log, log],
      detached: true,
      ...(env === undefined ? {} : { env }),
    });
    closeSync(log);
    try {
      await once(child, 'spawn');
    } catch (cause) {
      throw new BenchError('BENCH_TOOL_MISSING', `cannot start ${name} (${file})`, { cause });
    }
    this.#children.set(child, name);
    child.once('exit', () => this.#children.delete(child));
    return child.pid!;
  }

  /**
   * Calls `ready` until it does not throw, at most `timeoutMs`.
   * @param pid the process that is waited for: if it dies, waiting ends at once with its log's last lines
   */
  async waitUntilReady(
    name: string,
    pid: number,
    ready: () => Promise<void>,
    timeoutMs = 10_000,
  ): Promise<void> {
    const deadline = performance.now() + timeoutMs;
    for (;;) {
      try {
        await ready();
        return;
      } catch (cause) {
        const alive = [...this.#children.keys()].some((child) => child.pid === pid);
        if (!alive || performance.now() > deadline) {
          const what = alive
            ? `did not answer within ${timeoutMs} ms`
            : 'stopped right after its start';
          throw new BenchError('BENCH_TARGET_FAILED', `${name} ${what}: ${this.#logTail(name)}`, {
            cause,
          });
        }
      }
      await delay(50);
    }
  }

  /** SIGTERM to all, SIGKILL to those that stay. */
  async [Symbol.asyncDispose](): Promise<void> {
    const children = [...this.#children.keys()];
    for (const child of children) child.kill('SIGTERM');
    const deadline = performance.now() + STOP_GRACE_MS;
    while (this.#children.size > 0 && performance.now() < deadline) await delay(20);
    for (const child of this.#children.keys()) child.kill('SIGKILL');
    while (this.#children.size > 0 && performance.now() < deadline + STOP_GRACE_MS) await delay(20);
    process.off('exit', this.#killAtExit);
  }

  #logTail(name: string): string {
    const text = readFileSync(join(this.#logDir, `${name}.log`), 'utf8').trim();
    return text === '' ? 'its log is empty' : text.split('\n').slice(-3).join(' | ');
  }
}
