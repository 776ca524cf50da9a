/** A cache that grows and shrinks under value-checked traffic, and a daemon that is killed while it does. */
import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { eventually, TestDaemon } from '../src/daemon/fixtures/test-daemon.ts';
import type { CapacityReport, CacheChange } from '../src/model/admin-api.ts';
import { REAL_PROXIES, underTraffic } from './harness/daemon-traffic.ts';
import { until } from './harness/until.ts';

const SLOTS = 16_384;
/** Quiet is seen in pieces of half a minute, and begins anew where a busy machine leaves a second out. */
const SETTLED_MS = 240_000;

suite('a cache that scales', () => {
  const daemon = TestDaemon.forSuite(null, [REAL_PROXIES, '--scale-in-after=2000']);
  const explain = () => daemon.json<CapacityReport>('GET', '/v1/caches/main/explain');
  const modify = (change: CacheChange) => daemon.json('PATCH', '/v1/caches/main', change);

  /** So many shards serve, own all slots, each some, and nothing more is to be done. */
  const settled = (shards: number, replicas: number) =>
    until(async () => {
      const report = await explain();
      const { nodes } = await daemon.cache('main');
      return (
        report.shards.length === shards &&
        report.shards.every(({ state, slots }) => state === 'serving' && slots > 0) &&
        report.shards.reduce((sum, { slots }) => sum + slots, 0) === SLOTS &&
        nodes.length === shards * (1 + replicas) &&
        nodes.every(({ state }) => state === 'online') &&
        report.decisions.every(({ state }) => state !== 'running')
      );
    }, SETTLED_MS);

  test('grows to a minimum that is raised, and shrinks when it is lowered', async (t) => {
    await daemon.create({ name: 'main', shards: 1 });
    await underTraffic(t, daemon, 'main', async () => {
      await modify({ shards: 4 });
      await settled(4, 0);
    });
    const grown = await explain();
    const added = grown.decisions.filter(({ step }) => step.startsWith('add-shard'));
    assert.equal(added.length, 3);
    for (const { reason, rejected } of added) {
      assert.match(reason, /the minimum in force is 4 shards/);
      assert.ok(rejected.length > 0);
    }
    await underTraffic(t, daemon, 'main', async () => {
      await modify({ shards: 1 });
      await settled(1, 0);
    });
  });

  test('gets replicas and loses them', async (t) => {
    await underTraffic(t, daemon, 'main', async () => {
      await modify({ shards: 2, replicas: 1 });
      await settled(2, 1);
      await modify({ replicas: 0 });
      await settled(2, 0);
    });
  });

  test('a daemon killed again and again while it grows and shrinks ends in the planned shape', async (t) => {
    await underTraffic(t, daemon, 'main', async () => {
      for (const [shards, afterMs] of [
        [5, 700],
        [5, 1_500],
        [2, 3_200],
        [2, 1_200],
      ] as const) {
        // A maximum is in force at once, without quiet.
        await modify({ shards, shardsMaximum: shards });
        await new Promise((resolve) => setTimeout(resolve, afterMs));
        await daemon.kill('SIGKILL');
        await daemon.start();
      }
      await settled(2, 0);
    });
  });

  test('an unsharded cache, and one of a fixed size, get replicas and lose them too', async () => {
    await daemon.create({ name: 'plain', sharding: false });
    await daemon.create({ name: 'fixed', shards: 1, shardsMaximum: 1 });
    for (const replicas of [1, 0]) {
      for (const name of ['plain', 'fixed']) {
        await daemon.json('PATCH', `/v1/caches/${name}`, { replicas });
        await eventually(`${replicas} replicas of ${name}`, async () => {
          const { nodes } = await daemon.cache(name);
          return nodes.length === 1 + replicas && nodes.every(({ state }) => state === 'online');
        });
      }
    }
    await daemon.operation('DELETE', '/v1/caches/plain');
    await daemon.operation('DELETE', '/v1/caches/fixed');
  });

  test('what cannot be is refused, and changes nothing', async () => {
    const before = (await daemon.cache('main')).spec;
    for (const change of [{ shards: 0 }, { shardsMaximum: 1 }, { port: 1 }, {}]) {
      const refusal = await daemon.refusal('PATCH', '/v1/caches/main', change);
      assert.equal(refusal.status, 400);
    }
    assert.deepEqual((await daemon.cache('main')).spec, before);
  });
});
