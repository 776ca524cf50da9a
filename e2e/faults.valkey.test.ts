/**
 * Value-checked traffic while slots move, connections break and nodes are killed. Errors are counted by kind and printed.
 * SPRINGTIDE_FAULT_ROUNDS repeats each disturbance that often (default 1: about twenty seconds in all).
 */
import assert from 'node:assert/strict';
import { after, before, test, type TestContext } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { hashSlot } from '../src/protocol/hash-slot.ts';
import { itemsOf, textOf } from '../src/protocol/resp-value.ts';
import { CheckedTraffic } from './harness/checked-traffic.ts';
import { meet } from './harness/form-cluster.ts';
import { SYSTEM_SECRET, type TestNode } from './harness/node-farm.ts';
import { ServedCache } from './harness/served-cache.ts';
import { until } from './harness/until.ts';

const ROUNDS = Number(process.env['SPRINGTIDE_FAULT_ROUNDS'] ?? 1);
const CONNECTIONS = 24;
/** Slots that are moved key by key. */
const SLOTS_BY_KEY = 15;
/** What a primary acknowledged in this time before its death may not have left its socket: asynchronous replication. */
const REPLICATION_WINDOW_MS = 500;

let cache: ServedCache;
let trafficCount = 0;

before(async () => {
  cache = await ServedCache.start({ sharding: true, shards: 3, replicas: 1 });
});
after(() => cache?.stop());

async function underTraffic(
  t: TestContext,
  disturb: (traffic: CheckedTraffic) => Promise<void>,
): Promise<CheckedTraffic> {
  const traffic = new CheckedTraffic(cache, `traffic-${++trafficCount}`, CONNECTIONS);
  traffic.start();
  await delay(300);
  for (let round = 0; round < ROUNDS; round++) await disturb(traffic);
  await delay(300);
  await traffic.stop();
  t.diagnostic(traffic.report);
  assert.deepEqual(traffic.wrong, []);
  if (traffic.lost.length === 0) assert.equal(traffic.lostIncrements, 0);
  assert.ok(cache.proxyAlive);
  return traffic;
}

function kindsOf(traffic: CheckedTraffic): string[] {
  return [...traffic.errors.keys()].sort();
}

/** Ranges of slots that a node owns, as it sees it itself. */
async function slotsOf(node: TestNode): Promise<[number, number][]> {
  const lines = textOf(await node.admin.call('CLUSTER', 'NODES'))!.split('\n');
  const own = lines
    .find((line) => line.includes('myself'))!
    .trim()
    .split(' ')
    .slice(8);
  return own
    .filter((range) => !range.startsWith('['))
    .map((range) => {
      const [first, last] = range.split('-').map(Number);
      return [first!, last ?? first!];
    });
}

async function primaries(): Promise<TestNode[]> {
  const roles = await Promise.all(
    cache.nodes.map(async ({ admin }) => textOf(itemsOf(await admin.call('ROLE'))[0])),
  );
  return cache.nodes.filter((_, i) => roles[i] === 'master');
}

test('slots move atomically (CLUSTER MIGRATESLOTS): nobody notices', async (t) => {
  const traffic = await underTraffic(t, async () => {
    const [source, target] = await primaries();
    for (const [from, to] of [
      [source!, target!],
      [target!, source!],
    ] as const) {
      for (const [first, last] of await slotsOf(from)) {
        await from.admin.expectOk(
          'CLUSTER',
          'MIGRATESLOTS',
          'SLOTSRANGE',
          first,
          last,
          'NODE',
          to.clusterId,
        );
        await until(async () =>
          (await slotsOf(to)).some(([low, high]) => low <= first && last <= high),
        );
        await delay(200);
      }
    }
  });
  assert.deepEqual(kindsOf(traffic), []);
  assert.deepEqual(traffic.lost, []);
});

