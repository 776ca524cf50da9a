/**
 * Latencies in buckets that grow by an eighth of their size (as HdrHistogram's do), from a microsecond up to a minute: cheap
 * to count, to add up and to send. A quantile is the upper edge of its bucket: at most 12.5 % too high, never too low.
 */
const SUB_BITS = 3;
const SUB = 1 << SUB_BITS;
const MAXIMUM_US = 60_000_000;
const BUCKETS = bucketOf(MAXIMUM_US) + 1;

export class LatencyHistogram {
  readonly counts = new Float64Array(BUCKETS);
  maximumUs = 0;

  /** @param times how many had this latency */
  record(us: number, times = 1): void {
    const value = us < 0 ? 0 : us > MAXIMUM_US ? MAXIMUM_US : us;
    this.counts[bucketOf(value)]! += times;
    if (value > this.maximumUs) this.maximumUs = value;
  }

  add(other: LatencyHistogram): void {
    for (let i = 0; i < BUCKETS; i++) this.counts[i]! += other.counts[i]!;
    this.maximumUs = Math.max(this.maximumUs, other.maximumUs);
  }

  get total(): number {
    return this.counts.reduce((sum, count) => sum + count, 0);
  }

  /** Milliseconds; 0 when nothing was recorded. `q` 0..1. */
  quantileMs(q: number): number {
    const wanted = Math.max(1, Math.ceil(q * this.total));
    let seen = 0;
    for (let i = 0; i < BUCKETS; i++) {
      seen += this.counts[i]!;
      if (seen >= wanted) return Math.min(upperEdgeUs(i), this.maximumUs) / 1000;
    }
    return 0;
  }

  get maximumMs(): number {
    return this.maximumUs / 1000;
  }

  /** For another thread. */
  static of(counts: Float64Array, maximumUs: number): LatencyHistogram {
    const histogram = new LatencyHistogram();
    histogram.counts.set(counts);
    histogram.maximumUs = maximumUs;
    return histogram;
  }
}

function bucketOf(us: number): number {
  const value = Math.floor(us);
  if (value < SUB) return value;
  const exponent = 31 - Math.clz32(value) - SUB_BITS;
  return (exponent << SUB_BITS) + (value >>> exponent);
}

function upperEdgeUs(bucket: number): number {
  if (bucket < SUB) return bucket + 1;
  const exponent = (bucket >>> SUB_BITS) - 1;
  return ((bucket & (SUB - 1)) + SUB + 1) * 2 ** exponent;
}
