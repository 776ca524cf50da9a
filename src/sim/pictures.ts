/** The pictures of the report, one for each scenario. */
import { formatCount } from '../lib/human-units.ts';
import { COLOURS, renderChart, type Chart } from './line-chart.ts';
import type { ManyPair, Pair } from './run-all.ts';
import type { Outcome, Point } from './scenario.ts';

const HOUR_MS = 3_600_000;

export function scenarioPicture({ scenario, planned, reactive }: Pair): string {
  const hours = scenario.durationMs >= 3 * HOUR_MS;
  const xOf = (atMs: number): number => (hours ? atMs / HOUR_MS : atMs / 1000);
  const line = (outcome: Outcome, of: (point: Point) => number): (readonly [number, number])[] =>
    outcome.points.map((point) => [xOf(point.atMs), of(point)] as const);
  const firstHour = hours ? (scenario.startMs % (24 * HOUR_MS)) / HOUR_MS : 0;
  return renderChart({
    title: scenario.title,
    subtitle: scenario.assumptions,
    xLabel: hours ? 'hour of the day' : 'seconds',
    formatX: (value) => String(Number((value + firstHour).toFixed(1))),
    panels: [
      {
        title: 'requests/s',
        log: true,
        format: formatCount,
        lines: [
          {
            label: 'offered',
            colour: COLOURS.grey,
            points: line(planned, (point) => point.offered),
          },
          {
            label: 'lost, planned',
            colour: COLOURS.blue,
            points: line(planned, (point) => point.lost).filter(([, y]) => y > 0),
          },
          {
            label: 'lost, reactive',
            colour: COLOURS.red,
            dashed: true,
            points: line(reactive, (point) => point.lost).filter(([, y]) => y > 0),
          },
        ].filter(({ points }) => points.length > 0),
      },
      {
        title: 'nodes',
        log: false,
        format: String,
        lines: [
          { label: 'ideal', colour: COLOURS.grey, points: line(planned, (point) => point.ideal) },
          { label: 'planned', colour: COLOURS.blue, points: line(planned, (point) => point.nodes) },
          {
            label: 'reactive',
            colour: COLOURS.red,
            dashed: true,
            points: line(reactive, (point) => point.nodes),
          },
        ],
      },
      {
        title: 'p99, ms',
        log: true,
        format: (value) => String(value),
        lines: [
          { label: 'planned', colour: COLOURS.blue, points: line(planned, (point) => point.p99Ms) },
          {
            label: 'reactive',
            colour: COLOURS.red,
            dashed: true,
            points: line(reactive, (point) => point.p99Ms),
          },
        ],
      },
    ],
  } satisfies Chart);
}

export function manyPicture({ planned }: ManyPair): string {
  const line = (of: (point: (typeof planned.points)[number]) => number) =>
    planned.points.map((point) => [point.atMs / 1000, of(point)] as const);
  return renderChart({
    title: `${planned.caches} caches on one fleet`,
    subtitle: 'one in twenty grows eightfold within half a minute, all of them together',
    xLabel: 'seconds',
    formatX: String,
    panels: [
      {
        title: 'requests/s of all',
        log: false,
        format: formatCount,
        lines: [{ label: 'offered', colour: COLOURS.grey, points: line((point) => point.offered) }],
      },
      {
        title: 'nodes',
        log: false,
        format: String,
        lines: [
          { label: 'of caches', colour: COLOURS.blue, points: line((point) => point.nodes) },
          { label: 'warm pool', colour: COLOURS.orange, points: line((point) => point.pool) },
        ],
      },
    ],
  });
}
