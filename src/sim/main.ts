/**
 * `npm run sim`: runs all scenarios and replays all recordings and prints their tables; with `--write` also the report and its
 * pictures, in docs/benchmarks. Ends with 1 if a target is missed.
 * `npm run sim -- --replay FILE` holds the model against one recorded run instead; ends with 1 if they are too far apart.
 * `npm run sim -- --calibrate FILE ...` takes what the model is to believe from measurements (measurement.ts) and from the
 * recordings into calibration.json.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { program } from '../lib/program.ts';
import { calibrate } from './calibrate.ts';
import { figuresOf, readCalibrationFile, writeCalibrationFile } from './calibration.ts';
import { replayPicture } from './held-against-real.ts';
import { readMeasurement, type Measurement } from './measurement.ts';
import { manyPicture, scenarioPicture } from './pictures.ts';
import { readRecording, readRecordings } from './recordings.ts';
import { renderReport, targets, terminalTable } from './report.ts';
import { replay, type ReplayResult } from './replay.ts';
import { runAll } from './run-all.ts';

const file = readCalibrationFile();
const command = program('npm run sim --')
  .description(
    'Runs all scenarios in virtual time and replays the recorded runs. Ends with 1 if a target is missed.',
  )
  .option('--write', 'write docs/benchmarks/elastic-simulated.md and its pictures')
  .option('--replay <file>', 'hold the model against a recorded run instead')
  .option('--calibrate', 'take what the model is to believe from measurements instead')
  .argument(
    '[measurements...]',
    'files of bench:elastic --json, bench/move-cost.ts, bench/failover.ts',
  )
  .parse();
const options = command.opts<{
  readonly replay?: string;
  readonly calibrate?: true;
  readonly write?: true;
}>();
if (options.calibrate === true) measured(command.args);
else if (options.replay !== undefined) compare(options.replay);
else simulate();

function measured(paths: readonly string[]): void {
  const measurements = paths.map((path): Measurement => readMeasurement(path));
  const recordings = readRecordings().map(({ recording }) => recording);
  const after = calibrate(file, measurements, recordings);
  for (const name of Object.keys(after) as (keyof typeof after)[]) {
    const { value, unit } = after[name];
    if (String(file[name].value) !== String(value))
      process.stdout.write(`${name}: ${String(file[name].value)} -> ${String(value)} ${unit}\n`);
  }
  writeCalibrationFile(after);
}

function compare(path: string): void {
  const result = replay(readRecording(path), figuresOf(file));
  show(result);
  if (!result.valid) process.exitCode = 1;
}

function show({ recording, meanShards, peakShards, overloadedSeconds, valid }: ReplayResult): void {
  process.stdout.write(`${recording.about}: ${valid ? 'within 20 %' : 'NOT within 20 %'}\n`);
  for (const [name, { real, simulated }] of Object.entries({
    meanShards,
    peakShards,
    overloadedSeconds,
  }))
    process.stdout.write(`  ${name}: ${real.toFixed(2)} real, ${simulated.toFixed(2)} simulated\n`);
}

function simulate(): void {
  const all = runAll(figuresOf(file), (line) => process.stderr.write(`${line}\n`));
  const replays = readRecordings().map(({ name, recording }) => ({
    name,
    ...replay(recording, figuresOf(file)),
  }));
  process.stdout.write(`${terminalTable(all)}\n\n`);
  const judged = targets(all);
  for (const { name, target, reached, met } of judged)
    process.stdout.write(`${met ? 'met   ' : 'MISSED'} ${name}: ${reached} (${target})\n`);
  for (const one of replays) show(one);
  if (judged.some(({ met }) => !met)) process.exitCode = 1;
  if (options.write !== true) return;

  const folder = new URL('../../docs/benchmarks/elastic-simulated/', import.meta.url);
  mkdirSync(folder, { recursive: true });
  for (const pair of all.pairs)
    writeFileSync(new URL(`${pair.scenario.name}.svg`, folder), scenarioPicture(pair));
  writeFileSync(new URL('thousand-caches.svg', folder), manyPicture(all.many));
  for (const one of replays)
    writeFileSync(new URL(`real-${one.name}.svg`, folder), replayPicture(one));
  writeFileSync(new URL('../elastic-simulated.md', folder), renderReport(all, file, replays));
}
