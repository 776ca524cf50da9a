/** Which engine line is the older one. */
import { ENGINE_LINES, type EngineLine } from '../model/cache-spec.ts';

export function isOlderLine(line: EngineLine, than: EngineLine): boolean {
  return age(line) > age(than);
}

/** @throws RangeError for no line at all */
export function oldestLine(lines: readonly EngineLine[]): EngineLine {
  const oldest = lines.toSorted((a, b) => age(b) - age(a))[0];
  if (oldest === undefined) throw new RangeError('there is no line to choose from');
  return oldest;
}

/** The lines are listed newest first. */
function age(line: EngineLine): number {
  return ENGINE_LINES.indexOf(line);
}
