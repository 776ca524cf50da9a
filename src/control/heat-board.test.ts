import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { cacheSpecSchema } from '../model/cache-spec.ts';
import { HeatBoard } from './heat-board.ts';
import { observationOf, parseInfo, type NodeObservation } from './node-observation.ts';
import type { CacheRecord, NodeRecord } from './store-records.ts';

const SECOND_SHARD = 3;

/** Two shards, the second with a replica; the first has slots 0 to 8191. */
function setUp() {
  let nowMs = 10_000;
  const spec = cacheSpecSchema.parse({ name: 'main' });
  const node = (id: string, shard: number, role: 'primary' | 'replica') =>
    ({ id, cacheId: 'c', shard, role }) as NodeRecord;
  const nodes = [node('a', 0, 'primary'), node('b', SECOND_SHARD, 'primary'), node('r', SECOND_SHARD, 'replica')]; // prettier-ignore
  const infos = new Map([
    ['a', 'role:master\r\nused_memory_dataset:8000\r\nmaster_repl_offset:7\r\ndb0:keys=80\r\n'],
    ['b', 'role:master\r\nused_memory_dataset:500\r\nmaster_repl_offset:900\r\ndb0:keys=1\r\n'],
    ['r', 'role:slave\r\nslave_repl_offset:840\r\n'],
  ]);
  const told: (readonly number[])[] = [];
  const caches: CacheRecord[] = [{ id: 'c', name: 'main', spec } as CacheRecord];
  const board = new HeatBoard({
    store: { caches: () => caches, nodes: () => nodes },
    fleet: {
      observation: (id): NodeObservation | null =>
        infos.has(id) ? observationOf(parseInfo(infos.get(id)!), nowMs) : null,
      call: async (id, args) =>
        args[1] === 'NODES'
          ? `x :1@2 myself,master - 0 0 1 connected ${id === 'a' ? '0-8191' : '8192-16383'}\n`
          : [[id === 'a' ? 5 : 9000, ['key-count', id === 'a' ? 80 : 1, 'cpu-usec', 10]]],
    },
    watchSlots: (_cache, slots) => told.push(slots),
    now: () => nowMs,
  });
  /** A second, and what nodes answer in it. */
  const second = async () => {
    nowMs += 1000;
    board.tick();
    await new Promise(setImmediate);
  };
  return { board, infos, caches, told, second, now: () => nowMs };
}

/** 10 requests for slot 5, 30 for slot 9000; of 2 ECPU each. */
function report(sequence: number) {
  const columns = Float32Array.of(10, 30, 20, 60, 0, 0, 0, 0);
  const slots = Uint16Array.of(5, 9000);
  return {
    cache: 'main',
    cacheId: 'c',
    sequence,
    intervalMs: 1000,
    slots: 2,
    columns: Buffer.concat([Buffer.from(columns.buffer), Buffer.from(slots.buffer)]).toString('base64'), // prettier-ignore
    hotKeys: [],
  };
}

suite('HeatBoard', () => {
  test('slots, their owners and their size, and nodes with the load of their slots', async () => {
    const { board, second } = setUp();
    assert.equal(board.heat('c'), null);
    await second();
    board.report(0, 1, report(1));
    await second();
    await second();
    const heat = board.heat('c')!;
    assert.equal(heat.rates.requests[5], 10);
    assert.equal(heat.total.ecpu, 80);
    assert.deepEqual([heat.owners[5], heat.owners[9000]], [0, SECOND_SHARD]);
    assert.equal(heat.memoryBytes[5], 8000);
    assert.equal(heat.memoryBytes[9000], 500);
    const [a, b, r] = heat.nodes;
    assert.deepEqual([a!.requestsPerSecond, a!.ecpuPerSecond, a!.slots], [10, 20, 8192]);
    assert.deepEqual([b!.requestsPerSecond, b!.ecpuPerSecond, b!.slots], [30, 60, 8192]);
    assert.deepEqual([r!.requestsPerSecond, r!.slots, r!.replicationLagBytes], [0, 0, 60]);
    assert.equal(a!.utilisation, 0);
  });

  test('a node that is silent has no figures; what its slots held is remembered', async () => {
    const { board, infos, second } = setUp();
    for (let i = 0; i < 3; i++) await second();
    infos.delete('a');
    await second();
    const heat = board.heat('c')!;
    assert.equal(heat.nodes[0]!.utilisation, null);
    assert.equal(heat.nodes[0]!.usedMemoryBytes, null);
    assert.equal(heat.owners[5], 0);
    assert.equal(heat.memoryBytes[5], 8000);
  });

  test('proxies are told what to watch, and again for those that start later', async () => {
    const { board, caches, told, second } = setUp();
    await second();
    // What a daemon before this one may have named counts no longer.
    assert.deepEqual(told.splice(0), [[]]);
    board.watchSlots(caches[0]!, [7]);
    assert.deepEqual(told, [[7]]);
    for (let i = 0; i < 10; i++) await second();
    assert.deepEqual(told, [[7], [7]]);
    board.watchSlots(caches[0]!, []);
    for (let i = 0; i < 20; i++) await second();
    assert.deepEqual(told, [[7], [7], []]);
  });

  test('a cache that was deleted is forgotten, and late reports of it are nobody’s', async () => {
    const { board, caches, second } = setUp();
    await second();
    const again = { ...caches[0]!, id: 'another' };
    caches.splice(0, 1, again);
    board.report(0, 1, report(1));
    await second();
    board.report(0, 1, report(2));
    await second();
    assert.equal(board.heat('c'), null);
    assert.equal(board.heat('another')!.total.requests, 0);
  });

  test('many caches without traffic and data hold little memory', async () => {
    const { board, caches, second } = setUp();
    const before = process.memoryUsage().arrayBuffers;
    for (let i = 0; i < 100; i++)
      caches.push({ ...caches[0]!, id: `unsharded-${i}`, spec: { ...caches[0]!.spec, sharding: false } }); // prettier-ignore
    await second();
    await second();
    const each = (process.memoryUsage().arrayBuffers - before) / caches.length;
    assert.ok(each < 200_000, `${each} bytes each`);
    assert.equal(board.heat('unsharded-7')!.keys[5], 0);
  });
});
