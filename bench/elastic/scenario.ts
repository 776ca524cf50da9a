/** What a scenario of the elasticity bench is given and what it gives back. */
import type { Chart } from './chart.ts';

/** One line of the report's table. */
export interface Goal {
  /** `a` to `g`, the letters. */
  readonly part: string;
  readonly what: string;
  /** What was asked for, in words. */
  readonly goal: string;
  readonly measured: string;
  readonly met: boolean;
}

export interface ScenarioResult {
  readonly goals: readonly Goal[];
  readonly charts: readonly Chart[];
  /** Everything measured, for the JSON file and for the simulator's calibration. */
  readonly raw: unknown;
}

export interface ScenarioContext {
  readonly proxies: number;
  /** 1: as documented; less: shorter, to try it out. Holds are multiplied by it. */
  readonly scale: number;
  /** Where a child writes what it measured. */
  readonly directory: string;
  log(line: string): void;
}

export type Scenario = (context: ScenarioContext) => Promise<ScenarioResult>;
