/** What bench/upgrade.ts found out about one upgrade, from one line of the engine to another. */
export interface UpgradeStep {
  readonly from: string;
  readonly to: string;
  readonly tookMs: number;
  readonly requests: number;
  readonly errorsByKind: Readonly<Record<string, number>>;
  readonly lostWrites: number;
  readonly wrongValues: number;
  /** Longest time that a pipeline of some twenty requests took, and the same in the two quiet seconds before. */
  readonly longestPauseMs: number;
  readonly longestPauseBeforeMs: number;
}
