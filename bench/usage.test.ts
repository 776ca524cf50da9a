import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { test } from 'node:test';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { EXIT_CODES } from '../src/cli/cli-error.ts';

const PROGRAMS = [
  'elastic/run',
  'failover',
  'heat-cost',
  'move-cost',
  'near-cache',
  'record',
  'restart',
  'run',
  'soak',
  'upgrade',
  '../src/sim/main',
];

async function run(program: string, option: string) {
  const path = fileURLToPath(new URL(`${program}.ts`, import.meta.url));
  const child = spawn(process.execPath, [path, option], { stdio: ['ignore', 'pipe', 'pipe'] });
  const [out, err] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    once(child, 'close'),
  ]);
  return { exitCode: child.exitCode, out, err };
}

for (const program of PROGRAMS) {
  test(`${program}: a mistake on its command line is no failure of what it measures`, async () => {
    const wrong = await run(program, '--no-such-option');
    assert.equal(wrong.exitCode, EXIT_CODES.USAGE, wrong.err);
    assert.match(
      wrong.err,
      /^error: (unknown option '--no-such-option'|required option '--data-dir)/,
    );
  });
}

test('a value that is none of an option is a mistake, help is none', async () => {
  assert.equal((await run('soak', '--seed=x')).exitCode, EXIT_CODES.USAGE);
  assert.equal((await run('record', '--only=nothing')).exitCode, EXIT_CODES.USAGE);
  const help = await run('soak', '--help');
  assert.equal(help.exitCode, EXIT_CODES.OK);
  assert.match(help.out, /^Usage: npm run soak --/);
});
