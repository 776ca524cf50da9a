/**
 * Keeps N proxy processes running. They are started detached and outlive the daemon; a new daemon finds them by the pid
 * file each one writes (`<proxies>/<index>/pid`), confirmed by the command line, and touches nothing of theirs.
 *
 *   absent --spawn--> starting --`serving` on the plane link--> serving --process gone--> lost --at once, then with
 *   growing delay while it keeps dying young--> starting
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { closeSync, mkdirSync, openSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { Logger } from 'pino';
import {
  isAlive,
  readCommandLine,
  readProcess,
  signalProcess,
  type ProcessIdentity,
} from '../engine/process-identity.ts';
import type { ProxyStatus } from '../model/admin-api.ts';

export interface ProxySupervisorOptions {
  readonly dataDir: string;
  readonly proxiesDir: string;
  readonly logsDir: string;
  /** The proxy's entry file, run with this process's own executable. */
  readonly scriptPath: string;
  readonly proxies: number;
}

export interface ProxySupervisorHandlers {
  /** A proxy died and is about to be started again. */
  onRestart(index: number, message: string): void;
  onCrashLoop(index: number, message: string): void;
}

interface Proxy {
  readonly index: number;
  identity: ProcessIdentity | null;
  startedAtMs: number;
  /** Deaths within YOUNG_MS of the start, in a row. */
  youngDeaths: number;
  restarts: number;
  timer: NodeJS.Timeout | null;
}

/** An adopted proxy is not our child: its end shows here, or earlier when its plane link closes. */
const POLL_MS = 200;
const YOUNG_MS = 10_000;
const BACKOFF_FIRST_MS = 250;
const BACKOFF_LAST_MS = 10_000;
const CRASH_LOOP_DEATHS = 5;

/**
 * For glibc's allocator: pieces of large replies (64 KiB) are given back to the system one by one. Between others on its heap
 * they would stay with the process for good: 2.3 GB after clients that did not read had gone.
 */
const MMAP_THRESHOLD_BYTES = '49152';

export class ProxySupervisor {
  readonly #options: ProxySupervisorOptions;
  readonly #handlers: ProxySupervisorHandlers;
  readonly #log: Logger;
  readonly #proxies: Proxy[] = [];
  #poll: NodeJS.Timeout | null = null;
  #stopping = false;

  constructor(options: ProxySupervisorOptions, handlers: ProxySupervisorHandlers, log: Logger) {
    this.#options = options;
    this.#handlers = handlers;
    this.#log = log;
  }

