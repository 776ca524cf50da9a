import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { after, before, suite, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { ApiFailure, CacheEvent } from '../model/admin-api.ts';
import { eventually, primaryOf, TestDaemon } from './fixtures/test-daemon.ts';
import { fillDisk, mountSmallDisk, unmount } from './fixtures/small-disk.ts';

const CLI = fileURLToPath(new URL('../cli/main.ts', import.meta.url));

const disk = mountSmallDisk();

suite('on a full disk', { skip: disk === null && 'a disk cannot be mounted here' }, () => {
  const daemon = TestDaemon.forSuite(disk);
  const filler = join(disk ?? '', 'filler');
  const told = (kind: string) =>
    eventually(`event ${kind}`, async () =>
      (await daemon.json<CacheEvent[]>('GET', '/v1/events')).some((event) => event.kind === kind),
    );
  before(async () => {
    await daemon.create({ name: 'full', shards: 1, replicas: 1 });
    await daemon.create({ name: 'plain', sharding: false });
  });
  after(() => {
    unmount(disk!);
  });

  test('what is asked for is refused in one sentence', async () => {
    fillDisk(filler);
    await told('disk-full');
    const created = await daemon.call('POST', '/v1/caches', { name: 'more' });
    assert.equal(created.status, 507);
    const failure = JSON.parse(created.text) as ApiFailure;
    assert.equal(failure.code, 'DiskFull');
    assert.match(failure.message, /is full: 0 MiB are left/);
    const cli = spawnSync(process.execPath, [CLI, 'create', 'more', '--data-dir', disk!], {
      encoding: 'utf8',
    });
    assert.equal(cli.status, 8);
    assert.match(cli.stderr, /^Error: The disk of \S+ is full: .*free some space first\.$/m);
    const changed = await daemon.call('PUT', '/v1/caches/full/users/late', {
      enabled: true,
      rules: `~${'x'.repeat(60_000)} +@all`,
    });
    assert.equal(changed.status, 507);
    assert.equal((JSON.parse(changed.text) as ApiFailure).code, 'STORE_UNWRITABLE');
    assert.equal((await daemon.json<unknown[]>('GET', '/v1/caches/full/users')).length, 1);
  });

  test('a dead primary is replaced, and one without a replica starts again', async () => {
    const { pid } = daemon;
    const primary = primaryOf(await daemon.healthy('full'), 0);
    process.kill(primary.pid!, 'SIGKILL');
    await eventually(
      'the takeover',
      async () => primaryOf(await daemon.cache('full'), 0).id !== primary.id,
    );
    const plain = primaryOf(await daemon.cache('plain'), 0);
    process.kill(plain.pid!, 'SIGKILL');
    await eventually(
      'the restart',
      async () => primaryOf(await daemon.healthy('plain'), 0).restarts === 1,
    );
    assert.equal(daemon.pid, pid);
  });

  test('with room again, all that happened is on the disk, and the log says so', async () => {
    rmSync(filler);
    const read = () => daemon.log;
    await eventually('the state being saved', async () =>
      read().includes('the state is on the disk again'),
    );
    await told('disk-has-room');
    // The engine makes no cluster identity on a full disk: the replica could come back only now.
    const { nodes } = await daemon.healthy('full');
    using db = new DatabaseSync(daemon.paths.stateFile, { readOnly: true });
    const rows = db
      .prepare("SELECT id, role, restarts FROM nodes WHERE id LIKE 'full-%' ORDER BY id")
      .all();
    assert.deepEqual(
      rows.map((row) => ({ ...row })),
      nodes
        .map(({ id, role, restarts }) => ({ id, role, restarts }))
        .sort((a, b) => (a.id < b.id ? -1 : 1)),
    );
    const events = db.prepare("SELECT count(*) AS n FROM events WHERE kind = 'node-lost'").get()!;
    assert.equal(Number(events['n']), 2);
    const kinds = db
      .prepare("SELECT kind FROM events WHERE kind LIKE 'disk-%' ORDER BY id")
      .all()
      .map((row) => row['kind']);
    assert.deepEqual(kinds, ['disk-full', 'disk-has-room']);
    await eventually('the log', async () => read().includes('the log can be written again'));
    for (const line of read().trimEnd().split('\n')) JSON.parse(line);
    await daemon.create({ name: 'more', sharding: false });
  });
});
