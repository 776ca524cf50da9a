/**
 * A soak: value-checked traffic on a cache of real nodes, and faults and changes of shape in an order of chance, for as long as
 * it is told; then the cache must come to the shape that was asked for last, and every acknowledged write be there.
 */
import { cpSync, mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { CheckedTraffic } from '../../e2e/harness/checked-traffic.ts';
import { randomFrom } from '../../e2e/harness/random.ts';
import { RawClient } from '../../e2e/harness/raw-client.ts';
import { messageOf } from '../../src/lib/errors.ts';
import type { CacheStatus } from '../../src/model/admin-api.ts';
import type { EngineLine } from '../../src/model/cache-spec.ts';
import { isWhole, LiveSpringtide, until } from '../elastic/live-springtide.ts';
import { FAULTS, type Soaked } from './faults.ts';
import { lossesOf } from './losses.ts';

export interface SoakOptions {
  readonly minutes: number;
  readonly seed: number;
  readonly shards: number;
  readonly shardsMaximum: number;
  readonly connections: number;
  readonly proxies: number;
  readonly engineVersion: EngineLine;
  /** The longest pause between two faults. */
  readonly pauseMs: number;
  /** Where the logs of the run are kept; null: of a run that fails, in a new directory of its own. */
  readonly logsDir: string | null;
  log(line: string): void;
}

export interface SoakResult {
  readonly seed: number;
  readonly engine: string;
  readonly minutes: number;
  readonly faults: Readonly<Record<string, number>>;
  readonly requests: number;
  readonly errorsByKind: Readonly<Record<string, number>>;
  readonly slowestRoundMs: number;
  readonly wrong: readonly string[];
  readonly lost: readonly string[];
  /** Acknowledged in the moment before a primary was killed: within what asynchronous replication promises. */
  readonly excusedLosses: number;
  /** Null: it came to the shape that was asked for. */
  readonly shapeFailure: string | null;
  readonly shapeAfterMs: number;
}

const CACHE = 'soak';
const PAUSE_BETWEEN_ROUNDS_MS = 20;
/** Errors of a kind that come within this time of one another have one cause. */
const SAME_ERRORS_MS = 1_000;
/** A shape that does not come in this time does not come. */
const SHAPE_MS = 90_000;

export async function runSoak(options: SoakOptions): Promise<SoakResult> {
  const { seed, log, shards } = options;
  const startedMs = performance.now();
  const say = (text: string) =>
    log(`${((performance.now() - startedMs) / 1000).toFixed(1).padStart(7)} s  ${text}`);
  await using springtide = await LiveSpringtide.start(options.proxies);
  const created = await springtide.create({
    name: CACHE,
    shards,
    replicas: 1,
    engineVersion: options.engineVersion,
  });
  const port = Number(created.endpoint.split(':').at(-1));
  await springtide.whole(CACHE);
  const traffic = new CheckedTraffic(
    { connect: (wanted) => RawClient.connect(port, wanted) },
    CACHE,
    options.connections,
    { pauseMs: PAUSE_BETWEEN_ROUNDS_MS, readsFirst: true, onError: errorTeller(say) },
  );
  const soaked: Soaked = {
    springtide,
    cache: CACHE,
    traffic,
    random: randomFrom(seed),
    deaths: [],
    hurt: new Map(),
    daemonSinceMs: performance.now(),
    shardsMaximum: options.shardsMaximum,
    restarts: new Set(),
  };
  traffic.start();
  await delay(500);
  const faults = await soak(soaked, options, say);
  await Promise.all(soaked.restarts);
  if (!springtide.daemonRuns) await springtide.startDaemon();
  say(`no more faults; ${shards} shards are asked for`);
  const askedMs = performance.now();
  const shapeFailure = await shapeOf(soaked, shards).then(
    () => null,
    (error: unknown) => messageOf(error),
  );
  const shapeAfterMs = performance.now() - askedMs;
  say(shapeFailure ?? `it has its shape after ${Math.round(shapeAfterMs)} ms`);
  // What cannot be read now is a failure of its own.
  const unread = await traffic.stop().then(
    () => null,
    (error: unknown) => `the last read failed: ${messageOf(error)}`,
  );
  const { unexcused, excused } = lossesOf(traffic, soaked.deaths);
  const result: SoakResult = {
    seed,
    engine: created.engineFullVersion ?? options.engineVersion,
    minutes: options.minutes,
    faults,
    requests: traffic.requests,
    errorsByKind: Object.fromEntries(traffic.errors),
    slowestRoundMs: Math.round(traffic.slowestMs),
    wrong: traffic.wrong,
    lost: unexcused,
    excusedLosses: excused,
    shapeFailure: unread ?? shapeFailure,
    shapeAfterMs: Math.round(shapeAfterMs),
  };
  if (isFailed(result)) for (const line of await lastEvents(springtide)) log(line);
  if (isFailed(result) || options.logsDir !== null) {
    const kept = options.logsDir ?? mkdtempSync(join(tmpdir(), 'springtide-soak-logs-'));
    cpSync(join(springtide.dataDir, 'logs'), kept, { recursive: true });
    log(`logs of this run: ${kept}`);
  }
  return result;
}

/** Says of each kind of error that clients get when it begins; a connection that broke is what the faults are there for. */
function errorTeller(say: (text: string) => void): (kind: string, asked: string) => void {
  const saidMs = new Map<string, number>();
  return (kind, asked) => {
    const nowMs = performance.now();
    const isNew = nowMs - (saidMs.get(kind) ?? -Infinity) > SAME_ERRORS_MS;
    saidMs.set(kind, nowMs);
    if (isNew && kind !== 'connection closed') say(`clients get ${kind} (${asked})`);
  };
}

/** Something was lost or wrong, or the cache did not come to its shape. */
export function isFailed(result: SoakResult): boolean {
  return result.wrong.length > 0 || result.lost.length > 0 || result.shapeFailure !== null;
}

async function soak(
  soaked: Soaked,
  { minutes, pauseMs }: SoakOptions,
  say: (text: string) => void,
): Promise<Record<string, number>> {
  const counts: Record<string, number> = {};
  const endMs = performance.now() + minutes * 60_000;
  while (performance.now() < endMs) {
    const name = choose(soaked.random);
    const what = await FAULTS[name]!.run(soaked);
    if (what === null) {
      // The draw goes on, so that the same seed makes the same choices; the machine's pace decides what they meet.
      await delay(50);
      continue;
    }
    say(what);
    counts[name] = (counts[name] ?? 0) + 1;
    await delay(soaked.random() ** 2 * pauseMs);
  }
  return counts;
}

function choose(random: () => number): string {
  const entries = Object.entries(FAULTS);
  let at = random() * entries.reduce((sum, [, { weight }]) => sum + weight, 0);
  for (const [name, { weight }] of entries) {
    at -= weight;
    if (at < 0) return name;
  }
  return entries[0]![0];
}

/** All shards serving, as many as asked for, all replicas in step, every slot owned. */
async function shapeOf({ springtide, cache, hurt }: Soaked, shards: number): Promise<void> {
  hurt.clear();
  await until('the daemon to take the last change', SHAPE_MS, () =>
    springtide.modify(cache, { shards, shardsMaximum: shards }).then(
      () => true,
      () => false,
    ),
  );
  let last = '';
  try {
    await until('the shape', SHAPE_MS, async () => {
      const status = await springtide.cache(cache).catch(() => null);
      const owners = (await springtide.heat(cache).catch(() => null))?.owners;
      if (status === null || owners === undefined) return false;
      last = inWords(status, owners);
      const count = new Set(status.nodes.map(({ shard }) => shard)).size;
      return isWhole(status) && count === shards && owners.every((shard) => shard >= 0);
    });
  } catch (cause) {
    throw new Error(`the cache did not come to its shape: ${last}`, { cause });
  }
}

function inWords({ nodes, state }: CacheStatus, owners: readonly number[]): string {
  const list = nodes.map((node) => `${node.id} ${node.role} of ${node.shard} ${node.state}`);
  const unowned = owners.filter((shard) => shard < 0).length;
  return `${state}; ${list.join(', ')}; ${unowned} slots without an owner`;
}

async function lastEvents(springtide: LiveSpringtide): Promise<string[]> {
  const events = await springtide.events(CACHE).catch(() => []);
  return events
    .slice(-60)
    .map(({ atMs, kind, message }) => `  ${new Date(atMs).toISOString()} ${kind}: ${message}`);
}
