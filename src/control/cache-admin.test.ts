import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CacheAdmin, type CacheAdminDependencies } from './cache-admin.ts';
import { CacheLookup } from './cache-lookup.ts';
import { storedCache } from './fixtures/stored-cache.ts';

test('another number of replicas is what its shards are meant to have, for whoever replaces their nodes', async (t) => {
  const { store } = storedCache(t, { replicas: 1 });
  const admin = new CacheAdmin({
    store,
    caches: new CacheLookup(store, () => false),
    fleet: { observation: () => null },
    event: () => undefined,
    onChanged: () => undefined,
  } as unknown as CacheAdminDependencies);
  await admin.modify('main', { replicas: 2 });
  assert.equal(store.cache('c1')!.spec.replicas, 2);
  assert.deepEqual(
    store.shards.of('c1').map(({ replicas }) => replicas),
    [2, 2],
  );
});
