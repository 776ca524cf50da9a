/** `npm run sim`: runs all scenarios, prints their table, writes the report and its pictures. Ends with 1 if a target is missed. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { figuresOf, readCalibrationFile } from './calibration.ts';
import { manyPicture, scenarioPicture } from './pictures.ts';
import { renderReport, targets, terminalTable } from './report.ts';
import { runAll } from './run-all.ts';

const file = readCalibrationFile();
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
