/** A first start that cannot succeed: one sentence, its exit code, and nothing left running. The real CLI and daemon. */
import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { runCli, type CliResult } from '../src/cli/run-cli.ts';
import type { EngineStatus } from '../src/model/admin-api.ts';
import { dataDirPaths } from '../src/model/data-dir.ts';

/** Nothing listens on the discard port of this machine, and no mirror is needed to find that out. */
const NO_NETWORK = 'http://127.0.0.1:9';

/** The outcome of a first start; null where the machine brings its own engine and the test is skipped. */
async function firstStart(
  t: TestContext,
  env: NodeJS.ProcessEnv,
  ...more: string[]
): Promise<CliResult | null> {
  const root = mkdtempSync(join(tmpdir(), 'springtide-e2e-fail-'));
  t.after(() => rmSync(root, { recursive: true, force: true }));
  const dataDir = join(root, 'data');
  const full = {
    ...env,
    SPRINGTIDE_ENGINE_DIR: join(root, 'engines'),
    SPRINGTIDE_VALKEY_SERVER: '',
  };
  const engines = await runCli(['engine', 'list', '--json', '--data-dir', dataDir], { env: full });
  const isThere = (JSON.parse(engines.out) as EngineStatus[]).some(
    ({ line, installed }) => line === '9.1' && installed,
  );
  if (isThere) {
    t.skip('this machine has a Valkey 9.1 on its PATH, so nothing would be installed');
    return null;
  }
  const args = [
    'up',
    '--detach',
    '--port',
    'auto',
    '--metrics-port',
    'auto',
    '--proxies',
    '1',
    '--data-dir',
    dataDir,
  ];
  const result = await runCli([...args, ...more], { env: full });
  assert.ok(!existsSync(dataDirPaths(dataDir).daemonPidFile), 'the daemon has ended');
  assert.doesNotMatch(result.err, /\n\s+at /, 'no stack trace');
  assert.equal(
    readFileSync(join(dataDirPaths(dataDir).logs, 'daemon.log'), 'utf8').includes('"level":60'),
    false,
  );
  return result;
}

test('no apt-get: 6, and how to bring a binary', async (t) => {
  const result = await firstStart(t, { PATH: '/nonexistent' });
  if (result === null) return;
  const { exitCode, err } = result;
  assert.equal(exitCode, 6, err);
  assert.match(
    err,
    /no apt-get.*--engine-binary \/path\/to\/valkey-server or SPRINGTIDE_VALKEY_SERVER=/,
  );
});

test('no network: 7', { skip: !existsSync('/usr/bin/apt-get') && 'no apt-get here' }, async (t) => {
  const result = await firstStart(t, {
    http_proxy: NO_NETWORK,
    https_proxy: NO_NETWORK,
  });
  if (result === null) return;
  const { exitCode, err } = result;
  assert.equal(exitCode, 7, err);
  assert.match(err, /Error: The Debian mirror could not be reached/);
});

test('a binary that is no Valkey: 6', async (t) => {
  const result = await firstStart(t, { PATH: '/nonexistent' }, '--engine-binary', '/bin/ls');
  if (result === null) return;
  const { exitCode, err } = result;
  assert.equal(exitCode, 6, err);
  assert.match(err, /Error: \/bin\/ls is not a working valkey-server/);
});

test('Ctrl-C before the daemon answers: 130, and the daemon is stopped too', async (t) => {
  const root = mkdtempSync(join(tmpdir(), 'springtide-e2e-fail-'));
  t.after(() => rmSync(root, { recursive: true, force: true }));
  const dataDir = join(root, 'data');
  let sent = false;
  const args = ['up', '--no-cache', '--metrics-port', 'auto', '--proxies', '1'];
  const { exitCode, err } = await runCli([...args, '--data-dir', dataDir], {
    onProgress: (said, kill) => {
      if (sent || !said.includes('Starting the daemon')) return;
      sent = true;
      kill('SIGINT');
    },
  });
  assert.equal(exitCode, 130, err);
  assert.match(err, /Springtide is stopped\nError: Stopped before it was ready\.\n$/);
  assert.ok(!existsSync(dataDirPaths(dataDir).daemonPidFile), 'the daemon has ended');
});