/** The classic way: the target imports, the source migrates key by key, then all are told. */
async function moveSlot(slot: number, from: TestNode, to: TestNode): Promise<void> {
  await to.admin.expectOk('CLUSTER', 'SETSLOT', slot, 'IMPORTING', from.clusterId);
  await from.admin.expectOk('CLUSTER', 'SETSLOT', slot, 'MIGRATING', to.clusterId);
  for (;;) {
    const keys = itemsOf(await from.admin.call('CLUSTER', 'GETKEYSINSLOT', slot, 3)) as Buffer[];
    if (keys.length === 0) break;
    await delay(3);
    const login = ['AUTH2', 'springtide-system', SYSTEM_SECRET];
    const reply = await from.admin.raw(
      'MIGRATE',
      '127.0.0.1',
      to.port,
      '',
      0,
      5000,
      ...login,
      'KEYS',
      ...keys,
    );
    assert.match(reply.toString(), /^\+(OK|NOKEY)\r\n$/);
  }
  await delay(3);
  await to.admin.expectOk('CLUSTER', 'SETSLOT', slot, 'NODE', to.clusterId);
  await from.admin.expectOk('CLUSTER', 'SETSLOT', slot, 'NODE', to.clusterId);
}

test('slots move key by key (MIGRATING, IMPORTING, ASK): nobody notices', async (t) => {
  const traffic = await underTraffic(t, async ({ keys }) => {
    const [source, target] = await primaries();
    const ranges = await slotsOf(source!);
    const slots = keys
      .map((key) => hashSlot(Buffer.from(key), 0, key.length))
      .filter((slot) => ranges.some(([first, last]) => first <= slot && slot <= last));
    const moved = [...new Set(slots)].slice(0, SLOTS_BY_KEY);
    for (const slot of moved) await moveSlot(slot, source!, target!);
    for (const slot of moved) await moveSlot(slot, target!, source!);
  });
  assert.deepEqual(kindsOf(traffic), []);
  assert.deepEqual(traffic.lost, []);
});

test('connections break, on both sides of the proxy: unknown outcomes are told, nothing is lost or doubled', async (t) => {
  const traffic = await underTraffic(t, async (current) => {
    for (let i = 0; i < 10; i++) {
      for (const { admin } of await primaries())
        await admin.raw('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
      await delay(50);
      current.cut();
      await delay(50);
    }
  });
  assert.deepEqual(
    kindsOf(traffic).filter((kind) => kind !== 'INDOUBT' && kind !== 'connection closed'),
    [],
  );
  assert.deepEqual(traffic.lost, []);
});

test('the proxy is killed and started again: connections are lost, nothing else', async (t) => {
  const traffic = await underTraffic(t, async () => {
    await cache.killProxy();
    await cache.startProxy();
  });
  assert.deepEqual(kindsOf(traffic), ['connection closed']);
  assert.deepEqual(traffic.lost, []);
});

test('a primary is killed, its replica takes over: no error but INDOUBT, no loss beyond replication', async (t) => {
  let killedMs = 0;
  const traffic = await underTraffic(t, async () => {
    const [victim] = await primaries();
    const replicas = cache.nodes.filter((node) => node !== victim);
    const roles = await Promise.all(
      replicas.map(async ({ admin }) => itemsOf(await admin.call('ROLE'))),
    );
    const replica = replicas.find(
      (_, i) => textOf(roles[i]![0]) === 'slave' && Number(textOf(roles[i]![2])) === victim!.port,
    )!;
    killedMs = performance.now();
    await victim!.kill();
    cache.nodes = replicas;
    await replica.admin.expectOk('CLUSTER', 'FAILOVER', 'TAKEOVER');
    await delay(1000);
    // The dead one is replaced by a new node, so that the next round finds a replica again.
    const fresh = await cache.farm.start({ clusterEnabled: true });
    await meet(replica, fresh);
    await until(async () =>
      textOf(await fresh.admin.call('CLUSTER', 'NODES'))!.includes(replica.clusterId),
    );
    await fresh.admin.expectOk('CLUSTER', 'REPLICATE', replica.clusterId);
    await until(async () =>
      textOf(await fresh.admin.call('INFO', 'replication'))!.includes('master_link_status:up'),
    );
    cache.nodes = [...replicas, fresh];
  });
  assert.deepEqual(
    kindsOf(traffic).filter((kind) => kind !== 'INDOUBT'),
    [],
  );
  const early = traffic.lost.filter(
    ({ acknowledgedMs }) => acknowledgedMs < killedMs - REPLICATION_WINDOW_MS,
  );
  if (ROUNDS === 1) assert.deepEqual(early, [], 'acknowledged long before the kill, and lost');
});
