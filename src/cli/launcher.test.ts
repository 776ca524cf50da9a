/** bin/springtide: finds a Node.js that is new enough, or says what is missing. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';

const LAUNCHER = fileURLToPath(new URL('../../bin/springtide', import.meta.url));
/** The launcher needs these; a PATH of its own has them and no node. */
const TOOLS = ['sh', 'dirname', 'readlink'];

function installation(t: TestContext) {
  const root = mkdtempSync(join(tmpdir(), 'springtide-launcher-'));
  t.after(() => rmSync(root, { recursive: true }));
  for (const directory of [
    'package/bin',
    'package/node_modules/commander',
    'package/src/cli',
    'path',
  ])
    mkdirSync(join(root, directory), { recursive: true });
  cpSync(LAUNCHER, join(root, 'package/bin/springtide'));
  for (const tool of TOOLS) {
    const found = spawnSync('sh', ['-c', `command -v ${tool}`], { encoding: 'utf8' }).stdout.trim();
    symlinkSync(found, join(root, 'path', tool));
  }
  const addNode = (file: string, version: string) => {
    mkdirSync(join(root, file, '..'), { recursive: true });
    const script = `#!/bin/sh\nif [ "$1" = --version ]; then echo ${version}; else echo "${file} ran $*, called $SPRINGTIDE_PROGRAM"; fi\n`;
    writeFileSync(join(root, file), script);
    chmodSync(join(root, file), 0o755);
  };
  const run = (command = join(root, 'package/bin/springtide')) => {
    const result = spawnSync(command, ['list'], {
      encoding: 'utf8',
      env: { PATH: join(root, 'path') },
    });
    return { exitCode: result.status, out: result.stdout, err: result.stderr };
  };
  return { root, addNode, run };
}

test('without a Node.js it says what to do', (t) => {
  const { run } = installation(t);
  const { exitCode, err } = run();
  assert.equal(exitCode, 6);
  assert.match(err, /needs Node\.js 24 or newer, and found none/);
  assert.match(err, /npm install/);
});

test('one on the PATH is used only when it is new enough', (t) => {
  const { run, addNode } = installation(t);
  addNode('path/node', 'v20.19.2');
  assert.match(run().err, /found v20\.19\.2/);
  addNode('path/node', 'v24.1.0');
  assert.match(run().out, /^path\/node ran .*\/package\/src\/cli\/main\.ts list/);
});

test('the pinned one goes first, through a link too', (t) => {
  const { root, run, addNode } = installation(t);
  addNode('path/node', 'v24.1.0');
  addNode('package/node_modules/.bin/node', 'v26.0.0');
  assert.match(run().out, /^package\/node_modules\/\.bin\/node ran/);
  symlinkSync('../package/bin/springtide', join(root, 'path/springtide'));
  assert.match(run(join(root, 'path/springtide')).out, /called springtide$/m);
});

test('libraries that are not installed are told as that', (t) => {
  const { root, run, addNode } = installation(t);
  addNode('path/node', 'v24.1.0');
  rmSync(join(root, 'package/node_modules/commander'), { recursive: true });
  const { exitCode, err } = run();
  assert.equal(exitCode, 6);
  assert.match(err, /libraries are not installed/);
});
