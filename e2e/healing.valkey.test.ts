/** A real daemon, real proxies and nodes, value-checked traffic, and nodes that hang, are busy, or die many at once. */
import assert from 'node:assert/strict';
import { suite, test, type TestContext } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import {
  eventually,
  primaryOf,
  replicaOf,
  TestDaemon,
} from '../src/daemon/fixtures/test-daemon.ts';
import { readProcess } from '../src/engine/process-identity.ts';
import type { CacheEvent } from '../src/model/admin-api.ts';
import { CheckedTraffic } from './harness/checked-traffic.ts';
import { RawClient } from './harness/raw-client.ts';

const PROXY = fileURLToPath(new URL('../src/daemon/proxy.ts', import.meta.url));
const CONNECTIONS = 12;
/** What a primary acknowledged in this time before its end may not have left its socket: asynchronous replication. */
const REPLICATION_WINDOW_MS = 500;

for (const sharding of [true, false]) {
  suite(`healing of ${sharding ? 'a sharded' : 'an unsharded'} cache under traffic`, () => {
    const daemon = TestDaemon.forSuite(null, [`--proxy-script=${PROXY}`]);

    test('it is created', async () => {
      await daemon.create({
        name: 'main',
        sharding,
        ...(sharding ? { shards: 3 } : {}),
        replicas: 1,
      });
    });

    test('a primary that is stopped is ended, and its replica takes over', async (t) => {
      const before = await daemon.healthy('main');
      const stopped = primaryOf(before, 0);
      const after = await lastEvent(daemon);
      await underTraffic(t, daemon, async () => {
        process.kill(stopped.pid!, 'SIGSTOP');
        await eventually(
          'the takeover',
          async () => primaryOf(await daemon.cache('main'), 0).id === replicaOf(before, 0).id,
        );
        await daemon.healthy('main');
      });
      assert.equal(readProcess(stopped.pid!), undefined);
      const [hung, fenced, failover] = await events(daemon, after, [
        'node-hung',
        'node-fenced',
        'failover',
      ]);
      assert.match(hung!.message, /primary of shard 0, is stopped .* not answered for [\d.]+ s$/);
      assert.match(fenced!.message, /was stopped .* was ended for a replica to take over$/);
      // Sooner than the engine's own quorum, and by us.
      assert.match(failover!.message, /took over shard 0 from/);
    });

    test('a replica that is stopped is ended and started again, without a failover', async (t) => {
      const before = await daemon.healthy('main');
      const stopped = replicaOf(before, 0);
      const after = await lastEvent(daemon);
      await underTraffic(t, daemon, async () => {
        process.kill(stopped.pid!, 'SIGSTOP');
        await eventually('its end', () => Promise.resolve(!readProcess(stopped.pid!)));
        await daemon.healthy('main');
      });
      assert.equal(primaryOf(await daemon.cache('main'), 0).pid, primaryOf(before, 0).pid);
      const [fenced] = await events(daemon, after, ['node-fenced']);
      assert.match(fenced!.message, /replica of shard 0, was stopped .* to be started again$/);
    });

    test('a primary that is busy with a script is let be', async () => {
      const before = await daemon.healthy('main');
      const busy = primaryOf(before, 0);
      const after = await lastEvent(daemon);
      const client = await daemon.connect('main', busy);
      const script = client
        .callWith({ timeoutMs: 60_000 }, 'EVAL', BUSY_SCRIPT, '0', '4')
        .finally(() => client.close());
      assert.equal(await script, 'done');
      const healed = await daemon.healthy('main');
      assert.equal(primaryOf(healed, 0).pid, busy.pid);
      const kinds = (await daemon.json<CacheEvent[]>('GET', `/v1/events?after=${after}`)).map(
        ({ kind }) => kind,
      );
      for (const kind of ['node-hung', 'node-fenced', 'failover']) assert.ok(!kinds.includes(kind));
    });
  });
}

/** Burns ARGV[1] seconds of CPU. */
const BUSY_SCRIPT = `
local last = os.clock() + ARGV[1]
while os.clock() < last do end
return 'done'`;

async function underTraffic(
  t: TestContext,
  daemon: TestDaemon,
  disturb: () => Promise<void>,
): Promise<CheckedTraffic> {
  const { port } = daemon.topologyCache('main');
  const traffic = new CheckedTraffic(
    { connect: (options) => RawClient.connect(port, options) },
    `traffic-${Date.now()}`,
    CONNECTIONS,
  );
  traffic.start();
  await delay(300);
  const disturbedMs = performance.now();
  await disturb();
  await delay(300);
  await traffic.stop();
  t.diagnostic(traffic.report);
  assert.deepEqual(traffic.wrong, []);
  for (const lost of traffic.lost) {
    assert.ok(Math.abs(lost.acknowledgedMs - disturbedMs) < REPLICATION_WINDOW_MS);
  }
  if (traffic.lost.length === 0) assert.equal(traffic.lostIncrements, 0);
  for (const kind of traffic.errors.keys()) assert.equal(kind, 'INDOUBT');
  return traffic;
}

async function lastEvent(daemon: TestDaemon): Promise<number> {
  const all = await daemon.json<CacheEvent[]>('GET', '/v1/events');
  return all.at(-1)!.id;
}

/** The first event of each kind after another one, once all are there. */
async function events(
  daemon: TestDaemon,
  after: number,
  kinds: readonly string[],
): Promise<CacheEvent[]> {
  let found: (CacheEvent | undefined)[] = [];
  await eventually(`events ${kinds.join()}`, async () => {
    const all = await daemon.json<CacheEvent[]>('GET', `/v1/events?after=${after}`);
    found = kinds.map((kind) => all.find((event) => event.kind === kind));
    return found.every((event) => event !== undefined);
  });
  return found.map((event) => event!);
}
