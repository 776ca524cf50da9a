/** A cache's heat in numbers that JSON knows, rounded to what they can tell. */
import {
  SLOT_MEASURES,
  type CacheHeat,
  type CacheHeatAnswer,
  type SlotMeasure,
  type SlotRates,
} from '../model/heat.ts';

export function heatAnswer(heat: CacheHeat): CacheHeatAnswer {
  return {
    ...heat,
    rates: ratesAnswer(heat.rates),
    smoothed: ratesAnswer(heat.smoothed),
    keys: [...heat.keys],
    cpuUsPerSecond: rounded(heat.cpuUsPerSecond),
    memoryBytes: Array.from(heat.memoryBytes, Math.round),
    owners: [...heat.owners],
  };
}

function ratesAnswer(rates: SlotRates): CacheHeatAnswer['rates'] {
  return Object.fromEntries(
    SLOT_MEASURES.map((measure) => [measure, rounded(rates[measure])]),
  ) as Record<SlotMeasure, number[]>;
}

function rounded(values: Float64Array): number[] {
  return Array.from(values, (value) => Math.round(value * 100) / 100);
}
