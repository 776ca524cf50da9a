/** A real daemon, real proxies and nodes, value-checked traffic, and nodes that hang or are busy. */
import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import {
  eventually,
  primaryOf,
  replicaOf,
  TestDaemon,
} from '../src/daemon/fixtures/test-daemon.ts';
import { readProcess } from '../src/engine/process-identity.ts';
import {
  eventsAfter,
  firstEvents,
  lastEvent,
  REAL_PROXIES,
  underTraffic,
} from './harness/daemon-traffic.ts';

for (const sharding of [true, false]) {
  suite(`healing of ${sharding ? 'a sharded' : 'an unsharded'} cache under traffic`, () => {
    const daemon = TestDaemon.forSuite(null, [REAL_PROXIES]);

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
      await underTraffic(t, daemon, 'main', async () => {
        process.kill(stopped.pid!, 'SIGSTOP');
        await eventually(
          'the takeover',
          async () => primaryOf(await daemon.cache('main'), 0).id === replicaOf(before, 0).id,
        );
        await daemon.healthy('main');
      });
      assert.equal(readProcess(stopped.pid!), undefined);
      const [hung, fenced, failover] = await firstEvents(daemon, after, [
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
      await underTraffic(t, daemon, 'main', async () => {
        process.kill(stopped.pid!, 'SIGSTOP');
        await eventually('its end', () => Promise.resolve(!readProcess(stopped.pid!)));
        await daemon.healthy('main');
      });
      assert.equal(primaryOf(await daemon.cache('main'), 0).pid, primaryOf(before, 0).pid);
      const [fenced] = await firstEvents(daemon, after, ['node-fenced']);
      assert.match(fenced!.message, /replica of shard 0, was stopped .* to be started again$/);
    });

    test('a primary that is busy with a script is let be', async () => {
      const before = await daemon.healthy('main');
      const busy = primaryOf(before, 0);
      const after = await lastEvent(daemon);
      const client = await daemon.connect('main', busy);
      const script = client
        .callWith({ timeoutMs: 60_000 }, 'EVAL', BUSY_SCRIPT, '0', '2.5')
        .finally(() => client.close());
      assert.equal(await script, 'done');
      const healed = await daemon.healthy('main');
      assert.equal(primaryOf(healed, 0).pid, busy.pid);
      const kinds = (await eventsAfter(daemon, after)).map(({ kind }) => kind);
      for (const kind of ['node-hung', 'node-fenced', 'failover']) assert.ok(!kinds.includes(kind));
    });
  });
}

/** Burns ARGV[1] seconds of CPU. */
const BUSY_SCRIPT = `
local last = os.clock() + ARGV[1]
while os.clock() < last do end
return 'done'`;
