/**
 * Half an hour of random faults and changes of shape under value-checked traffic. Exit code 1 when an acknowledged write is
 * lost that asynchronous replication does not excuse, a value is wrong, or the cache does not come to its shape.
 *
 *   node bench/soak.ts [--minutes 30] [--seed N] [--shards 3] [--shards-max 5] [--connections 12] [--proxies 2]
 *                      [--engine-version 9.1] [--pause SECONDS] [--json FILE]
 *                      [--logs DIR]
 */
import { writeFileSync } from 'node:fs';
import { Option } from 'commander';
import { testSeed } from '../e2e/harness/random.ts';
import { installEngine } from '../src/engine/catalogue.ts';
import { program } from '../src/lib/program.ts';
import { ENGINE_LINES, type EngineLine } from '../src/model/cache-spec.ts';
import { positive } from './option-values.ts';
import { isFailed, runSoak } from './soak/run-soak.ts';

interface SoakOptions {
  readonly minutes: number;
  readonly seed?: number;
  readonly shards: number;
  readonly shardsMax: number;
  readonly connections: number;
  readonly proxies: number;
  readonly engineVersion: EngineLine;
  readonly pause: number;
  readonly json?: string;
  readonly logs?: string;
}

const values = program('npm run soak --')
  .description(
    'Random faults and changes of shape under value-checked traffic. Ends with 1 when something is lost or wrong.',
  )
  .option('--minutes <n>', 'how long', positive, 30)
  .option('--seed <n>', 'of what is random (default: a new one, which is printed)', positive)
  .option('--shards <n>', 'to begin with', positive, 3)
  .option('--shards-max <n>', 'shards at most', positive, 5)
  .option('--connections <n>', 'clients', positive, 12)
  .option('--proxies <n>', 'proxy processes', positive, 2)
  .addOption(
    new Option('--engine-version <line>', 'of Valkey').choices(ENGINE_LINES).default('9.1'),
  )
  .option('--pause <seconds>', 'between faults', positive, 8)
  .option('--json <file>', 'write the result there too')
  .option('--logs <dir>', 'keep the logs there (default: only those of a failure)')
  .parse()
  .opts<SoakOptions>();
const { engineVersion, seed = testSeed() } = values;
// Ctrl-C ends the nodes too: they are ended where the process exits.
for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, () => process.exit(130));
await installEngine(engineVersion);
process.stderr.write(`seed ${seed}\n`);
const result = await runSoak({
  minutes: values.minutes,
  seed,
  shards: values.shards,
  shardsMaximum: values.shardsMax,
  connections: values.connections,
  proxies: values.proxies,
  engineVersion,
  pauseMs: values.pause * 1000,
  logsDir: values.logs ?? null,
  log: (line) => void process.stderr.write(`${line}\n`),
});
const text = `${JSON.stringify(result, null, 2)}\n`;
process.stdout.write(text);
if (values.json !== undefined) writeFileSync(values.json, text);
process.stderr.write(
  isFailed(result)
    ? `FAILED (seed ${result.seed}): see lost, wrong and shapeFailure above\n`
    : `passed: ${result.requests} requests, nothing lost, nothing wrong, the cache has its shape\n`,
);
process.exitCode = isFailed(result) ? 1 : 0;
