/** (e) A killed primary, a hung one: how long writes stand still. Runs bench/failover.ts on a cache of its own. */
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { LiveSpringtide } from './live-springtide.ts';
import type { Goal, ScenarioContext, ScenarioResult } from './scenario.ts';
import { ms } from './words.ts';

const FAILOVER = fileURLToPath(new URL('../failover.ts', import.meta.url));
const CACHE = 'failures';
const KILLED_P50_MS = 100;
const HUNG_MAXIMUM_MS = 3_000;

interface FailoverResult {
  readonly kind: string;
  readonly rounds: number;
  readonly pauseMs: { readonly p50: number; readonly p99: number; readonly max: number };
  readonly keysThatLostAcknowledgedWrites: number;
  readonly errorsByKind: Readonly<Record<string, number>>;
}

export async function failures(context: ScenarioContext): Promise<ScenarioResult> {
  await using springtide = await LiveSpringtide.start(context.proxies);
  await springtide.create({ name: CACHE, shards: 3, replicas: 1 });
  await springtide.whole(CACHE);
  const rounds = (count: number) => Math.max(3, Math.round(count * context.scale));
  const run = async (kind: string, kills: number, ...args: string[]): Promise<FailoverResult> => {
    context.log(`(e) ${kind}, ${kills} times`);
    const file = join(context.directory, `failover-${kind}.json`);
    const all = ['--data-dir', springtide.dataDir, '--cache', CACHE, '--kills', String(kills)];
    await promisify(execFile)(process.execPath, [FAILOVER, ...all, '--json', file, ...args]);
    return JSON.parse(readFileSync(file, 'utf8')) as FailoverResult;
  };
  const killed = await run('kill', rounds(30));
  const planned = await run('planned', rounds(20), '--planned');
  const hung = await run('hang', rounds(10), '--hang');
  return {
    goals: [
      pauseGoal(
        'a killed primary (kill -9)',
        killed,
        `p50 at most ${KILLED_P50_MS} ms`,
        killed.pauseMs.p50 <= KILLED_P50_MS,
      ),
      pauseGoal(
        'a hung primary (kill -STOP)',
        hung,
        `max at most ${HUNG_MAXIMUM_MS / 1000} s`,
        hung.pauseMs.max <= HUNG_MAXIMUM_MS,
      ),
      {
        ...pauseGoal('a planned failover', planned, 'no error, no write lost', true),
        met: sumOf(planned.errorsByKind) === 0 && planned.keysThatLostAcknowledgedWrites === 0,
      },
    ],
    charts: [],
    raw: { killed, planned, hung },
  };
}

function pauseGoal(what: string, result: FailoverResult, goal: string, met: boolean): Goal {
  const { p50, max } = result.pauseMs;
  const failed = sumOf(result.errorsByKind);
  return {
    part: 'e',
    what: `writes resume after ${what}, ${result.rounds} times`,
    goal,
    measured: `p50 ${ms(p50)}, max ${ms(max)}; ${failed} errors; ${result.keysThatLostAcknowledgedWrites} keys lost a write`,
    met,
  };
}

function sumOf(counts: Readonly<Record<string, number>>): number {
  return Object.values(counts).reduce((sum, count) => sum + count, 0);
}
