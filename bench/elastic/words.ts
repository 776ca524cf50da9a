/** Figures as the report shows them. */
import type { LoadWindow } from './open-loop.ts';

export function perSecond(rate: number): string {
  return `${Math.round(rate).toLocaleString('en')}/s`;
}

/** Two digits that count below 10, none after the point above. */
export function ms(value: number): string {
  return `${value < 10 ? value.toFixed(1) : Math.round(value).toLocaleString('en')} ms`;
}

export function latencies({ p50Ms, p99Ms, maximumMs }: LoadWindow): string {
  return `p50 ${ms(p50Ms)}, p99 ${ms(p99Ms)}, max ${ms(maximumMs)}`;
}

export function errors({ errors, errorsByKind }: LoadWindow): string {
  if (errors === 0) return '0 errors';
  const kinds = Object.entries(errorsByKind).map(([kind, count]) => `${kind} ${count}`);
  return `${errors} errors (${kinds.join(', ')})`;
}
