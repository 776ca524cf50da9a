/** (g) What the last long soak found, for the table. */
import { existsSync, readFileSync } from 'node:fs';
import { isFailed, type SoakResult } from '../soak/run-soak.ts';
import type { Goal } from './scenario.ts';

/** Null: there was none. */
export function soakGoal(file: string): Goal | null {
  if (!existsSync(file)) return null;
  const result = JSON.parse(readFileSync(file, 'utf8')) as SoakResult;
  const faults = Object.values(result.faults).reduce((sum, count) => sum + count, 0);
  const kinds = Object.entries(result.faults).map(([kind, count]) => `${kind} ${count}`);
  const shape =
    result.shapeFailure ?? `its shape ${(result.shapeAfterMs / 1000).toFixed(1)} s after the last`;
  return {
    part: 'g',
    what: `${result.minutes} minutes of value-checked traffic under ${faults} random faults and changes (${kinds.join(', ')}; seed ${result.seed})`,
    goal: 'nothing lost, nothing wrong, the shape that was asked for',
    measured: `${result.lost.length} lost (and ${result.excusedLosses} of the moment before a primary was killed, which asynchronous replication does not promise), ${result.wrong.length} wrong values in ${result.requests.toLocaleString('en')} requests; ${shape}`,
    met: !isFailed(result),
  };
}
