/** Numbers as people write and read them: sizes, durations, counts. Parsing throws RangeError with one sentence. */

const SIZE_FACTORS: Readonly<Record<string, number>> = {
  '': 1,
  b: 1,
  k: 1000,
  kb: 1024,
  kib: 1024,
  m: 1000 ** 2,
  mb: 1024 ** 2,
  mib: 1024 ** 2,
  g: 1000 ** 3,
  gb: 1024 ** 3,
  gib: 1024 ** 3,
  t: 1000 ** 4,
  tb: 1024 ** 4,
  tib: 1024 ** 4,
  p: 1000 ** 5,
  pb: 1024 ** 5,
  pib: 1024 ** 5,
};

/** `512mb`, `2gb`, `1.5GiB`, `1048576`: bytes. The units are those of valkey.conf (`k` is 1000, `kb` is 1024). */
export function parseBytes(text: string): number {
  const match = /^(\d+(?:\.\d+)?)\s*([a-z]*)$/i.exec(text.trim());
  const factor = match && SIZE_FACTORS[match[2]!.toLowerCase()];
  if (!factor) throw new RangeError(`"${text}" is not a size; write for example 512mb or 2gb`);
  const bytes = Number(match[1]) * factor;
  if (!Number.isInteger(Math.round(bytes)) || bytes > Number.MAX_SAFE_INTEGER)
    throw new RangeError(`"${text}" is too large a size`);
  return Math.round(bytes);
}

/** `5000`, `10k`, `1.5m`: a count. */
export function parseCount(text: string): number {
  const match = /^(\d+(?:\.\d+)?)([km]?)$/i.exec(text.trim());
  if (!match) throw new RangeError(`"${text}" is not a count; write for example 5000 or 10k`);
  return Math.round(Number(match[1]) * { '': 1, k: 1e3, m: 1e6 }[match[2]!.toLowerCase()]!);
}

/** `500ms`, `5s`, `1m`; a bare number is milliseconds. */
export function parseDurationMs(text: string): number {
  const match = /^(\d+(?:\.\d+)?)\s*(ms|s|m)?$/.exec(text.trim());
  if (!match) throw new RangeError(`"${text}" is not a duration; write for example 500ms or 5s`);
  return Math.round(Number(match[1]) * { ms: 1, s: 1000, m: 60_000 }[match[2] ?? 'ms']!);
}

/** Three significant figures and the unit `parseBytes` reads back: `0 B`, `1.5 KB`, `512 MB`, `2 GB`. */
export function formatBytes(bytes: number): string {
  return scale(bytes, 1024, [' B', ' KB', ' MB', ' GB', ' TB', ' PB']);
}

/** `950`, `12.3k`, `4.56M`. */
export function formatCount(count: number): string {
  return scale(count, 1000, ['', 'k', 'M', 'G', 'T']);
}

function scale(value: number, base: number, units: readonly string[]): string {
  let scaled = value;
  let index = 0;
  // 999.5 would print as "1000": it belongs to the next unit.
  while (Math.abs(scaled) >= base - base / 2000 && index < units.length - 1) {
    scaled /= base;
    index += 1;
  }
  const digits = index === 0 ? 0 : Math.abs(scaled) >= 100 ? 0 : Math.abs(scaled) >= 10 ? 1 : 2;
  return `${Number(scaled.toFixed(digits))}${units[index]}`;
}

/** Microseconds: `80 µs`, `1.25 ms`, `5 s`. */
export function formatMicros(micros: number): string {
  if (micros < 1000) return `${Math.round(micros)} µs`;
  if (micros < 1e6) return `${Number((micros / 1000).toPrecision(3))} ms`;
  return `${Number((micros / 1e6).toPrecision(3))} s`;
}

/** The two largest units: `42s`, `3m 5s`, `2h 10m`, `4d 3h`. */
export function formatAge(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  if (seconds < 60) return `${seconds}s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes}m ${seconds % 60}s`;
  const hours = Math.floor(minutes / 60);
  if (hours < 24) return `${hours}h ${minutes % 60}m`;
  return `${Math.floor(hours / 24)}d ${hours % 24}h`;
}
