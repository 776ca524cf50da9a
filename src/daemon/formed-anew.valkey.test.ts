/** A cache none of whose nodes was left, while something was being done to its shape. */
import assert from 'node:assert/strict';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import type { CapacityReport, CacheEvent } from '../model/admin-api.ts';
import { eventually, primaryOf, TestDaemon, writeToShard } from './fixtures/test-daemon.ts';

test('a cache that ended in mid-change is whole again, and its next deaths are told', async (t) => {
  const daemon = await TestDaemon.forTest(t);
  await daemon.create({ name: 'main', shards: 2, shardsMaximum: 2 });
  await daemon.operation('POST', '/v1/shutdown', {});
  // It may have its state open for a moment more.
  await daemon.kill('SIGKILL');

  // As it is when a shard was on its way out, another had no node yet, and slots were on their way between them.
  const state = new DatabaseSync(daemon.paths.stateFile);
  state.exec(`
    UPDATE nodes SET leaving = 1 WHERE shard = 1;
    UPDATE shards SET state = 'draining', slots = '8192-9000' WHERE shard = 1;
    INSERT INTO shards SELECT cache_id, 7, 'joining', '', 0, 1, 0 FROM shards WHERE shard = 0;
  `);
  state.close();
  await daemon.start();
  await daemon.healthy('main');
  const report = () => daemon.json<CapacityReport>('GET', '/v1/caches/main/explain');
  await eventually('two shards with all slots', async () => {
    const { shards } = await report();
    return (
      shards.length === 2 &&
      shards.every(({ state, slots }) => state === 'serving' && slots > 0) &&
      shards.reduce((sum, { slots }) => sum + slots, 0) === 16_384
    );
  });
  for (const shard of [0, 1]) await writeToShard(daemon, 'main', shard);
  assert.equal((await daemon.cache('main')).nodes.length, 2);

  const { pid, id } = primaryOf(await daemon.cache('main'), 1);
  process.kill(pid!, 'SIGKILL');
  await eventually('the loss being told', async () => {
    const events = await daemon.json<CacheEvent[]>('GET', '/v1/events?cache=main');
    return events.some(({ kind, message }) => kind === 'shard-data-lost' && message.includes(id));
  });
});
