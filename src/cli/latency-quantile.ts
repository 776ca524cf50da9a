/** Quantiles from the proxies' latency histograms (model/usage.ts). */
import { LATENCY_BOUNDS_US, type LatencyHistogram } from '../model/usage.ts';

/**
 * The latency below which a fraction `quantile` (0..1) of the requests stayed, microseconds: interpolated inside its
 * bucket, so right to the bucket's width (about x1.6). Null without requests. What lies above the last bound is told as
 * that bound.
 */
export function latencyQuantileUs(histogram: LatencyHistogram, quantile: number): number | null {
  const total = histogram.buckets.reduce((sum, count) => sum + count, 0);
  if (total === 0) return null;
  const rank = quantile * total;
  let below = 0;
  for (const [index, count] of histogram.buckets.entries()) {
    if (count > 0 && below + count >= rank) {
      const lower = index === 0 ? 0 : LATENCY_BOUNDS_US[index - 1]!;
      const upper = LATENCY_BOUNDS_US[index] ?? lower;
      return lower + (upper - lower) * Math.max(0, (rank - below) / count);
    }
    below += count;
  }
  return LATENCY_BOUNDS_US.at(-1)!;
}

/**
 * What happened between two readings of a counter histogram. A proxy that restarted counts from zero again: then the
 * later reading is all there is.
 */
export function histogramSince(
  earlier: LatencyHistogram | undefined,
  later: LatencyHistogram,
): LatencyHistogram {
  if (!earlier || later.buckets.some((count, index) => count < (earlier.buckets[index] ?? 0)))
    return later;
  return {
    buckets: later.buckets.map((count, index) => count - (earlier.buckets[index] ?? 0)),
    count: later.count - earlier.count,
    sumUs: later.sumUs - earlier.sumUs,
  };
}
