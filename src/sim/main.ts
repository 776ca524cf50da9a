/**
 * `npm run sim`: runs all scenarios, prints their table, writes the report and its pictures. Ends with 1 if a target is missed.
 * `npm run sim -- --replay FILE` holds the model against a recorded run instead; ends with 1 if they are too far apart.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { Command } from 'commander';
import { figuresOf, readCalibrationFile } from './calibration.ts';
import { manyPicture, scenarioPicture } from './pictures.ts';
import { renderReport, targets, terminalTable } from './report.ts';
import { recordingSchema, replay } from './replay.ts';
import { runAll } from './run-all.ts';

const file = readCalibrationFile();
const options = new Command('npm run sim --')
  .description(
    'Runs all scenarios in virtual time and writes docs/benchmarks/elastic-simulated.md with its pictures. Ends with 1 if a target is missed.',
  )
  .option('--replay <file>', 'hold the model against a recorded run instead; write nothing')
  .allowExcessArguments(false)
  .parse()
  .opts<{ readonly replay?: string }>();
if (options.replay === undefined) simulate();
else compare(options.replay);

function compare(path: string): void {
  const recording = recordingSchema.parse(JSON.parse(readFileSync(path, 'utf8')));
  const { valid, ...figures } = replay(recording, figuresOf(file));
  process.stdout.write(`${recording.about}\n`);
  for (const [name, { real, simulated }] of Object.entries(figures))
    process.stdout.write(`${name}: ${real.toFixed(2)} real, ${simulated.toFixed(2)} simulated\n`);
  process.stdout.write(valid ? 'within 20 %\n' : 'NOT within 20 %\n');
  if (!valid) process.exitCode = 1;
}

function simulate(): void {
  const all = runAll(figuresOf(file), (line) => process.stderr.write(`${line}\n`));
  process.stdout.write(`${terminalTable(all)}\n\n`);
  const judged = targets(all);
  for (const { name, target, reached, met } of judged)
    process.stdout.write(`${met ? 'met   ' : 'MISSED'} ${name}: ${reached} (${target})\n`);

  const folder = new URL('../../docs/benchmarks/elastic-simulated/', import.meta.url);
  mkdirSync(folder, { recursive: true });
  for (const pair of all.pairs)
    writeFileSync(new URL(`${pair.scenario.name}.svg`, folder), scenarioPicture(pair));
  writeFileSync(new URL('thousand-caches.svg', folder), manyPicture(all.many));
  writeFileSync(new URL('../elastic-simulated.md', folder), renderReport(all, file));
  if (judged.some(({ met }) => !met)) process.exitCode = 1;
}
