/** A new shard whose node cannot run where it was put gets another one. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';
import { test, type TestContext } from 'node:test';
import { SmallPlane } from './harness/small-plane.ts';

const STEP = { kind: 'add-shard', shard: 2, replicas: 0, maxmemoryBytes: 0 } as const;
const LEFT = 'test-left-0002';

/** Of two shards; the third is on its way, and its node has this port, as a daemon left it that was killed. */
async function planeWithJoining(t: TestContext, port: number): Promise<SmallPlane> {
  const plane = await SmallPlane.create({ shards: 2 });
  t.after(() => plane.destroy());
  const { store, cache } = plane;
  store.shards.insert({
    cacheId: cache.id,
    shard: 2,
    state: 'joining',
    slots: [],
    replicas: 0,
    ioThreads: 1,
    maxmemoryBytes: 0,
  });
  const [like] = store.nodes(cache.id);
  store.insertNode({ ...like!, id: LEFT, shard: 2, port, busPort: port + 1, clusterNodeId: null });
  return plane;
}

const serving = ({ store, cache }: SmallPlane) =>
  store.nodes(cache.id).filter(({ shard, leaving }) => shard === 2 && !leaving);

test('a node of a new shard whose port somebody has taken meanwhile is replaced', async (t) => {
  const stranger = createServer().listen(0, '127.0.0.1');
  t.after(() => stranger.close());
  await once(stranger, 'listening');
  const plane = await planeWithJoining(t, (stranger.address() as AddressInfo).port);
  await plane.run(STEP);
  assert.equal(serving(plane).length, 1);
  assert.equal(plane.store.node(LEFT), undefined);
  assert.equal(plane.store.shards.get(plane.cache.id, 2)?.state, 'serving');
  await plane.settled();
});

test('a node of a new shard whose host is lost is left behind, to be taken out later', async (t) => {
  const plane = await planeWithJoining(t, 1);
  plane.fleet.isOnLostHost = (nodeId) => nodeId === LEFT;
  await plane.run(STEP);
  assert.equal(serving(plane).length, 1);
  assert.equal(plane.store.node(LEFT)?.leaving, true);
  assert.equal(plane.store.shards.get(plane.cache.id, 2)?.state, 'serving');
});
