/** `springtide engine` where no daemon runs: against a state file, and an engine that is nothing but its files. */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { runCli } from '../cli/run-cli.ts';
import { Store } from '../control/store.ts';
import { debianArch } from '../engine/debian-arch.ts';
import { engineDirectory, writeManifest } from '../engine/engine-directory.ts';
import { cacheSpecSchema, type EngineLine } from '../model/cache-spec.ts';
import { dataDirPaths } from '../model/data-dir.ts';

async function engineFiles(engineDir: string, line: EngineLine): Promise<string> {
  const directory = engineDirectory(engineDir, { engine: 'valkey', line });
  const { name: arch, triplet, loader } = debianArch();
  for (const file of ['usr/bin/valkey-server', join('usr/lib', triplet, loader)]) {
    mkdirSync(dirname(join(directory, file)), { recursive: true });
    writeFileSync(join(directory, file), '');
  }
  await writeManifest(directory, {
    engine: 'valkey',
    line,
    version: `${line}.7`,
    suite: 'sid',
    arch,
  });
  return directory;
}

function storeCaches(dataDir: string, caches: Readonly<Record<string, EngineLine>>): void {
  const store = new Store(dataDirPaths(dataDir).stateFile);
  for (const [name, engineVersion] of Object.entries(caches))
    store.insertCache({
      id: name,
      name,
      spec: cacheSpecSchema.parse({ name, engineVersion }),
      state: 'available',
      reason: null,
      createdAtMs: 1,
      port: 6379,
      readerPort: 6380,
      systemSecret: 's',
      virtualPrimaryId: 'p',
      virtualReaderId: 'r',
      engineFullVersion: null,
      formed: true,
      aclVersion: 1,
    });
  store.close();
}

async function setUp(t: TestContext) {
  const dataDir = mkdtempSync(join(tmpdir(), 'springtide-engines-'));
  t.after(() => rmSync(dataDir, { recursive: true }));
  const engineDir = join(dataDir, 'engines');
  const needed = await engineFiles(engineDir, '8.1');
  const free = await engineFiles(engineDir, '8.0');
  storeCaches(dataDir, { one: '8.1', two: '8.1', other: '9.1' });
  const engine = (...args: string[]) =>
    runCli(['engine', ...args, '--data-dir', dataDir, '--engine-dir', engineDir], {
      env: { PATH: '/nonexistent', SPRINGTIDE_VALKEY_SERVER: '' },
    });
  return { dataDir, needed, free, engine };
}

test('an engine that stopped caches start with again is removed only by force', async (t) => {
  const { dataDir, needed, free, engine } = await setUp(t);
  assert.match((await engine('list')).out, /^valkey +8\.1 +8\.1\.7 +Debian \w+ +one, two$/m);
  const refused = await engine('remove', '8.1');
  assert.equal(refused.exitCode, 5);
  assert.equal(
    refused.err,
    `Error: Valkey 8.1 is what one, two will start with again; no daemon runs on ${dataDir} now.\nDelete these caches first, or add --force and install it again before the next "up".\n`,
  );
  assert.ok(existsSync(needed));
  assert.equal((await engine('remove', '8.0')).exitCode, 0);
  assert.ok(!existsSync(free));
  const forced = await engine('remove', '8.1', '--force');
  assert.equal(forced.exitCode, 0, forced.err);
  assert.ok(!existsSync(needed));
});

test('nor is one of which nobody can say who needs it', async (t) => {
  const { dataDir, needed, engine } = await setUp(t);
  const { stateFile } = dataDirPaths(dataDir);
  rmSync(stateFile);
  writeFileSync(stateFile, 'no database at all, but as long as the header of one would have to be');
  const refused = await engine('remove', '8.1');
  assert.equal(refused.exitCode, 1);
  assert.match(
    refused.err,
    /^Error: The state file \S+ cannot be read \(file is not a database\)$/m,
  );
  assert.ok(existsSync(needed));
  assert.equal((await engine('remove', '8.1', '--force')).exitCode, 0);
});
