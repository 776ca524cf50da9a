/**
 * How many requests a second are wanted, over time: the open loop's plan. Rates change in straight lines, so that the time at
 * which request n is due is known exactly; latencies are counted from there, whatever the generator could send by then.
 */

export interface RatePoint {
  /** Since the schedule began. */
  readonly atMs: number;
  readonly perSecond: number;
}

interface Piece {
  readonly fromMs: number;
  /** Requests due before it. */
  readonly before: number;
  /** Per millisecond, and its change per millisecond. */
  readonly rate: number;
  readonly slope: number;
}

export class LoadSchedule {
  readonly #pieces: readonly Piece[];

  /** @param points in order of time, the first at 0; after the last its rate holds */
  constructor(points: readonly RatePoint[]) {
    if (points[0]?.atMs !== 0) throw new RangeError('a schedule begins at 0 ms');
    let before = 0;
    this.#pieces = points.map((point, index) => {
      const next = points[index + 1];
      const lengthMs = next === undefined ? 0 : next.atMs - point.atMs;
      if (lengthMs < 0) throw new RangeError('points of a schedule are in order of time');
      const rate = point.perSecond / 1000;
      const slope = lengthMs === 0 ? 0 : (next!.perSecond / 1000 - rate) / lengthMs;
      const piece = { fromMs: point.atMs, before, rate, slope };
      before += rate * lengthMs + (slope * lengthMs * lengthMs) / 2;
      return piece;
    });
  }

  /** Requests that are due by then. */
  dueBy(atMs: number): number {
    const piece = this.#pieces.findLast(({ fromMs }) => fromMs <= atMs) ?? this.#pieces[0]!;
    const within = Math.max(0, atMs - piece.fromMs);
    return piece.before + piece.rate * within + (piece.slope * within * within) / 2;
  }

  /** When request number `count` (from 0) is due; Infinity when it never is. */
  timeOf(count: number): number {
    const piece = this.#pieces.findLast(({ before }) => before <= count) ?? this.#pieces[0]!;
    const { fromMs, before, rate, slope } = piece;
    const wanted = count - before;
    if (wanted <= 0) return fromMs;
    // rate * t + slope * t^2 / 2 = wanted, in the form that does not lose digits when the slope is small.
    const root = rate * rate + 2 * slope * wanted;
    const denominator = rate + Math.sqrt(Math.max(0, root));
    return denominator === 0 ? Infinity : fromMs + (2 * wanted) / denominator;
  }
}
