/** `--planner-params JSON`, for benches and tests: a run that is to take minutes cannot wait as long as the product does. */
import { DEFAULT_PLANNER_PARAMS, type PlannerParams } from '../control/policies/planner-params.ts';

/** @throws Error unless it is an object of the planner's own names, each with a value of the kind that it has */
export function plannerParamsOption(text: string): Partial<PlannerParams> {
  const given = Object.entries(JSON.parse(text) as Record<string, unknown>);
  for (const [name, value] of given) {
    const known: unknown = DEFAULT_PLANNER_PARAMS[name as keyof PlannerParams];
    if (known === undefined) throw new Error(`--planner-params: there is no ${name}`);
    const isLike =
      typeof value === typeof known &&
      Array.isArray(value) === Array.isArray(known) &&
      [value].flat().every((one) => typeof one === typeof [known].flat()[0]);
    if (!isLike) throw new Error(`--planner-params: ${name} is not like ${JSON.stringify(known)}`);
  }
  return Object.fromEntries(given);
}