  /** Adopts what runs, starts what does not, and ends proxies that a smaller `proxies` leaves over. */
  start(): void {
    mkdirSync(this.#options.proxiesDir, { recursive: true, mode: 0o700 });
    for (let index = 0; index < this.#options.proxies; index++) {
      const proxy: Proxy = {
        index,
        identity: this.#find(index),
        startedAtMs: Date.now(),
        youngDeaths: 0,
        restarts: 0,
        timer: null,
      };
      this.#proxies.push(proxy);
      if (proxy.identity === null) this.#spawn(proxy);
      else if (this.#isForOtherCount(proxy.identity)) signalProcess(proxy.identity, 'SIGTERM');
      else this.#log.info({ proxy: index, pid: proxy.identity.pid }, 'proxy adopted');
    }
    for (const name of readdirSync(this.#options.proxiesDir)) {
      const index = Number(name);
      if (!Number.isInteger(index) || index < this.#options.proxies) continue;
      const surplus = this.#find(index);
      if (surplus !== null) signalProcess(surplus, 'SIGTERM');
    }
    this.#poll = setInterval(() => this.check(), POLL_MS);
    this.#poll.unref();
  }

  /** Looks for proxies that died; called on any sign of it. */
  check(): void {
    if (this.#stopping) return;
    for (const proxy of this.#proxies) {
      if (proxy.identity !== null && !isAlive(proxy.identity)) this.#lost(proxy);
    }
  }

  status(index: number): Pick<ProxyStatus, 'index' | 'pid' | 'restarts'> {
    const proxy = this.#proxies[index];
    return { index, pid: proxy?.identity?.pid ?? null, restarts: proxy?.restarts ?? 0 };
  }

  get count(): number {
    return this.#options.proxies;
  }

  /** Proxies whose process is there. */
  alive(): number[] {
    return this.#proxies.flatMap((p) =>
      p.identity !== null && isAlive(p.identity) ? [p.index] : [],
    );
  }

  /** The daemon leaves, the proxies stay. */
  detach(): void {
    this.#stopping = true;
    if (this.#poll !== null) clearInterval(this.#poll);
    for (const proxy of this.#proxies) if (proxy.timer !== null) clearTimeout(proxy.timer);
  }

  /**
   * Ends all proxies: they were asked to drain over the plane link, are told once more by SIGTERM, and killed when
   * `graceMs` is over.
   */
  async stop(graceMs: number): Promise<void> {
    this.detach();
    const identities = this.#proxies.flatMap((p) => (p.identity === null ? [] : [p.identity]));
    for (const identity of identities) signalProcess(identity, 'SIGTERM');
    const deadline = Date.now() + graceMs;
    while (identities.some(isAlive) && Date.now() < deadline) await delay(20);
    for (const identity of identities) signalProcess(identity, 'SIGKILL');
    while (identities.some(isAlive) && Date.now() < deadline + 2_000) await delay(20);
    for (const proxy of this.#proxies) {
      rmSync(this.#pidFile(proxy.index), { force: true });
      proxy.identity = null;
    }
  }

  #pidFile(index: number): string {
    return join(this.#options.proxiesDir, String(index), 'pid');
  }

  #arguments(index: number): string[] {
    const { scriptPath, dataDir } = this.#options;
    return [
      scriptPath,
      '--data-dir',
      dataDir,
      '--index',
      String(index),
      '--proxies',
      String(this.#options.proxies),
    ];
  }

  #find(index: number): ProcessIdentity | null {
    let pid: number;
    try {
      pid = Number(readFileSync(this.#pidFile(index), 'utf8').trim());
    } catch {
      return null;
    }
    const found = Number.isInteger(pid) && pid > 0 ? readProcess(pid) : undefined;
    if (found === undefined) return null;
    // The script's path may differ between versions of Springtide; directory and index may not.
    const command = readCommandLine(pid);
    const isOurs =
      optionOf(command, '--data-dir') === this.#options.dataDir &&
      optionOf(command, '--index') === String(index);
    return isOurs ? found : null;
  }

  /** Proxies divide a cache's limits by their number: one that was started for another number is replaced. */
  #isForOtherCount(identity: ProcessIdentity): boolean {
    const count = optionOf(readCommandLine(identity.pid), '--proxies');
    return count !== String(this.#options.proxies);
  }

  #spawn(proxy: Proxy): void {
    proxy.startedAtMs = Date.now();
    let child: ChildProcess;
    try {
      child = this.#launch(proxy.index);
    } catch (error) {
      // A full disk, no processes left: what cannot be started now is tried again like one that died young.
      this.#log.error({ proxy: proxy.index, err: error }, 'proxy could not be started');
      this.#lost(proxy);
      return;
    }
    const pid = child.pid;
    const identity = pid === undefined ? undefined : readProcess(pid);
    proxy.identity = identity ?? null;
    child.on('error', (error) =>
      this.#log.error({ proxy: proxy.index, err: error }, 'proxy could not be started'),
    );
    child.on('exit', (code, signal) => {
      this.#log.warn({ proxy: proxy.index, pid, code, signal }, 'proxy ended');
      if (!this.#stopping && proxy.identity?.pid === pid) this.#lost(proxy);
    });
    this.#log.info({ proxy: proxy.index, pid }, 'proxy started');
    if (identity === undefined) this.#lost(proxy);
  }

  #launch(index: number): ChildProcess {
    mkdirSync(join(this.#options.proxiesDir, String(index)), { recursive: true, mode: 0o700 });
    rmSync(this.#pidFile(index), { force: true });
    const logFd = openSync(join(this.#options.logsDir, `proxy-${index}.log`), 'a', 0o600);
    try {
      const child = spawn(process.execPath, this.#arguments(index), {
        detached: true,
        stdio: ['ignore', logFd, logFd],
        env: { ...process.env, MALLOC_MMAP_THRESHOLD_: MMAP_THRESHOLD_BYTES },
      });
      child.unref();
      return child;
    } finally {
      closeSync(logFd);
    }
  }

  #lost(proxy: Proxy): void {
    if (proxy.timer !== null) return;
    const pid = proxy.identity?.pid;
    proxy.identity = null;
    const young = Date.now() - proxy.startedAtMs < YOUNG_MS;
    proxy.youngDeaths = young ? proxy.youngDeaths + 1 : 0;
    // The first death of a proxy, however young, is answered at once.
    const waitMs =
      proxy.youngDeaths <= 1
        ? 0
        : Math.min(BACKOFF_LAST_MS, BACKOFF_FIRST_MS * 2 ** (proxy.youngDeaths - 2));
    proxy.restarts++;
    this.#handlers.onRestart(
      proxy.index,
      `proxy ${proxy.index}${pid === undefined ? '' : ` (process ${pid})`} is gone and is started again${waitMs > 0 ? ` in ${waitMs} ms` : ''}`,
    );
    if (proxy.youngDeaths === CRASH_LOOP_DEATHS) {
      this.#handlers.onCrashLoop(
        proxy.index,
        `proxy ${proxy.index} ended ${CRASH_LOOP_DEATHS} times within ${YOUNG_MS / 1000} s of its start: see its log`,
      );
    }
    proxy.timer = setTimeout(() => {
      proxy.timer = null;
      if (!this.#stopping) this.#spawn(proxy);
    }, waitMs);
  }
}

function optionOf(command: readonly string[], name: string): string | undefined {
  const at = command.indexOf(name);
  return at < 0 ? undefined : command[at + 1];
}
