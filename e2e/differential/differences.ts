/**
 * Where a cache answers differently from one plain server, and why. The differential test allows these and no others, and
 * fails when one of them is no difference any more.
 */
export interface Difference {
  /** The case's line, whole. */
  readonly line: string;
  readonly cache: 'sharded' | 'unsharded' | 'both';
  /** What the cache says instead: the reply as text, in RESP2 and RESP3. */
  readonly proxy: RegExp;
  readonly reason: string;
}

export const differences: readonly Difference[] = [];
