import assert from 'node:assert/strict';
import { test } from 'node:test';
import { storedCache } from './fixtures/stored-cache.ts';
import { ShardKeeper, type ShardKeeperDependencies } from './shard-keeper.ts';

test('whoever waits for a step in a shard of a cache that is deleted is told', async (t) => {
  const { store, cache } = storedCache(t);
  const keeper = new ShardKeeper({ store } as unknown as ShardKeeperDependencies);
  const planned = {
    step: { kind: 'planned-failover', nodeId: 'n0-1', primaryId: 'n0-0' },
    reason: 'a test',
  } as const;
  const lane = `shard:${cache.id}:0`;
  const done = keeper.request(lane, planned);
  store.updateCache(cache.id, { state: 'deleting' });
  const refused = assert.rejects(done, { code: 'InvalidServerlessCacheStateFault' });
  await keeper.run(cache.id, 0, lane, new AbortController().signal);
  await refused;

  const drained = assert.rejects(keeper.request(lane, planned), {
    code: 'InvalidServerlessCacheStateFault',
  });
  keeper.forget(lane);
  await drained;
});
