import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { after, suite, test } from 'node:test';
import { cacheSpecSchema } from '../model/cache-spec.ts';
import { evenRange } from './slot-ranges.ts';
import { Store } from './store.ts';
import { MIGRATIONS } from './store-schema.ts';
import type { CacheRecord, NodeRecord } from './store-records.ts';

const dir = mkdtempSync(join(tmpdir(), 'springtide-store-'));
after(() => rmSync(dir, { recursive: true }));

const cache: CacheRecord = {
  id: 'c1',
  name: 'main',
  spec: cacheSpecSchema.parse({ name: 'main', replicas: 1 }),
  state: 'creating',
  reason: null,
  createdAtMs: 1234,
  port: 6379,
  readerPort: 6380,
  systemSecret: 's',
  virtualPrimaryId: 'p',
  virtualReaderId: 'r',
  engineFullVersion: '9.1.2',
  formed: false,
  aclVersion: 1,
};
const node: NodeRecord = {
  id: 'n1',
  cacheId: 'c1',
  shard: 0,
  role: 'primary',
  port: 21000,
  busPort: 21001,
  clusterNodeId: null,
  identity: 'none',
  restarts: 0,
  aclVersion: 0,
  stopped: false,
  hostId: 'local',
  engineLine: '9.1',
  leaving: false,
  askedAs: null,
};
const user = {
  name: 'app',
  enabled: true,
  nopass: false,
  passwordHashes: ['ab', 'cd'],
  rules: '+@all',
  upstreamSecret: 'u',
};

suite('Store', () => {
  test('what is written is read again by the next one, in a file of the owner alone', () => {
    const path = join(dir, 'a.sqlite');
    const store = new Store(path);
    store.durable(() => {
      store.insertCache(cache);
      store.insertNode(node);
      store.putUser('c1', user);
    });
    store.updateCache('c1', { state: 'available', formed: true, reason: 'x' });
    store.updateNode('n1', { clusterNodeId: 'abc', identity: 'stale', restarts: 2 });
    for (const name of ['a.sqlite', 'a.sqlite-wal', 'a.sqlite-shm']) {
      assert.equal(statSync(join(dir, name)).mode & 0o777, 0o600, name);
    }
    store.close();
    const again = new Store(path);
    assert.deepEqual(again.caches(), [
      { ...cache, state: 'available', formed: true, reason: 'x', aclVersion: 2 },
    ]);
    assert.deepEqual(again.cacheByName('main'), again.cache('c1'));
    assert.deepEqual(again.nodes('c1'), [
      { ...node, clusterNodeId: 'abc', identity: 'stale', restarts: 2 },
    ]);
    assert.deepEqual(again.users('c1'), [user]);
    again.deleteUser('c1', 'app');
    assert.equal(again.cache('c1')!.aclVersion, 3);
    again.deleteCache('c1');
    assert.deepEqual(again.nodes(), []);
    again.close();
  });

  test('a transaction is all or nothing', () => {
    const store = new Store(join(dir, 'b.sqlite'));
    assert.throws(() =>
      store.durable(() => {
        store.insertCache(cache);
        store.insertNode({ ...node, cacheId: 'nobody' });
      }),
    );
    assert.deepEqual(store.caches(), []);
    store.insertCache(cache);
    assert.equal(store.caches().length, 1);
    store.close();
  });

  test('topology versions always grow, also when the file is lost', () => {
    const path = join(dir, 'c.sqlite');
    let store = new Store(path);
    const first = store.nextTopologyVersion(1_000_000);
    const second = store.nextTopologyVersion(5);
    assert.ok(second > first);
    store.close();
    store = new Store(path);
    const third = store.nextTopologyVersion(5);
    assert.ok(third > second);
    store.close();
    const anew = new Store(join(dir, 'c2.sqlite'));
    assert.ok(anew.nextTopologyVersion(1_000_100) > third);
    anew.close();
  });

  test('a state file of before there were shards gets them from its nodes', () => {
    const path = join(dir, 'old.sqlite');
    const db = new DatabaseSync(path);
    for (const migration of MIGRATIONS.slice(0, 3)) db.exec(migration);
    db.exec('PRAGMA user_version = 3');
    const spec = cacheSpecSchema.parse({ name: 'main', engineVersion: '8.1', replicas: 1 });
    db.prepare(
      "INSERT INTO caches VALUES ('c1', 'main', ?, 'available', NULL, 1, 1, 2, 's', 'p', 'r', NULL, 1, 1)",
    ).run(JSON.stringify(spec));
    const insert = db.prepare(
      "INSERT INTO nodes VALUES (?, 'c1', ?, 'primary', ?, ?, NULL, 'kept', 0, 1, 0)",
    );
    for (let n = 0; n < 6; n++) insert.run(`n${n}`, n % 3, 21_000 + 2 * n, 21_001 + 2 * n);
    db.close();
    const store = new Store(path);
    assert.deepEqual(
      store.shards.of('c1').map(({ slots }) => slots),
      [0, 1, 2].map((shard) => [evenRange(shard, 3)]),
    );
    assert.equal(store.shards.get('c1', 0)?.replicas, 1);
    assert.equal(store.node('n0')?.engineLine, '8.1');
    store.close();
  });

  test('steps that were begun and not ended are found, in order', () => {
    const store = new Store(join(dir, 'd.sqlite'));
    store.insertCache(cache);
    const step = { kind: 'sync-users', nodeId: 'n1' } as const;
    const ids = [1, 2, 3].map((n) =>
      store.steps.begin('c1', 'lane', { step, reason: `reason ${n}` }, n),
    );
    store.steps.begin('c1', 'other', { step, reason: 'elsewhere' }, 4);
    store.steps.end(ids[0]!, 'done', null, 5);
    store.steps.end(ids[2]!, 'failed', 'no', 5);
    assert.deepEqual(store.steps.open('c1', 'lane'), [
      { id: ids[1], cacheId: 'c1', lane: 'lane', step, reason: 'reason 2' },
    ]);
    store.close();
  });

  test('events come newest first, of one cache or of all', () => {
    const store = new Store(join(dir, 'e.sqlite'));
    store.events.add({ atMs: 1, cache: 'a', kind: 'k', message: 'one' });
    store.events.add({ atMs: 2, cache: null, kind: 'k', message: 'two' });
    store.events.add({ atMs: 3, cache: 'a', kind: 'k', message: 'three' });
    assert.deepEqual(
      store.events.latest(null, 2).map(({ message }) => message),
      ['three', 'two'],
    );
    assert.deepEqual(
      store.events.latest('a', 9).map(({ message }) => message),
      ['three', 'one'],
    );
    store.close();
  });

  test('a file of a newer version, and one that is no database, are refused', () => {
    const newer = join(dir, 'f.sqlite');
    const db = new DatabaseSync(newer);
    db.exec('PRAGMA user_version = 99');
    db.close();
    assert.throws(() => new Store(newer), { code: 'STORE_TOO_NEW' });
    const garbage = join(dir, 'g.sqlite');
    writeFileSync(garbage, 'this is not a database, it is a text of some length'.repeat(100));
    assert.throws(() => new Store(garbage), { code: 'STORE_UNREADABLE' });
  });
});
