/**
 * Which lost writes are within what is promised. Replication is asynchronous: what a primary acknowledged in the moment before
 * it died, and had not yet written to its replica's socket, dies with it (docs/operations.md). Anything older, or acknowledged
 * by whoever came after it, may not be lost.
 */
import type { CheckedTraffic } from '../../e2e/harness/checked-traffic.ts';

/** A primary was killed or stopped then (performance.now()). */
export type PrimaryLossMs = number;

/** On a loaded machine a killed process's last writes to its replica are as old as this. */
const BEFORE_MS = 500;
/** An answer that was on its way is counted as acknowledged when it is read. */
const AFTER_MS = 200;

export interface Losses {
  /** Acknowledged writes and increments lost that nothing excuses, each in words. */
  readonly unexcused: readonly string[];
  /** How many were in the window before a primary's death. */
  readonly excused: number;
}

export function lossesOf(
  traffic: Pick<CheckedTraffic, 'lost' | 'lostCounts'>,
  deaths: readonly PrimaryLossMs[],
): Losses {
  const isExcused = (loss: { readonly acknowledgedMs: number; readonly firstLostMs: number }) =>
    deaths.some(
      (atMs) => loss.firstLostMs >= atMs - BEFORE_MS && loss.acknowledgedMs <= atMs + AFTER_MS,
    );
  const unexcused: string[] = [];
  let excused = 0;
  for (const loss of traffic.lost) {
    if (isExcused(loss)) excused++;
    else
      unexcused.push(
        `${loss.key}: ${loss.acknowledged} was acknowledged${agoOf(loss, deaths)}, ${loss.found} was read`,
      );
  }
  for (const loss of traffic.lostCounts) {
    if (isExcused(loss)) excused += loss.count;
    else unexcused.push(`${loss.key}: ${loss.count} increments are missing${agoOf(loss, deaths)}`);
  }
  return { unexcused, excused };
}

function agoOf(
  loss: { readonly acknowledgedMs: number; readonly firstLostMs: number },
  deaths: readonly PrimaryLossMs[],
): string {
  const distances = deaths.map((atMs) => atMs - loss.acknowledgedMs);
  const nearest = distances.toSorted((a, b) => Math.abs(a) - Math.abs(b))[0];
  const age =
    loss.firstLostMs === 0
      ? 'long ago'
      : `over ${Math.round(loss.acknowledgedMs - loss.firstLostMs)} ms`;
  return nearest === undefined
    ? ` (${age}; no primary died)`
    : ` (${age}, ${Math.round(nearest)} ms before the nearest death of a primary)`;
}
