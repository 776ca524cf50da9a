/** (f) 8.0 to 8.1 to 9.1 under load. Runs bench/upgrade.ts. */
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { UpgradeStep } from '../upgrade-step.ts';
import type { Goal, ScenarioContext, ScenarioResult } from './scenario.ts';
import { ms } from './words.ts';

const UPGRADE = fileURLToPath(new URL('../upgrade.ts', import.meta.url));

export async function versions(context: ScenarioContext): Promise<ScenarioResult> {
  context.log('(f) 8.0 to 8.1 to 9.1 under load');
  const file = join(context.directory, 'upgrade.json');
  const keys = String(Math.max(10_000, Math.round(100_000 * context.scale)));
  // Its exit code says what its figures say.
  await promisify(execFile)(process.execPath, [UPGRADE, '--keys', keys, '--json', file]).catch(
    () => {},
  );
  const result = JSON.parse(readFileSync(file, 'utf8')) as { readonly steps: UpgradeStep[] };
  return { goals: result.steps.map(goalOf), charts: [], raw: result };
}

function goalOf(step: UpgradeStep): Goal {
  const failed = Object.values(step.errorsByKind).reduce((sum, count) => sum + count, 0);
  return {
    part: 'f',
    what: `upgrade ${step.from} to ${step.to} under value-checked traffic: ${ms(step.tookMs)}`,
    goal: '0 errors, nothing lost, nothing wrong',
    measured: `${failed} errors, ${step.lostWrites} writes lost, ${step.wrongValues} wrong values in ${step.requests.toLocaleString('en')} requests; longest pause ${ms(step.longestPauseMs)} (before: ${ms(step.longestPauseBeforeMs)})`,
    met: failed + step.lostWrites + step.wrongValues === 0,
  };
}
