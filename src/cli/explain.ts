/** `springtide explain`: why a cache has the shape that it has, and what is being done about it. */
import type { Command } from 'commander';
import { formatBytes } from '../lib/human-units.ts';
import type { CapacityReport, Decision } from '../model/admin-api.ts';
import { clientOf, integer, withDataDir, withJson, type DataDirOption } from './command-options.ts';
import { formatTable, wrapWords } from './table.ts';
import type { Terminal } from './terminal.ts';

interface ExplainOptions extends DataDirOption {
  readonly json?: boolean;
  readonly lines: number;
}

export function registerExplain(program: Command, terminal: Terminal): void {
  withJson(
    withDataDir(
      program
        .command('explain')
        .description('show why a cache has the shape it has: figures, decisions, alternatives')
        .argument('<name>', 'cache')
        .option('-n, --lines <count>', 'last decisions', integer(1, 100), 10),
    ),
  ).action(async (name: string, options: ExplainOptions) => {
    const report = await clientOf(options, terminal).call<CapacityReport>(
      'GET',
      `/v1/caches/${encodeURIComponent(name)}/explain`,
    );
    if (options.json) return terminal.out(JSON.stringify(report, null, 2));
    const { paint, interactive } = terminal;
    // Lines that a program searches stay whole.
    const columns = interactive ? terminal.columns : Number.POSITIVE_INFINITY;
    for (const line of reportLines(report, options.lines, { paint, columns })) terminal.out(line);
  });
}

/** What a person reads. */
function reportLines(
  report: CapacityReport,
  decisions: number,
  terminal: Pick<Terminal, 'paint' | 'columns'>,
): string[] {
  const heading = (text: string) => terminal.paint('bold', text);
  const { pool } = report;
  const shown = report.decisions.slice(0, decisions).toReversed();
  return [
    heading(`Cache ${report.cache}`),
    ...formatTable(
      [
        { title: 'SHARD', align: 'right' },
        { title: 'STATE' },
        { title: 'SLOTS', align: 'right' },
        { title: 'IO THREADS', align: 'right' },
        { title: 'MEMORY LIMIT', align: 'right' },
      ],
      report.shards.map(({ shard, state, slots, ioThreads, memoryMaximumBytes }) => [
        `${shard}`,
        state,
        `${slots}`,
        `${ioThreads}`,
        memoryMaximumBytes === 0 ? 'none' : formatBytes(memoryMaximumBytes),
      ]),
      (text) => terminal.paint('dim', text),
    ),
    `Warm pool: ${pool.ready} ready${pool.starting === 0 ? '' : `, ${pool.starting} starting`}`,
    '',
    heading('What the last plan rests on'),
    ...(report.explanations.length === 0
      ? ['  nothing yet: the first plan follows within a second or two']
      : report.explanations.flatMap(({ about, text }) =>
          wrapWords(`  ${terminal.paint('dim', about)}  ${text}`, terminal.columns, 2),
        )),
    '',
    heading('Decisions'),
    ...(shown.length === 0
      ? ['  none yet']
      : shown.flatMap((decision) => decisionLines(decision, terminal))),
  ];
}

function decisionLines(
  decision: Decision,
  terminal: Pick<Terminal, 'paint' | 'columns'>,
): string[] {
  const { startedAtMs, step, reason, rejected, error } = decision;
  const when = new Date(startedAtMs).toTimeString().slice(0, 8);
  return [
    `  ${terminal.paint('dim', when)}  ${terminal.paint('bold', step)}  ${outcome(decision, terminal)}`,
    ...[
      `because ${reason}`,
      ...rejected.map((alternative) => `not: ${alternative}`),
      ...(error === null ? [] : [`error: ${error}`]),
    ].flatMap((text) => wrapWords(`            ${text}`, terminal.columns, 2)),
  ];
}

function outcome(decision: Decision, terminal: Pick<Terminal, 'paint'>): string {
  const { state, fraction, startedAtMs, finishedAtMs } = decision;
  if (state === 'failed') return terminal.paint('red', 'failed');
  if (state === 'done') {
    return terminal.paint('green', `done in ${(finishedAtMs ?? startedAtMs) - startedAtMs} ms`);
  }
  return fraction === null ? 'running' : `running, ${Math.floor(fraction * 100)} %`;
}
