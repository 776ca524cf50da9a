/** A line of a structured log (pino's JSON) for reading; any other line stays as it is. */
import type { Style, Terminal } from './terminal.ts';

/** pino's numbers. */
const LEVELS: readonly (readonly [least: number, word: string, style: Style])[] = [
  [60, 'FATAL', 'red'],
  [50, 'ERROR', 'red'],
  [40, 'WARN', 'yellow'],
  [30, 'INFO', 'green'],
  [0, 'DEBUG', 'dim'],
];
/** Said by the level, the time or the file already. */
const LEFT_OUT = new Set(['level', 'time', 'msg', 'pid', 'hostname', 'name', 'err']);

interface LogEntry {
  readonly level: number;
  readonly time: number;
  readonly msg?: string;
  readonly err?: string | { readonly message?: string; readonly code?: string };
  readonly [field: string]: unknown;
}

/** `14:03:07.120 INFO  cache created  cache=main nodes=3`. */
export function readableLogLine(line: string, terminal: Terminal): string {
  const entry = parse(line);
  if (!entry) return line;
  const [, word, style] = LEVELS.find(([least]) => entry.level >= least) ?? LEVELS.at(-1)!;
  const fields = Object.entries(entry)
    .filter(([name]) => !LEFT_OUT.has(name))
    .map(([name, value]) => `${name}=${typeof value === 'string' ? value : JSON.stringify(value)}`);
  const cause = typeof entry.err === 'string' ? entry.err : entry.err?.message;
  const error = cause === undefined ? [] : [`error=${cause}`];
  return [
    terminal.paint('dim', new Date(entry.time).toISOString().slice(11, 23)),
    terminal.paint(style, word.padEnd(5)),
    entry.msg ?? '',
    terminal.paint('dim', [...fields, ...error].join(' ')),
  ]
    .join(' ')
    .trimEnd();
}

function parse(line: string): LogEntry | null {
  if (!line.startsWith('{')) return null;
  try {
    const entry = JSON.parse(line) as Partial<LogEntry>;
    return typeof entry.level === 'number' && typeof entry.time === 'number'
      ? (entry as LogEntry)
      : null;
  } catch {
    return null;
  }
}
