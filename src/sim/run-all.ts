/** All scenarios of the report, each planned and reactive (the same planner, forecast off). */
import type { Calibration } from './calibration.ts';
import { runScenario } from './run-scenario.ts';
import type { Outcome, Scenario } from './scenario.ts';
import {
  doubling,
  doublingWithFaults,
  hotKey,
  hotSlot,
  mealDay,
  night,
  preScaled,
  step,
  stepLarge,
  zoneLost,
} from './scenarios.ts';
import { runThousandCaches, type ManyOutcome } from './thousand-caches.ts';

export interface Pair {
  readonly scenario: Scenario;
  readonly planned: Outcome;
  readonly reactive: Outcome;
}

export interface ManyPair {
  readonly planned: ManyOutcome;
  readonly reactive: ManyOutcome;
}

export interface AllOutcomes {
  readonly pairs: readonly Pair[];
  readonly many: ManyPair;
  readonly prewarmedForMany: number;
}

export const DOUBLING_POOL = 40;
const CACHES = 1000;
const MANY_PREWARMED = 250;
const REACTIVE = { forecast: false } as const;

export function scenarios(): Scenario[] {
  return [
    doubling(120_000, 8),
    doubling(30_000, DOUBLING_POOL),
    doubling(15_000, DOUBLING_POOL),
    doublingWithFaults(30_000, DOUBLING_POOL),
    step,
    stepLarge,
    preScaled,
    mealDay,
    hotSlot,
    hotKey(false),
    hotKey(true),
    night,
    zoneLost,
  ];
}

export function runAll(calibration: Calibration, progress: (line: string) => void): AllOutcomes {
  const pairs = scenarios().map((scenario): Pair => {
    progress(scenario.title);
    return {
      scenario,
      planned: runScenario(scenario, { variant: 'planned', params: {}, calibration }),
      reactive: runScenario(scenario, { variant: 'reactive', params: REACTIVE, calibration }),
    };
  });
  const many = (params: { readonly forecast?: boolean }): ManyOutcome =>
    runThousandCaches({
      caches: CACHES,
      durationMs: 200_000,
      prewarmed: MANY_PREWARMED,
      calibration,
      params,
    });
  progress(`${CACHES} caches on one fleet`);
  return {
    pairs,
    many: { planned: many({}), reactive: many(REACTIVE) },
    prewarmedForMany: MANY_PREWARMED,
  };
}
