/**
 * Divides a cache's request limit among its proxies by their demand. Pure; called about once a second with what they did in the
 * last one.
 *
 * A proxy whose clients did not have to wait keeps what it used and some head-room; the rest is for those whose clients waited,
 * by how many did, so that a client gets the same wherever it is connected. A small part is everybody's, so that a proxy whose
 * clients have just come can begin.
 */

/** What one proxy did. */
export interface LimitDemand {
  readonly usedPerSecond: number;
  /** Clients that waited, on average over the time. */
  readonly waiting: number;
}

/** Of the limit so much, divided equally, is nobody's to lose. */
const EQUAL_PART = 0.1;
/** Head-room over what was used, for a proxy whose clients did not wait. */
const HEAD_ROOM = 1.25;
/** Fewer clients than this, on average, are none. */
export const HUNGRY_WAITING = 0.05;

/** ECPU per second for each proxy, in order; they add up to `maximum`. */
export function divideLimit(maximum: number, demands: readonly LimitDemand[]): number[] {
  const equal = (maximum * EQUAL_PART) / demands.length;
  const rest = maximum - equal * demands.length;
  const hungry = demands.map(({ waiting }) => waiting >= HUNGRY_WAITING);
  if (!hungry.includes(true)) {
    // What is not used by one may be needed by any: by what they use, and a little for those that use nothing.
    const least = Math.max(1, maximum * EQUAL_PART);
    return portions(
      rest,
      demands.map(({ usedPerSecond }) => usedPerSecond + least),
    ).map((part) => equal + part);
  }
  const kept = demands.map(({ usedPerSecond }, i) =>
    hungry[i] ? 0 : Math.max(0, usedPerSecond * HEAD_ROOM - equal),
  );
  // More is kept than there is only when the limit was lowered.
  const scale = Math.min(1, rest / Math.max(1, sum(kept)));
  const left = rest - sum(kept) * scale;
  const shared = portions(
    left,
    demands.map(({ waiting }, i) => (hungry[i] ? waiting : 0)),
  );
  return demands.map((_, i) => equal + kept[i]! * scale + shared[i]!);
}

function portions(whole: number, weights: readonly number[]): number[] {
  const all = sum(weights);
  return weights.map((weight) => (whole * weight) / all);
}

function sum(values: readonly number[]): number {
  return values.reduce((so, value) => so + value, 0);
}
