/** A duration in the words of an event: `84 ms`, `1.7 s`, `12 s`. */
export function seconds(ms: number): string {
  const rounded = Math.round(ms);
  if (rounded < 1_000) return `${rounded} ms`;
  return `${(ms / 1_000).toFixed(ms < 10_000 ? 1 : 0)} s`;
}
