import { SpringtideError } from '../src/lib/errors.ts';

export type BenchErrorCode =
  | 'BENCH_OPTION_INVALID'
  | 'BENCH_TOOL_MISSING'
  | 'BENCH_TARGET_FAILED'
  | 'BENCH_RUN_FAILED'
  | 'BENCH_OUTPUT_UNREADABLE'
  | 'BENCH_INTERRUPTED';

/** Whatever stops a measurement, or one run of it. */
export class BenchError extends SpringtideError<BenchErrorCode> {}
