/** The way out of a full disk with Springtide's own commands: a daemon that died is started, a cache is deleted. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, rmdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { after, suite, test } from 'node:test';
import { runCli } from '../cli/run-cli.ts';
import { eventually, TestDaemon } from './fixtures/test-daemon.ts';

/** A small file system of its own, which only root may mount. */
function mountSmallDisk(): string | null {
  const dir = mkdtempSync(join(tmpdir(), 'springtide-disk-'));
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=32m,mode=700', 'tmpfs', dir], {
      stdio: 'ignore',
    });
    return dir;
  } catch {
    rmdirSync(dir);
    return null;
  }
}

function fill(path: string): void {
  for (const sizeBytes of [1024 ** 2, 4096, 1]) {
    try {
      for (;;) writeFileSync(path, Buffer.alloc(sizeBytes), { flag: 'a' });
    } catch (error) {
      assert.equal((error as NodeJS.ErrnoException).code, 'ENOSPC');
    }
  }
}

const disk = mountSmallDisk();

suite('a full disk', { skip: disk === null && 'a disk cannot be mounted here' }, () => {
  const daemon = TestDaemon.forSuite(disk);
  const filler = join(disk ?? '', 'filler');
  after(() => {
    execFileSync('umount', [disk!]);
    rmdirSync(disk!);
  });
  const cli = (...args: string[]) => runCli([...args, '--data-dir', disk!]);

  test('the daemon starts for what runs without one, and can delete it', async () => {
    await daemon.create({ name: 'kept', sharding: false });
    await daemon.create({ name: 'large', sharding: false });
    const { pid } = (await daemon.healthy('kept')).nodes[0]!;
    await daemon.kill('SIGKILL');
    // What SQLite cannot make anew while there is no room.
    rmSync(`${daemon.paths.stateFile}-shm`);
    fill(filler);

    const up = await cli(
      'up',
      '--detach',
      '--no-cache',
      '--proxies',
      '1',
      '--metrics-port',
      'auto',
    );
    assert.equal(up.exitCode, 0, up.err);
    const kept = await daemon.healthy('kept');
    assert.equal(kept.nodes[0]!.pid, pid);
    const deleted = await cli('delete', 'large', '--yes');
    assert.equal(deleted.exitCode, 0, deleted.err);
    assert.deepEqual(readdirSync(daemon.paths.nodes), [kept.nodes[0]!.id]);
    assert.deepEqual(
      (await daemon.json<{ spec: { name: string } }[]>('GET', '/v1/caches')).map(
        ({ spec }) => spec.name,
      ),
      ['kept'],
    );
  });

  test('with room again, the deletion is on the disk too', async () => {
    rmSync(filler, { force: true });
    await eventually('the state being saved', async () =>
      daemon.log.includes('the state is on the disk again'),
    );
    assert.equal((await cli('down')).exitCode, 0);
    assert.ok(existsSync(daemon.paths.stateFile));
    using db = new DatabaseSync(daemon.paths.stateFile, { readOnly: true });
    assert.deepEqual(
      db
        .prepare('SELECT name FROM caches')
        .all()
        .map((row) => row['name']),
      ['kept'],
    );
  });
});

test('where nothing runs, a start on a full disk is refused', { skip: disk === null }, async () => {
  const empty = mountSmallDisk()!;
  try {
    fill(join(empty, 'filler'));
    const { exitCode, err } = await runCli(['up', '--detach', '--data-dir', empty]);
    assert.equal(exitCode, 8);
    assert.match(err, /^Error: The disk of \S+ is full/m);
  } finally {
    execFileSync('umount', [empty]);
    rmdirSync(empty);
  }
});
