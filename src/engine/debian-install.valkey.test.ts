import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { findEngine, installEngine, listEngines, removeEngine } from './catalogue.ts';
import { runCommand } from './run-command.ts';

let root: string;
before(async () => {
  root = await mkdtemp(join(tmpdir(), 'springtide install '));
});
after(() => rm(root, { recursive: true, force: true }));

test('an installation killed midway is taken up again, by several at once, and removed', async () => {
  const engineDir = join(root, 'engines');
  const catalogue = new URL('catalogue.ts', import.meta.url).href;
  const script = `const { installEngine } = await import(${JSON.stringify(catalogue)});
    await installEngine('8.0', { engineDir: ${JSON.stringify(engineDir)}, onProgress: (part) => console.log(part) });`;
  const first = spawn(process.execPath, ['--input-type=module', '-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const killed = new Promise((resolve) => first.once('exit', (_code, signal) => resolve(signal)));
  for await (const text of first.stdout.setEncoding('utf8')) {
    if (Number(String(text).trim().split('\n').at(-1)) > 0.36) first.kill('SIGKILL');
  }
  assert.equal(await killed, 'SIGKILL');
  await assert.rejects(findEngine('8.0', { engineDir, env: { PATH: '' } }), {
    code: 'ENGINE_NOT_INSTALLED',
  });

  const reported: number[] = [];
  const [engine, same] = await Promise.all([
    installEngine('8.0', { engineDir, onProgress: (part) => reported.push(part) }),
    installEngine('8.0', { engineDir }),
  ]);
  assert.deepEqual(engine, same);
  assert.ok(reported.length === 0 || reported.at(-1) === 1);
  assert.deepEqual(
    reported,
    [...reported].sort((a, b) => a - b),
    'progress never falls',
  );
  for (const command of [engine.command, engine.tools.cli!, engine.tools.benchmark!]) {
    const { code, stdout } = await runCommand([...command, '--version']);
    assert.equal(code, 0);
    assert.match(stdout, /8\.0\./);
  }
  assert.deepEqual((await readdir(engineDir)).sort(), ['.install-valkey-8.0.lock', 'valkey-8.0']);
  const listed = (await listEngines({ engineDir, env: { PATH: '' } })).find(
    (listing) => listing.line === '8.0',
  );
  assert.deepEqual(listed?.installations, [engine]);

  assert.equal(await removeEngine('8.0', { engineDir }), true);
  assert.deepEqual(await readdir(engineDir), ['.install-valkey-8.0.lock']);
});

test('an archive without a valid signature is refused', async () => {
  const mirror = join(root, 'mirror').replaceAll(' ', '%20');
  const dist = join(root, 'mirror/dists/forky');
  await mkdir(dist, { recursive: true });
  await writeFile(
    join(dist, 'Release'),
    'Origin: Debian\nSuite: forky\nCodename: forky\nArchitectures: amd64 arm64\nComponents: main\n',
  );
  const installing = installEngine('9.1', {
    engineDir: join(root, 'unsigned'),
    mirror: { uri: `file:${mirror}` },
  });
  await assert.rejects(installing, { code: 'ENGINE_SIGNATURE_INVALID' });
});

test('a mirror that does not answer is named as such', async () => {
  const installing = installEngine('9.1', {
    engineDir: join(root, 'far'),
    mirror: { uri: 'http://127.0.0.1:1/debian' },
  });
  await assert.rejects(installing, { code: 'ENGINE_MIRROR_UNREACHABLE', message: /127\.0\.0\.1/ });
});
