/** A replica whose engine does not start with its own cluster file. */
import assert from 'node:assert/strict';
import { readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import type { CacheEvent } from '../model/admin-api.ts';
import { eventually, primaryOf, replicaOf, TestDaemon } from './fixtures/test-daemon.ts';

test('a replica whose cluster file cannot be read joins anew', async (t) => {
  const daemon = await TestDaemon.forTest(t);
  await daemon.create({ name: 'main', shards: 1, replicas: 1 });
  const before = await daemon.healthy('main');
  const replica = replicaOf(before, 0);
  const dir = join(daemon.paths.nodes, replica.id);
  const file = readdirSync(dir).find((name) => /^(nodes|cluster).*\.conf$/.test(name))!;
  writeFileSync(join(dir, file), 'this is no cluster file\n');
  process.kill(replica.pid!, 'SIGKILL');
  await eventually('the replica running again', async () => {
    const now = replicaOf(await daemon.cache('main'), 0);
    return now?.state === 'online' && now.pid !== replica.pid;
  });
  const after = await daemon.healthy('main');
  assert.equal(primaryOf(after, 0).pid, primaryOf(before, 0).pid);
  const events = await daemon.json<CacheEvent[]>('GET', '/v1/events?cache=main');
  assert.ok(events.some(({ kind }) => kind === 'node-identity-lost'));
});
