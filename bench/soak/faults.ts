/**
 * What a soak does to a cache. Each fault says in words what it did, or that it is not possible now: never are both copies of a
 * shard taken, for that loses what no system without a third copy keeps.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { CheckedTraffic } from '../../e2e/harness/checked-traffic.ts';
import type { CacheStatus, NodeStatus } from '../../src/model/admin-api.ts';
import { nodesOf, signal, type LiveSpringtide } from '../elastic/live-springtide.ts';

export interface Soaked {
  readonly springtide: LiveSpringtide;
  readonly cache: string;
  readonly traffic: CheckedTraffic;
  readonly random: () => number;
  /** performance.now() of each death of a primary. */
  readonly deaths: number[];
  /** Shards whose nodes were hurt, and the process: left alone until it has been replaced. */
  readonly hurt: Map<number, number>;
  /** When the daemon was started last. */
  daemonSinceMs: number;
  readonly shardsMaximum: number;
  /** Of daemons that are being started again. */
  readonly restarts: Set<Promise<void>>;
}

/** Null: not now. */
export type Fault = (soaked: Soaked) => Promise<string | null>;

const DAEMON_AWAY_MS = 2_500;
/** A daemon that is killed all the time mends nothing. */
const DAEMON_LIFE_MS = 6_000;

/** With how often they are chosen. */
export const FAULTS: Readonly<Record<string, { readonly weight: number; readonly run: Fault }>> = {
  'kill-primary': { weight: 4, run: (soaked) => onNode(soaked, 'primary', 'SIGKILL') },
  'kill-replica': { weight: 2, run: (soaked) => onNode(soaked, 'replica', 'SIGKILL') },
  'stop-primary': { weight: 2, run: (soaked) => onNode(soaked, 'primary', 'SIGSTOP') },
  'stop-replica': { weight: 1, run: (soaked) => onNode(soaked, 'replica', 'SIGSTOP') },
  'kill-proxy': { weight: 2, run: killProxy },
  'kill-daemon': { weight: 2, run: killDaemon },
  'kill-daemon-and-primary': { weight: 1, run: killDaemonAndPrimary },
  'planned-failover': { weight: 3, run: plannedFailover },
  'cut-connections': { weight: 1, run: cutConnections },
  scale: { weight: 5, run: scale },
};

async function onNode(
  soaked: Soaked,
  role: NodeStatus['role'],
  name: 'SIGKILL' | 'SIGSTOP',
): Promise<string | null> {
  const cache = await statusOf(soaked);
  return cache === null ? null : hurtNode(soaked, cache, role, name);
}

/** At once: nothing may happen between looking and doing. */
function hurtNode(
  soaked: Soaked,
  cache: CacheStatus,
  role: NodeStatus['role'],
  name: 'SIGKILL' | 'SIGSTOP',
): string | null {
  const node = pick(
    soaked,
    hurtableShards(soaked, cache).flatMap((shard) => nodesOf(cache, shard, role)),
  );
  if (node === undefined || node.pid === null || !signal(node.pid, name)) return null;
  soaked.hurt.set(node.shard, node.pid);
  if (role === 'primary') soaked.deaths.push(performance.now());
  return `${name === 'SIGKILL' ? 'kill -9' : 'kill -STOP'} of ${role} ${node.id} of shard ${node.shard}`;
}

/** Those with a primary and a replica in step, and not hurt before. */
function hurtableShards(soaked: Soaked, cache: CacheStatus): number[] {
  for (const [shard, hurtPid] of soaked.hurt) {
    const nodes = cache.nodes.filter((node) => node.shard === shard);
    if (nodes.every(({ state, pid }) => state === 'online' && pid !== hurtPid))
      soaked.hurt.delete(shard);
  }
  return [...new Set(cache.nodes.map(({ shard }) => shard))].filter(
    (shard) =>
      !soaked.hurt.has(shard) &&
      nodesOf(cache, shard, 'primary').some(({ state }) => state === 'online') &&
      nodesOf(cache, shard, 'replica').some(({ state }) => state === 'online'),
  );
}

async function killProxy(soaked: Soaked): Promise<string | null> {
  const status = await soaked.springtide.status().catch(() => null);
  const serving = status?.proxies.filter(({ state }) => state === 'serving') ?? [];
  const proxy = pick(soaked, serving);
  if (proxy === undefined || proxy.pid === null || !signal(proxy.pid, 'SIGKILL')) return null;
  return `kill -9 of proxy ${proxy.index}`;
}

async function killDaemon(soaked: Soaked): Promise<string | null> {
  if (!hasWorked(soaked)) return null;
  const awayMs = Math.floor(soaked.random() * DAEMON_AWAY_MS);
  await soaked.springtide.killDaemon();
  restartDaemon(soaked, awayMs);
  return `kill -9 of the daemon, started again ${awayMs} ms later`;
}

async function killDaemonAndPrimary(soaked: Soaked): Promise<string | null> {
  const cache = hasWorked(soaked) ? await statusOf(soaked) : null;
  if (cache === null || hurtableShards(soaked, cache).length === 0) return null;
  const awayMs = Math.floor(soaked.random() * DAEMON_AWAY_MS);
  const killed = soaked.springtide.killDaemon();
  const what = hurtNode(soaked, cache, 'primary', 'SIGKILL');
  await killed;
  restartDaemon(soaked, awayMs);
  return `kill -9 of the daemon, started again ${awayMs} ms later, with ${what ?? 'nothing else'}`;
}

function hasWorked({ springtide, daemonSinceMs }: Soaked): boolean {
  return springtide.daemonRuns && performance.now() - daemonSinceMs > DAEMON_LIFE_MS;
}

function restartDaemon(soaked: Soaked, awayMs: number): void {
  soaked.daemonSinceMs = Infinity;
  const restart = delay(awayMs)
    .then(() => soaked.springtide.startDaemon())
    .then(() => void (soaked.daemonSinceMs = performance.now()));
  soaked.restarts.add(restart);
  restart.finally(() => soaked.restarts.delete(restart)).catch(() => {});
}

async function plannedFailover(soaked: Soaked): Promise<string | null> {
  const cache = await statusOf(soaked);
  const shard = cache === null ? undefined : pick(soaked, hurtableShards(soaked, cache));
  if (shard === undefined) return null;
  // Not waited for: what comes next comes in the middle of it. It may be refused, or its daemon killed.
  soaked.springtide.failover(soaked.cache, shard).catch(() => {});
  return `planned failover of shard ${shard}`;
}

async function cutConnections({ traffic }: Soaked): Promise<string> {
  traffic.cut();
  return 'cut of all client connections';
}

async function scale(soaked: Soaked): Promise<string | null> {
  const { springtide, cache, random, shardsMaximum } = soaked;
  const shards = 1 + Math.floor(random() * shardsMaximum);
  return springtide
    .modify(cache, { shards, shardsMaximum: shards })
    .then(() => `modify to ${shards} shards`)
    .catch(() => null);
}

function statusOf({ springtide, cache }: Soaked): Promise<CacheStatus | null> {
  return springtide.daemonRuns ? springtide.cache(cache).catch(() => null) : Promise.resolve(null);
}

function pick<T>({ random }: Soaked, list: readonly T[]): T | undefined {
  return list[Math.floor(random() * list.length)];
}
