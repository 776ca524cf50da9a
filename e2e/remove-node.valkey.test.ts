/** What leaves a cache is not needed: a node that becomes a primary on its way out stays, and so does a shard with slots. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { executeStep } from '../src/control/execute-step.ts';
import { SmallPlane } from './harness/small-plane.ts';

test('a replica that is made the primary while it leaves stays, with its data; it may not be chosen either', async (t) => {
  const plane = await SmallPlane.create({ shards: 2, replicas: 1 });
  t.after(() => plane.destroy());
  await plane.settled();
  const [old, replica] = ['primary', 'replica'].map((role) =>
    plane.store.nodes().find((node) => node.shard === 0 && node.role === role),
  );
  const key = 'b';
  const call = (nodeId: string, ...words: string[]) => plane.fleet.call(nodeId, words);
  assert.equal(await call(old!.id, 'SET', key, 'kept'), 'OK');
  await call(old!.id, 'WAIT', '1', '5000');

  let refused: unknown = null;
  const context = {
    ...plane.context(),
    // While proxies leave it: first a user asks for a failover to it, then the engine elects it.
    left: async () => {
      const { id: nodeId } = replica!;
      refused = await plane
        .run({ kind: 'planned-failover', nodeId, primaryId: old!.id })
        .catch((error: unknown) => error);
      await call(nodeId, 'CLUSTER', 'FAILOVER', 'TAKEOVER');
      return true;
    },
  };
  const step = { kind: 'remove-node', nodeId: replica!.id, why: 'a test' } as const;
  await assert.rejects(executeStep(context, 'test', { step, reason: 'a test' }), {
    code: 'NODE_IN_USE',
  });
  assert.equal((refused as { code?: string }).code, 'NODE_LEAVING');
  assert.ok(plane.fleet.isAlive(replica!.id));
  assert.equal(plane.store.node(replica!.id)?.leaving, false);
  await plane.settled();
  assert.equal((await plane.primary(0)).nodeId, replica!.id);
  assert.equal(await call(replica!.id, 'GET', key), 'kept');
});

test('a shard that owns slots is not removed, and keeps its replicas', async (t) => {
  const plane = await SmallPlane.create({ shards: 2, replicas: 1 });
  t.after(() => plane.destroy());
  await plane.settled();
  const before = plane.store.nodes().map(({ id }) => id);
  await assert.rejects(plane.run({ kind: 'remove-shard', shard: 1 }), { code: 'NODE_IN_USE' });
  assert.deepEqual(
    plane.store.nodes().map(({ id, leaving }) => (leaving ? '' : id)),
    before,
  );
  await plane.settled();
});
