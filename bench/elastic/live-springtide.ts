/**
 * A Springtide of the bench's own: a real daemon, real proxies, real nodes, in a private data directory, driven over its API.
 * The daemon may be killed and started again; at the end everything that names the directory is ended, whatever failed.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { ApiClient } from '../../src/cli/api-client.ts';
import type { PlannerParams } from '../../src/control/policies/planner-params.ts';
import { readCommandLine } from '../../src/engine/process-identity.ts';
import type {
  CacheChange,
  CacheEvent,
  CacheStatus,
  CapacityReport,
  NodeStatus,
  SystemStatus,
} from '../../src/model/admin-api.ts';
import type { CacheSpecInput } from '../../src/model/cache-spec.ts';
import { withCompiledCode } from '../../src/model/data-dir.ts';
import type { CacheHeatAnswer } from '../../src/model/heat.ts';
import { BenchError } from '../bench-error.ts';
import type { PidsByRole } from '../cpu.ts';

const DAEMON = fileURLToPath(new URL('../../src/daemon/daemon.ts', import.meta.url));
const START_MS = 60_000;
const STOP_MS = 15_000;

export class LiveSpringtide implements AsyncDisposable {
  readonly dataDir = mkdtempSync(join(tmpdir(), 'springtide-elastic-'));
  readonly api = new ApiClient(this.dataDir, 'springtide up');
  readonly #proxies: number;
  readonly #scaleInAfterMs: number | null;
  readonly #plannerParams: Partial<PlannerParams>;
  #daemon: ChildProcess | null = null;
  readonly #leaveNothing = (): void => {
    this.#killAll();
    rmSync(this.dataDir, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 });
  };

  private constructor(
    proxies: number,
    scaleInAfterMs: number | null,
    plannerParams: Partial<PlannerParams>,
  ) {
    this.#proxies = proxies;
    this.#scaleInAfterMs = scaleInAfterMs;
    this.#plannerParams = plannerParams;
    // A bench that is interrupted leaves no process and no file behind.
    process.on('exit', this.#leaveNothing);
  }

  /**
   * @param proxies how many proxy processes share an endpoint
   * @param scaleInAfterMs how long a cache needs fewer shards before it gets them; null: as the product has it
   * @param plannerParams those of the planner's that are not to be its own
   */
  static async start(
    proxies: number,
    scaleInAfterMs: number | null = null,
    plannerParams: Partial<PlannerParams> = {},
  ): Promise<LiveSpringtide> {
    const springtide = new LiveSpringtide(proxies, scaleInAfterMs, plannerParams);
    try {
      await springtide.startDaemon();
      await until('the proxies to serve', START_MS, async () =>
        (await springtide.status()).proxies.every(({ state }) => state === 'serving'),
      );
    } catch (error) {
      await springtide[Symbol.asyncDispose]();
      throw error;
    }
    return springtide;
  }

  get daemonRuns(): boolean {
    return this.#daemon?.exitCode === null && this.#daemon.signalCode === null;
  }

  async startDaemon(): Promise<void> {
    const args = [
      `--data-dir=${this.dataDir}`,
      `--proxies=${this.#proxies}`,
      '--metrics-port=0',
      ...(this.#scaleInAfterMs === null ? [] : [`--scale-in-after=${this.#scaleInAfterMs}`]),
      `--planner-params=${JSON.stringify(this.#plannerParams)}`,
    ];
    this.#daemon = spawn(process.execPath, [DAEMON, ...args], {
      stdio: 'ignore',
      env: withCompiledCode(),
    });
    await until('the daemon to answer', START_MS, async () => {
      if (!this.daemonRuns)
        throw new BenchError('BENCH_TARGET_FAILED', `the daemon ended; ${this.dataDir}/logs`);
      return (await this.api.statusOrNull().catch(() => null)) !== null;
    });
  }

  /** `kill -9`; what it started goes on without it. */
  async killDaemon(): Promise<void> {
    if (!this.daemonRuns) return;
    const ended = once(this.#daemon!, 'exit');
    this.#daemon!.kill('SIGKILL');
    await ended;
  }

  status(): Promise<SystemStatus> {
    return this.api.call('GET', '/v1/status');
  }

  async create(spec: CacheSpecInput): Promise<CacheStatus> {
    for await (const _ of this.api.stream('POST', '/v1/caches', { body: spec }));
    return this.cache(spec.name);
  }

  async remove(name: string): Promise<void> {
    for await (const _ of this.api.stream('DELETE', `/v1/caches/${name}`));
  }

  async failover(name: string, shard: number): Promise<void> {
    const path = `/v1/caches/${name}/failover`;
    for await (const _ of this.api.stream('POST', path, { body: { shard } }));
  }

  /** A new node takes the place of this one. */
  async replaceNode(name: string, nodeId: string): Promise<void> {
    const path = `/v1/caches/${name}/nodes/${nodeId}/replace`;
    for await (const _ of this.api.stream('POST', path, { body: {} }));
  }

  modify(name: string, change: CacheChange): Promise<CacheStatus> {
    return this.api.call('PATCH', `/v1/caches/${name}`, { body: change });
  }

  cache(name: string): Promise<CacheStatus> {
    return this.api.call('GET', `/v1/caches/${name}`);
  }

  heat(name: string): Promise<CacheHeatAnswer> {
    return this.api.call('GET', `/v1/caches/${name}/heat`);
  }

  explain(name: string): Promise<CapacityReport> {
    return this.api.call('GET', `/v1/caches/${name}/explain`);
  }

  /** Oldest first, later than `after`. */
  events(name: string, after = 0): Promise<CacheEvent[]> {
    return this.api.call('GET', `/v1/events?cache=${name}&limit=10000&after=${after}`);
  }

  /** Processes by what they do, of those that run. */
  async pids(name: string): Promise<PidsByRole> {
    const { proxies, pid, caches } = await this.status();
    const nodes = caches.find(({ spec }) => spec.name === name)?.nodes ?? [];
    return { proxy: running(proxies), node: running(nodes), other: [pid] };
  }

  /** Waits until every shard has all its nodes, all in step. */
  async whole(name: string, timeoutMs = 60_000): Promise<CacheStatus> {
    let cache: CacheStatus | undefined;
    await until(`cache ${name} to be whole`, timeoutMs, async () => {
      cache = await this.cache(name).catch(() => undefined);
      return cache !== undefined && isWhole(cache);
    });
    return cache!;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    process.off('exit', this.#leaveNothing);
    if (this.daemonRuns) {
      const ended = once(this.#daemon!, 'exit');
      const shutDown = async () => {
        for await (const _ of this.api.stream('POST', '/v1/shutdown', { body: {} }));
        await ended;
      };
      await Promise.race([shutDown().catch(() => {}), delay(STOP_MS, null, { ref: false })]);
    }
    for (let tries = 0; this.#killAll() > 0 && tries < 200; tries++) await delay(50);
    rmSync(this.dataDir, { recursive: true, force: true });
  }

  /** Ends every process that was started with something of this data directory; returns how many there were. */
  #killAll(): number {
    const pids = readdirSync('/proc')
      .map(Number)
      .filter((pid) => pid > 0 && pid !== process.pid)
      .filter((pid) => readCommandLine(pid).some((word) => word.includes(this.dataDir)));
    for (const pid of pids) signal(pid, 'SIGKILL');
    return pids.length;
  }
}

/** Every shard has a primary and its replicas, and all are in step. */
export function isWhole(cache: CacheStatus): boolean {
  const shards = new Set(cache.nodes.map(({ shard }) => shard));
  return (
    cache.state === 'available' &&
    cache.nodes.every(({ state }) => state === 'online') &&
    [...shards].every((shard) => nodesOf(cache, shard, 'primary').length === 1) &&
    [...shards].every((shard) => nodesOf(cache, shard, 'replica').length >= cache.spec.replicas)
  );
}

export function nodesOf(
  cache: CacheStatus,
  shard: number,
  role: NodeStatus['role'],
): readonly NodeStatus[] {
  return cache.nodes.filter((node) => node.shard === shard && node.role === role);
}

/** Of a process that may be gone; whether it was there. */
export function signal(pid: number, name: NodeJS.Signals): boolean {
  try {
    process.kill(pid, name);
    return true;
  } catch {
    return false;
  }
}

/** @throws BenchError BENCH_RUN_FAILED when it does not come true in time */
export async function until(
  what: string,
  timeoutMs: number,
  holds: () => Promise<boolean>,
): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  while (!(await holds())) {
    if (performance.now() > deadline)
      throw new BenchError('BENCH_RUN_FAILED', `waited ${timeoutMs / 1000} s for ${what}`);
    await delay(20);
  }
}

function running(list: readonly { readonly pid: number | null }[]): number[] {
  return list.flatMap(({ pid }) => (pid === null ? [] : [pid]));
}
