/** The report's section on recorded runs: real against simulated, as a table and as pictures. Every figure is of the run. */
import { formatCount } from '../lib/human-units.ts';
import { COLOURS, renderChart } from './line-chart.ts';
import { markdownTable } from './markdown-table.ts';
import type { Compared, ReplayResult } from './replay.ts';

export interface NamedReplay extends ReplayResult {
  readonly name: string;
}

export function heldAgainstReal(replays: readonly NamedReplay[]): string {
  if (replays.length === 0)
    return 'There are no recordings: `npm run bench:record -- --write` makes them.';
  const valid = replays.filter((one) => one.valid).length;
  return `Short runs with real processes (\`npm run bench:record\`, docs/benchmarks/recordings/), replayed: the same load second by second,
the same planner parameters, the node capacity that was measured in the run. Asked for is agreement within 20 % in shards and in
overloaded seconds (those in which one request in a hundred waited longer than ${replays[0]!.recording.patienceMs} ms), of which two seconds
more or less cannot be told apart. ${valid} of ${replays.length} are within it.

${markdownTable(
  ['run', 'shards, mean', 'shards, peak', 'overloaded s', 'ECPU/s a node', 'load average', ''],
  replays.map((one) => [
    one.recording.about,
    words(one.meanShards, 2),
    words(one.peakShards, 0),
    words(one.overloadedSeconds, 0),
    formatCount(one.recording.nodeEcpuByIoThreads[0]!),
    one.recording.loadAverage.map((load) => load.toFixed(1)).join(' to '),
    one.valid ? 'within 20 %' : '**not within 20 %**',
  ]),
)}

Each cell is real / simulated. ${replays[0]!.recording.machine}. In these runs shards are filled to a third of what the product fills them
to, so that two cores can carry several; a shard leaves after ${Number(replays[0]!.recording.params['inQuietMs']) / 1000} s of quiet. What other work on the machine took from
the nodes is in what is replayed: their capacity, second by second. Where all of the machine is full (the step) waiting is not
comparable: its cores go to the node that is asked most, while the model gives each node the same, so a shard that has too much
takes longer to catch up.

${replays.map(({ name, recording }) => `![${recording.about}](elastic-simulated/real-${name}.svg)`).join('\n\n')}`;
}

export function replayPicture({ recording, simulated }: ReplayResult): string {
  const seconds = (atMs: number): number => atMs / 1000;
  return renderChart({
    title: recording.about,
    subtitle: `real, recorded ${recording.recordedAt.slice(0, 16).replace('T', ' ')} UTC, and simulated`,
    xLabel: 'seconds',
    formatX: String,
    panels: [
      {
        title: 'ECPU/s',
        log: false,
        format: formatCount,
        lines: [
          {
            label: 'asked for',
            colour: COLOURS.grey,
            points: recording.samples.map((one) => [seconds(one.atMs), one.ecpuPerSecond]),
          },
        ],
      },
      {
        title: 'shards',
        log: false,
        format: String,
        lines: [
          {
            label: 'real',
            colour: COLOURS.orange,
            points: recording.samples.map((one) => [seconds(one.atMs), one.shards]),
          },
          {
            label: 'simulated',
            colour: COLOURS.blue,
            dashed: true,
            points: simulated.points.map((one) => [seconds(one.atMs), one.shards]),
          },
        ],
      },
      {
        title: 'p99, ms',
        log: true,
        format: String,
        lines: [
          {
            label: 'real',
            colour: COLOURS.orange,
            points: recording.samples.map((one) => [seconds(one.atMs), one.p99Ms]),
          },
          {
            label: 'simulated',
            colour: COLOURS.blue,
            dashed: true,
            points: simulated.points.map((one) => [seconds(one.atMs), one.p99Ms]),
          },
        ],
      },
    ],
  });
}

function words({ real, simulated, near }: Compared, digits: number): string {
  const text = `${real.toFixed(digits)} / ${simulated.toFixed(digits)}`;
  return near ? text : `**${text}**`;
}
