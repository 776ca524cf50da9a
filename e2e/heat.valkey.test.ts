/** A real daemon, real proxies and nodes: where the load is, before and after the daemon dies; and a cache at its limit. */
import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { eventually, TestDaemon } from '../src/daemon/fixtures/test-daemon.ts';
import type { CacheEvent } from '../src/model/admin-api.ts';
import type { CacheHeatAnswer } from '../src/model/heat.ts';
import { hashSlot } from '../src/protocol/hash-slot.ts';
import { RespError } from '../src/protocol/resp-value.ts';
import { REAL_PROXIES } from './harness/daemon-traffic.ts';
import { RawClient } from './harness/raw-client.ts';

const slotOf = (key: string) => hashSlot(Buffer.from(key), 0, Buffer.byteLength(key));

/** Sends batches made by `batch` until it is stopped; resolves to the errors then. */
async function load(port: number, batch: () => readonly string[][]) {
  const client = await RawClient.whenUp(port);
  const errors: string[] = [];
  let stopped = false;
  const run = (async () => {
    while (!stopped) {
      const replies = await Promise.all(batch().map((words) => client.call(...words)));
      for (const reply of replies) if (reply instanceof RespError) errors.push(reply.message);
    }
  })();
  return async (): Promise<readonly string[]> => {
    stopped = true;
    await run;
    client.close();
    return errors;
  };
}

suite('heat', () => {
  test('the hottest slot, its key, its shard and its node are seen; and again by another daemon', async (t) => {
    const daemon = await TestDaemon.forTest(t, [REAL_PROXIES]);
    const { endpoint } = await daemon.create({ name: 'main', shards: 2, replicas: 1 });
    const port = Number(endpoint.split(':')[1]);
    let n = 0;
    const stopped = await load(port, () => [
      ...Array.from({ length: 20 }, () => ['GET', 'hot']),
      ...Array.from({ length: 5 }, () => ['SET', 'hot', 'x'.repeat(100)]),
      ...Array.from({ length: 25 }, () => ['SET', `key-${n++ % 500}`, 'x'.repeat(2048)]),
    ]);
    const heat = () => daemon.json<CacheHeatAnswer>('GET', '/v1/caches/main/heat');
    const hot = slotOf('hot');
    const cold = slotOf('key-1');
    const isSeen = async () => {
      const { smoothed, owners, hotKeys, nodes, keys, memoryBytes } = await heat();
      return (
        // Of 2 KB each, and their names.
        memoryBytes[cold]! > 2048 * keys[cold]! &&
        smoothed.requests[hot]! > 0 &&
        smoothed.requests[hot] === Math.max(...smoothed.requests) &&
        owners[hot] === (hot < 8192 ? 0 : 1) &&
        keys[cold]! >= 1 &&
        hotKeys[0]?.keyHex === Buffer.from('hot').toString('hex') &&
        hotKeys[0].readsPerSecond > hotKeys[0].writesPerSecond &&
        hotKeys[0].writesPerSecond > 0 &&
        nodes.length === 4 &&
        nodes.every((node) => node.utilisation !== null && node.utilisation > 0)
      );
    };
    await eventually('the heat', isSeen);
    const { smoothed, nodes, total } = await heat();
    // A SET of 2 KB is two ECPU and a little, what is small is one.
    const perRequest = smoothed.ecpu[cold]! / smoothed.requests[cold]!;
    assert.ok(perRequest > 2 && perRequest < 2.2, String(perRequest));
    assert.ok(Math.abs(smoothed.ecpu[hot]! / smoothed.requests[hot]! - 1) < 0.01);
    const primaries = nodes.filter(({ role }) => role === 'primary');
    const served = primaries.reduce((sum, { requestsPerSecond }) => sum + requestsPerSecond, 0);
    assert.ok(served > 0 && Math.abs(served - total.requests) < total.requests * 0.01);
    assert.deepEqual(primaries.map(({ slots }) => slots), [8192, 8192]); // prettier-ignore

    await daemon.kill('SIGKILL');
    await daemon.start();
    await eventually('the heat after the daemon was killed', async () =>
      heat().then(isSeen, () => false),
    );
    assert.deepEqual(await stopped(), []);
  });

  test('a cache at its limit makes its clients wait, says so, and fails none', async (t) => {
    const daemon = await TestDaemon.forTest(t, [REAL_PROXIES]);
    const limits = { ecpuPerSecondMaximum: 1000 };
    const { endpoint } = await daemon.create({ name: 'main', shards: 1, limits });
    const port = Number(endpoint.split(':')[1]);
    const stopped = await load(port, () => Array.from({ length: 100 }, () => ['GET', 'key']));
    await eventually('the event', async () => {
      const events = await daemon.json<CacheEvent[]>('GET', '/v1/events?cache=main');
      return events.some(({ kind }) => kind === 'requests-throttled');
    });
    // One connection is at one proxy: an equal part would be 500.
    await eventually('the part of the proxy that has the client', async () => {
      const { smoothed } = await daemon.json<CacheHeatAnswer>('GET', '/v1/caches/main/heat');
      return smoothed.ecpu[slotOf('key')]! > 800;
    });
    const { metricsUrl } = await daemon.status();
    const text = await (await fetch(metricsUrl!)).text();
    assert.match(text, /^springtide_throttled_total{cache="main"} [1-9]/m);
    assert.match(text, /^springtide_throttled_refused_total{cache="main"} 0$/m);
    assert.deepEqual(await stopped(), []);
  });
});
