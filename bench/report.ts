/** The results as text: one table per kind of load, idle connections; the goals apart. Plain ASCII columns, fit for a terminal and a file. */
import { checkGoals, type Check } from './goals.ts';
import type { BenchResults, IdleResult } from './sample.ts';
import { cellsOf, median, sameCell, summarise, type CellSummary } from './summary.ts';

/** Everything that there is to say about these results, ending in a line feed. */
export function renderReport(results: BenchResults): string {
  const { settings, machine, versions } = results;
  const head = [
    `Springtide bench, ${results.startedAt}`,
    `${machine.cores} cores, ${machine.cpu}, kernel ${machine.kernel}`,
    Object.entries(versions)
      .map(([name, version]) => `${name} ${version}`)
      .join(', '),
    `GET and SET, ${settings.keys} keys of ${settings.valueBytes} bytes, ${settings.shards} shards, ` +
      `${settings.repetitions} repetition${settings.repetitions === 1 ? '' : 's'}, ` +
      `runs of about ${settings.secondsPerRun} s; medians over commands and repetitions.`,
    'Ratios are to the direct run of the same repetition. CPU is seconds per million requests.',
    ...(results.samples.some((sample) => sample.tls)
      ? ['Runs with TLS include the handshakes of their connections, about 1 ms of CPU each.']
      : []),
    ...results.skipped.map(({ name, reason }) => `Not measured: ${name}: ${reason}`),
  ];
  const sections = [head.join('\n')];
  const tables = loadTables(results);
  if (tables !== '') sections.push(tables);
  if (results.idle.length > 0) sections.push(idleTable(results));
  if (results.failures.length > 0) {
    const lines = results.failures.map(
      (run) =>
        `  ${run.target} ${run.command} P${run.pipeline} c=${run.clients}${run.tls ? ' TLS' : ''} ` +
        `repetition ${run.repetition}: ${run.error}`,
    );
    sections.push(`Failed runs (not counted):\n${lines.join('\n')}`);
  }
  return `${sections.join('\n\n')}\n`;
}

/** How the results stand to the project's goals; empty when they touch none. Not for a user's own cache: it has none. */
export function renderGoals(results: BenchResults): string {
  const checks = checkGoals(results);
  return checks.length === 0 ? '' : `\n${goalTable(checks)}\n`;
}

function loadTables(results: BenchResults): string {
  const labels = new Map(results.targets.map(({ name, label }) => [name, label]));
  const summaries = summarise(results.samples, [...labels.keys()]);
  const header = [
    'target',
    'clients',
    'rps',
    'ratio',
    'p50 ms',
    'p99 ms',
    'CPU proxy',
    'nodes',
    'total',
    'ratio',
  ];
  const tables: string[] = [];
  const cells = cellsOf(results.samples);
  for (const kind of cells.filter(
    (cell, index) =>
      cells.findIndex((other) => other.pipeline === cell.pipeline && other.tls === cell.tls) ===
      index,
  )) {
    const rows: string[][] = [];
    for (const cell of cells.filter((c) => c.pipeline === kind.pipeline && c.tls === kind.tls)) {
      for (const summary of summaries.filter((s) => sameCell(s, cell))) {
        rows.push(loadRow(summary, labels.get(summary.target) ?? summary.target));
      }
    }
    tables.push(
      `Pipeline ${kind.pipeline}${kind.tls ? ', TLS' : ''}\n${renderTable(header, rows)}`,
    );
  }
  return tables.join('\n\n');
}

function loadRow(summary: CellSummary, label: string): string[] {
  return [
    label,
    String(summary.clients),
    String(Math.round(summary.requestsPerSecond)),
    summary.throughputRatio?.median.toFixed(2) ?? '-',
    summary.p50Ms.toFixed(2),
    summary.p99Ms.toFixed(2),
    figure(summary.proxyCpuPerMillion),
    figure(summary.nodeCpuPerMillion),
    figure(summary.proxyCpuPerMillion + summary.nodeCpuPerMillion),
    summary.totalCpuRatio?.median.toFixed(2) ?? '-',
  ];
}

/** Two decimals for what is small: at pipeline 16 a request costs about a microsecond. */
function figure(value: number): string {
  return value.toFixed(value < 10 ? 2 : 1);
}

function idleTable(results: BenchResults): string {
  const labels = new Map(results.targets.map(({ name, label }) => [name, label]));
  const header = ['target', 'idle', 'KB each, proxy', 'nodes', '50 active beside them'];
  const rows = results.idle.map((idle) => [
    labels.get(idle.target) ?? idle.target,
    String(idle.connections),
    ...(idle.error === undefined ? idleFigures(idle) : ['-', '-', `failed: ${idle.error}`]),
  ]);
  return `Idle connections\n${renderTable(header, rows)}`;
}

function idleFigures(idle: IdleResult): string[] {
  return [
    (idle.proxyBytesPerConnection / 1024).toFixed(1),
    (idle.nodeBytesPerConnection / 1024).toFixed(1),
    `${median(idle.heldRatios).toFixed(2)}x`,
  ];
}

function goalTable(checks: readonly Check[]): string {
  const met = checks.filter((check) => check.met).length;
  const rows = checks.map((check) => [
    check.target,
    check.what,
    `${check.value.toFixed(2)}${check.unit === '' ? '' : ` ${check.unit}`}`,
    `${check.bound === 'most' ? '<=' : '>='} ${check.goal}`,
    check.met ? 'ok' : 'MISS',
  ]);
  return `Goals: ${met} of ${checks.length} met\n${renderTable(['target', 'goal', 'value', 'wanted', ''], rows)}`;
}

/** Columns padded to their widest cell: text to the left, figures to the right. */
export function renderTable(
  header: readonly string[],
  rows: readonly (readonly string[])[],
): string {
  const widths = header.map((title, column) =>
    Math.max(title.length, ...rows.map((row) => row[column]?.length ?? 0)),
  );
  const numeric = header.map((_, column) =>
    rows.every((row) => /^[\d.,x-]*$/.test(row[column] ?? '')),
  );
  const line = (cells: readonly string[]): string =>
    `  ${cells
      .map((cell, column) =>
        numeric[column] ? cell.padStart(widths[column]!) : cell.padEnd(widths[column]!),
      )
      .join('  ')}`.trimEnd();
  return [line(header), line(widths.map((width) => '-'.repeat(width))), ...rows.map(line)].join(
    '\n',
  );
}
