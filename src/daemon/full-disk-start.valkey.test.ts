/** The way out of a full disk with Springtide's own commands: a daemon that died is started, a cache is deleted. */
import assert from 'node:assert/strict';
import { existsSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { after, suite, test } from 'node:test';
import { runCli } from '../cli/run-cli.ts';
import { eventually, TestDaemon } from './fixtures/test-daemon.ts';
import { fillDisk, mountSmallDisk, unmount } from './fixtures/small-disk.ts';

const disk = mountSmallDisk();

suite('a full disk', { skip: disk === null && 'a disk cannot be mounted here' }, () => {
  const daemon = TestDaemon.forSuite(disk);
  const filler = join(disk ?? '', 'filler');
  after(() => {
    unmount(disk!);
  });
  const cli = (...args: string[]) => runCli([...args, '--data-dir', disk!]);

  test('the daemon starts for what runs without one, and can delete it', async () => {
    await daemon.create({ name: 'kept', sharding: false });
    await daemon.create({ name: 'large', sharding: false });
    const { pid } = (await daemon.healthy('kept')).nodes[0]!;
    await daemon.kill('SIGKILL');
    // What SQLite cannot make anew while there is no room.
    rmSync(`${daemon.paths.stateFile}-shm`);
    fillDisk(filler);

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
    fillDisk(join(empty, 'filler'));
    const { exitCode, err } = await runCli(['up', '--detach', '--data-dir', empty]);
    assert.equal(exitCode, 8);
    assert.match(err, /^Error: The disk of \S+ is full/m);
  } finally {
    unmount(empty);
  }
});
