/** What was done and soon undone: a cache that flaps. Pure. */
import type { Decision } from '../../src/model/admin-api.ts';
import type { ShapeSample } from './shape-watch.ts';

/** How often the number of shards changed its direction. */
export function shapeReversals(shapes: readonly Pick<ShapeSample, 'shards'>[]): number {
  let reversals = 0;
  let direction = 0;
  for (let i = 1; i < shapes.length; i++) {
    const change = Math.sign(shapes[i]!.shards - shapes[i - 1]!.shards);
    if (change === 0) continue;
    if (direction !== 0 && change !== direction) reversals++;
    direction = change;
  }
  return reversals;
}

/** Moves of slots from a shard to another for which one in the opposite direction came before. */
export function moveReversals(
  decisions: readonly Pick<Decision, 'step' | 'startedAtMs'>[],
): number {
  const seen = new Set<string>();
  let reversals = 0;
  for (const { step } of decisions.toSorted((a, b) => a.startedAtMs - b.startedAtMs)) {
    const match = /^move-slots (\d+) -> (\d+)/.exec(step);
    if (match === null) continue;
    const [, from, to] = match;
    if (seen.has(`${to}>${from}`)) reversals++;
    seen.add(`${from}>${to}`);
  }
  return reversals;
}
