import type { EngineLine } from '../model/cache-spec.ts';

/** Nodes of this line take another number of io-threads while they run; older ones keep what they were started with (config.c). */
export function changesIoThreads(line: EngineLine): boolean {
  return Number.parseInt(line, 10) >= 9;
}
