/**
 * Half an hour of random faults and changes of shape under value-checked traffic. Exit code 1 when an acknowledged write is
 * lost that asynchronous replication does not excuse, a value is wrong, or the cache does not come to its shape.
 *
 *   node bench/soak.ts [--minutes 30] [--seed N] [--shards 3] [--shards-max 5] [--connections 12] [--proxies 2]
 *                      [--engine-version 9.1] [--pause SECONDS] [--json FILE]
 */
import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { testSeed } from '../e2e/harness/random.ts';
import { installEngine } from '../src/engine/catalogue.ts';
import { ENGINE_LINES, type EngineLine } from '../src/model/cache-spec.ts';
import { isFailed, runSoak } from './soak/run-soak.ts';

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '30' },
    seed: { type: 'string', default: String(testSeed()) },
    shards: { type: 'string', default: '3' },
    'shards-max': { type: 'string', default: '5' },
    connections: { type: 'string', default: '12' },
    proxies: { type: 'string', default: '2' },
    'engine-version': { type: 'string', default: '9.1' },
    pause: { type: 'string', default: '8' },
    json: { type: 'string' },
  },
});
const engineVersion = values['engine-version'] as EngineLine;
if (!ENGINE_LINES.includes(engineVersion)) {
  process.stderr.write(`--engine-version is one of ${ENGINE_LINES.join(', ')}\n`);
  process.exit(2);
}
// Ctrl-C ends the nodes too: they are ended where the process exits.
for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, () => process.exit(130));
await installEngine(engineVersion);
process.stderr.write(`seed ${values.seed}\n`);
const result = await runSoak({
  minutes: Number(values.minutes),
  seed: Number(values.seed),
  shards: Number(values.shards),
  shardsMaximum: Number(values['shards-max']),
  connections: Number(values.connections),
  proxies: Number(values.proxies),
  engineVersion,
  pauseMs: Number(values.pause) * 1000,
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
