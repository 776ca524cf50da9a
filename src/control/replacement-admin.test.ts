import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CacheLookup } from './cache-lookup.ts';
import { storedCache } from './fixtures/stored-cache.ts';
import { ReplacementAdmin, type ReplacementAdminDependencies } from './replacement-admin.ts';

test('what is changed in a cache while its upgrade is looked into stays changed', async (t) => {
  const { store, cache } = storedCache(t, { engineVersion: '8.1', deadlineMs: 5000 });
  const admin = new ReplacementAdmin({
    store,
    caches: new CacheLookup(store, () => false),
    fleet: {
      observation: () => null,
      hosts: { capacities: async () => [{ capacity: { freeMemoryBytes: 2 ** 40 } }] },
    },
    engines: {
      find: async () =>
        store.updateCache(cache.id, { spec: { ...cache.spec, deadlineMs: 9000, shards: 3 } }),
    },
    lanes: { lookAtReplacement: () => undefined },
    journal: { event: () => undefined },
    waiters: { wait: () => Promise.resolve() },
    publish: () => undefined,
  } as unknown as ReplacementAdminDependencies);
  for (const node of store.nodes()) store.updateNode(node.id, { engineLine: '8.1' });
  await admin.upgrade('main', '9.1', 1, () => undefined);
  const { spec, state } = store.cache(cache.id)!;
  assert.deepEqual(
    [state, spec.engineVersion, spec.deadlineMs, spec.shards],
    ['modifying', '9.1', 9000, 3],
  );
  assert.equal(store.replacements.get(cache.id)?.fromLine, '8.1');
});
