/**
 * The step that moves slots, with real nodes and value-checked traffic through a real proxy: both engines' ways, failovers
 * and deaths in the middle. SmallPlane heals the nodes as the daemon does.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { test, type TestContext } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { EngineLine } from '../src/model/cache-spec.ts';
import { parseInfo } from '../src/control/node-observation.ts';
import { mendSlots } from '../src/control/steps/mend-slots.ts';
import { parseSlotMigrations } from '../src/control/steps/slot-migrations.ts';
import { SYSTEM_USER_NAME } from '../src/model/user.ts';
import { hashSlot } from '../src/protocol/hash-slot.ts';
import { textOf } from '../src/protocol/resp-value.ts';
import { CheckedTraffic } from './harness/checked-traffic.ts';
import type { RawClient } from './harness/raw-client.ts';
import { SmallPlane, type SmallPlaneOptions } from './harness/small-plane.ts';
import { until } from './harness/until.ts';

const LINES: EngineLine[] = ['9.1', '8.1', '8.0'];
const CONNECTIONS = 6;
/** Few where they go one by one, so that the test is short. */
const LAST_SLOT = { '9.1': 8191, '8.1': 1023, '8.0': 1023 } as const;

async function planeFor(t: TestContext, options: SmallPlaneOptions): Promise<SmallPlane> {
  const plane = await SmallPlane.create(options);
  t.after(() => plane.destroy());
  return plane;
}

function slotOf(key: string): number {
  const bytes = Buffer.from(key);
  return hashSlot(bytes, 0, bytes.length);
}

/** Keys of slots up to `last`, so many. */
function keysUpTo(last: number, count: number, prefix = 'k'): string[] {
  const keys: string[] = [];
  for (let i = 0; keys.length < count; i++) {
    const key = `${prefix}${i}`;
    if (slotOf(key) <= last) keys.push(key);
  }
  return keys;
}

async function fill(client: RawClient, keys: readonly string[], value: (key: string) => string) {
  for (let at = 0; at < keys.length; at += 500) {
    const words = keys.slice(at, at + 500).flatMap((key) => [key, value(key)]);
    assert.equal(await client.text('MSET', ...words), 'OK');
  }
}

async function missing(client: RawClient, keys: readonly string[], value: (key: string) => string) {
  const wrong: string[] = [];
  for (let at = 0; at < keys.length; at += 500) {
    const some = keys.slice(at, at + 500);
    const values = (await client.call('MGET', ...some)) as unknown[];
    for (const [i, key] of some.entries())
      if (textOf(values[i] as never) !== value(key)) wrong.push(key);
  }
  return wrong;
}

/** Traffic while `disturb` runs; nothing wrong, and its report as a diagnostic. */
async function underTraffic(
  t: TestContext,
  plane: SmallPlane,
  disturb: () => Promise<void>,
): Promise<CheckedTraffic> {
  const traffic = new CheckedTraffic(plane, 'traffic', CONNECTIONS);
  traffic.start();
  await delay(300);
  await disturb();
  await delay(200);
  await traffic.stop();
  t.diagnostic(traffic.report);
  assert.deepEqual(traffic.wrong, []);
  return traffic;
}

for (const line of LINES) {
  test(`${line}: slots go there and back under traffic, and nobody notices`, async (t) => {
    const plane = await planeFor(t, { shards: 3, lines: [line], proxy: true });
    const client = await plane.connect();
    const last = line === '9.1' ? 5460 : LAST_SLOT[line];
    const keys = keysUpTo(last, 3000);
    const value = (key: string) => `${key}-${'x'.repeat(200)}`;
    await fill(client, keys, value);
    const traffic = await underTraffic(t, plane, async () => {
      for (const [from, to] of [
        [0, 1],
        [1, 0],
      ] as const) {
        const startedMs = performance.now();
        await plane.move(from, to, 0, last);
        t.diagnostic(`${last + 1} slots in ${Math.round(performance.now() - startedMs)} ms`);
        assert.equal(await plane.shardOf(last), to);
      }
    });
    assert.deepEqual([...traffic.errors], []);
    assert.deepEqual(traffic.lost, []);
    assert.equal(traffic.lostIncrements, 0);
    await plane.settled();
    assert.deepEqual(await missing(client, keys, value), []);
    assert.ok(plane.events.includes('slots-moved'));
    assert.equal(plane.progress.at(-1)![0], 1);
    // Once more is nothing: the step may be run again whenever it is in doubt.
    await plane.move(1, 0, 0, last);
    client.close();
  });
}

test('8.1: large values, keys that are no text, keys with a time to live', async (t) => {
  const plane = await planeFor(t, { lines: ['8.1'] });
  const source = await plane.primary(0);
  const call = (...words: (string | number | Buffer)[]) =>
    plane.fleet.callForBytes(source.nodeId, words as [string, ...(string | number | Buffer)[]]);
  const tag = keysUpTo(100, 1, 'tag')[0]!;
  const slot = slotOf(tag);
  const odd = Buffer.concat([Buffer.from(`{${tag}}`), Buffer.of(0, 255, 13, 10, 128)]);
  await call('SET', odd, Buffer.of(1, 2, 255));
  await call('SET', `{${tag}}big`, 'x'.repeat(32 * 1024 ** 2));
  for (let i = 0; i < 20; i++)
    await call('RPUSH', `{${tag}}list`, ...Array.from({ length: 5000 }, (_, n) => `${i}-${n}`));
  await call('SET', `{${tag}}ttl`, 'v', 'EX', 1000);
  for (let i = 0; i < 500; i++) await call('SET', `{${tag}}s${i}`, String(i));
  await plane.move(0, 1, slot, slot);
  await plane.settled();
  const target = await plane.primary(1);
  const read = (...words: [string, ...(string | Buffer)[]]) =>
    plane.fleet.callForBytes(target.nodeId, words);
  assert.deepEqual(await read('GET', odd), Buffer.of(1, 2, 255));
  assert.equal(await read('STRLEN', `{${tag}}big`), 32 * 1024 ** 2);
  assert.equal(await read('LLEN', `{${tag}}list`), 100_000);
  assert.ok(Number(await read('TTL', `{${tag}}ttl`)) > 900);
  assert.equal(String(await read('GET', `{${tag}}s499`)), '499');
  assert.equal(await read('DBSIZE'), 504);
});

test('9.1: all databases go along, and the function libraries', async (t) => {
  const plane = await planeFor(t, { lines: ['9.1'], proxy: true });
  const source = await plane.primary(0);
  const library = "#!lua name=lib\nserver.register_function('one', function() return 1 end)";
  await plane.fleet.call(source.nodeId, ['FUNCTION', 'LOAD', library]);
  const [key] = keysUpTo(100, 1);
  const client = await plane.connect();
  for (const database of ['0', '3', '15']) {
    await client.expectOk('SELECT', database);
    await client.expectOk('SET', key!, `in-${database}`);
  }
  await plane.move(0, 1, 0, 100);
  for (const database of ['0', '3', '15']) {
    await client.expectOk('SELECT', database);
    assert.equal(await client.text('GET', key!), `in-${database}`);
  }
  assert.equal(await client.call('FCALL', 'one', '1', key!), 1);
  client.close();
});

test('nodes of two versions: from the older to the newer by keys, not back', async (t) => {
  const plane = await planeFor(t, { lines: ['8.1', '9.1'], proxy: true });
  const client = await plane.connect();
  const keys = keysUpTo(200, 500);
  await fill(client, keys, String);
  await plane.move(0, 1, 0, 200);
  await plane.settled();
  assert.deepEqual(await missing(client, keys, String), []);
  await assert.rejects(plane.move(1, 0, 0, 200), { code: 'SLOT_MOVE_REFUSED' });
  await plane.settled();
  client.close();
});

test('what must not be moved is refused, and nothing is left of it', async (t) => {
  const plane = await planeFor(t, { shards: 3, lines: ['9.1', '9.1', '8.1'] });
  const refused = { code: 'SLOT_MOVE_REFUSED' };
  await assert.rejects(plane.move(0, 1, 16_000, 16_001), refused);
  await assert.rejects(plane.move(0, 2, 16_000, 16_384), refused);
  await assert.rejects(plane.move(0, 0, 0, 1), refused);
  await assert.rejects(plane.move(1, 2, 0, 1), refused);
  // 5 is on its way to shard 1, by somebody else.
  const [a, b] = [await plane.primary(0), await plane.primary(1)];
  const setSlot = (nodeId: string, ...words: string[]) =>
    plane.fleet.call(nodeId, ['CLUSTER', 'SETSLOT', 5, ...words]);
  await setSlot(b.nodeId, 'IMPORTING', a.clusterId);
  await setSlot(a.nodeId, 'MIGRATING', b.clusterId);
  await assert.rejects(plane.move(0, 2, 5, 5), refused);
  await plane.run({ kind: 'mend-slots' });
  await plane.settled();
  assert.equal(await plane.shardOf(5), 0);
});

test('9.1: a node that gives slots away takes none meanwhile', async (t) => {
  const plane = await planeFor(t, { shards: 3 });
  const [a, b, c] = [await plane.primary(0), await plane.primary(1), await plane.primary(2)];
  // A migration that does not end: its target does not answer.
  process.kill(plane.fleet.pid(b.nodeId)!, 'SIGSTOP');
  const words = ['CLUSTER', 'MIGRATESLOTS', 'SLOTSRANGE', 0, 9, 'NODE', b.clusterId];
  await plane.fleet.call(a.nodeId, words);
  const busy = { code: 'SLOT_MOVE_BUSY' };
  await Promise.all([
    assert.rejects(plane.move(2, 0, c.myself.slotRanges[0]!.first, 16_000), busy),
    assert.rejects(plane.move(0, 2, 5, 20), busy),
  ]);
  process.kill(plane.fleet.pid(b.nodeId)!, 'SIGCONT');
  await plane.fleet.call(a.nodeId, ['CLUSTER', 'CANCELSLOTMIGRATIONS']);
  const migrations = async () =>
    parseSlotMigrations(await plane.fleet.call(a.nodeId, ['CLUSTER', 'GETSLOTMIGRATIONS']));
  await until(async () => (await migrations()).every(({ isActive }) => !isActive));
  await plane.move(0, 2, 10, 20);
  assert.equal(await plane.shardOf(15), 2);
  await plane.settled();
});

test('9.1: an abort cancels what is under way, and the slots stay', async (t) => {
  const plane = await planeFor(t, { proxy: true });
  const client = await plane.connect();
  const keys = keysUpTo(8191, 40_000);
  const value = (key: string) => key.padEnd(2000, 'x');
  await fill(client, keys, value);
  const abort = new AbortController();
  const source = await plane.primary(0);
  const moving = plane.move(0, 1, 0, 8191, abort.signal);
  const migrations = async () =>
    JSON.stringify(await plane.fleet.call(source.nodeId, ['CLUSTER', 'GETSLOTMIGRATIONS']));
  await until(async () => /snapshotting|replicating/.test(await migrations()));
  abort.abort(new Error('not wanted any more'));
  await assert.rejects(moving, /not wanted any more/);
  assert.match(await migrations(), /cancelled/);
  assert.doesNotMatch(await migrations(), /snapshotting|replicating|success/);
  await plane.settled();
  assert.equal(await plane.shardOf(0), 0);
  assert.deepEqual(await missing(client, keys, value), []);
  client.close();
});

test('8.1: a node that waits for its replica in a move answers all the same', async (t) => {
  const plane = await planeFor(t, { lines: ['8.1'], replicas: 1 });
  const source = await plane.primary(0);
  const replica = plane.store.nodes().find(({ shard, role }) => shard === 0 && role === 'replica')!;
  process.kill(plane.fleet.pid(replica.id)!, 'SIGSTOP');
  const moving = plane.move(0, 1, 0, 200);
  for (let i = 0; i < 15; i++) {
    assert.equal(await plane.fleet.call(source.nodeId, ['PING'], 1_000), 'PONG');
    await delay(100);
  }
  // It is found to hang, and ended; the move goes on without it.
  await moving;
  assert.equal(await plane.shardOf(200), 1);
});

test('8.1: an abort leaves what the next run goes on with', async (t) => {
  const plane = await planeFor(t, { lines: ['8.1'], proxy: true });
  const client = await plane.connect();
  const keys = keysUpTo(400, 4000);
  await fill(client, keys, String);
  const abort = new AbortController();
  const moving = plane.move(0, 1, 0, 400, abort.signal);
  const target = await plane.primary(1);
  await until(async () => Number(await plane.fleet.call(target.nodeId, ['DBSIZE'])) > 100);
  abort.abort(new Error('not wanted any more'));
  await assert.rejects(moving, /not wanted any more/);
  assert.equal(await plane.shardOf(400), 0);
  await plane.move(0, 1, 0, 400);
  await plane.settled();
  assert.equal(await plane.shardOf(400), 1);
  assert.deepEqual(await missing(client, keys, String), []);
  client.close();
});

/** Runs the step in a process of its own, and kills that once `until` holds. */
async function killedMove(
  plane: SmallPlane,
  last: number,
  when: () => Promise<boolean>,
): Promise<void> {
  const script = fileURLToPath(new URL('./harness/move-process.ts', import.meta.url));
  const child = spawn(process.execPath, [script, plane.root, '0', '1', '0', String(last)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const ended = once(child, 'exit');
  let said = '';
  child.stdout.on('data', (bytes: Buffer) => (said += bytes.toString()));
  await until(() => said.includes('moving'));
  await until(async () => child.exitCode !== null || (await when()));
  child.kill('SIGKILL');
  await ended;
  assert.ok(!said.includes('moved'), 'it was through before it could be killed');
}

for (const line of ['9.1', '8.1'] as const) {
  test(`${line}: kill -9 of who moves, in the middle: the next one goes on`, async (t) => {
    const plane = await planeFor(t, { lines: [line], proxy: true });
    const client = await plane.connect();
    const last = line === '9.1' ? 8191 : 1023;
    // Enough that it takes a moment.
    const keys = keysUpTo(last, line === '9.1' ? 40_000 : 6000);
    const value = (key: string) => `${key}${'x'.repeat(line === '9.1' ? 2000 : 100)}`;
    await fill(client, keys, value);
    const source = await plane.primary(0);
    const target = await plane.primary(1);
    const traffic = await underTraffic(t, plane, async () => {
      await killedMove(plane, last, async () => {
        if (line !== '9.1') return Number(await plane.fleet.call(target.nodeId, ['DBSIZE'])) > 1000;
        const said = await plane.fleet.call(source.nodeId, ['CLUSTER', 'GETSLOTMIGRATIONS']);
        return /snapshotting|replicating/.test(JSON.stringify(said));
      });
      await plane.move(0, 1, 0, last);
    });
    await plane.settled();
    assert.deepEqual([...traffic.errors], []);
    assert.deepEqual(traffic.lost, []);
    assert.equal(await plane.shardOf(last), 1);
    assert.deepEqual(await missing(client, keys, value), []);
    client.close();
  });
}

test('8.1: kill -9 of who moves, and nobody goes on: what is left is mended', async (t) => {
  const plane = await planeFor(t, { lines: ['8.1'], proxy: true });
  const client = await plane.connect();
  const keys = keysUpTo(1023, 6000);
  await fill(client, keys, String);
  const target = await plane.primary(1);
  await killedMove(
    plane,
    1023,
    async () =>
      Number(await plane.fleet.call(target.nodeId, ['DBSIZE'])) > 1000 &&
      (await plane.primary(1)).myself.marks.length > 0,
  );
  assert.ok((await plane.primary(1)).myself.marks.length > 0, 'killed where nothing was to mend');
  await plane.run({ kind: 'mend-slots' });
  assert.ok(plane.events.includes('slots-mended'));
  await plane.settled();
  assert.deepEqual(await missing(client, keys, String), []);
  client.close();
});

/** Which node is killed, and whether there is a replica to go on in its place. */
const DEATHS = (['9.1', '8.1', '8.0'] as const).flatMap((line) =>
  (['source', 'target'] as const).flatMap((end) =>
    [1, 0].map((replicas) => ({ line, end, replicas })),
  ),
);

for (const { line, end, replicas } of DEATHS) {
  test(`${line}: kill -9 of the ${end} in the middle, ${replicas === 0 ? 'without' : 'with'} replicas`, async (t) => {
    const plane = await planeFor(t, { shards: 3, replicas, lines: [line], proxy: true });
    const client = await plane.connect();
    const last = line === '9.1' ? 5460 : 300;
    const keys = keysUpTo(last, line === '9.1' ? 30_000 : 4000);
    const value = (key: string) => `${key}${'x'.repeat(line === '9.1' ? 2000 : 100)}`;
    await fill(client, keys, value);
    const source = await plane.primary(0);
    const target = await plane.primary(1);
    const victim = end === 'source' ? source : target;
    let killed = false;
    const traffic = await underTraffic(t, plane, async () => {
      const moving = plane.move(0, 1, 0, last);
      const killing = until(async () => {
        const far =
          line === '9.1'
            ? /snapshotting|replicating/.test(
                JSON.stringify(
                  await plane.fleet.call(source.nodeId, ['CLUSTER', 'GETSLOTMIGRATIONS']),
                ),
              )
            : Number(await plane.fleet.call(target.nodeId, ['DBSIZE'])) > 1000;
        if (far) plane.kill(victim.nodeId);
        killed ||= far;
        return far;
      });
      const startedMs = performance.now();
      await Promise.all([moving, killing]);
      t.diagnostic(`through after ${Math.round(performance.now() - startedMs)} ms`);
    });
    assert.ok(killed);
    await plane.settled();
    assert.equal(await plane.shardOf(last), 1);
    // The client's own connection may have had something under way; nothing else is an error.
    const kinds = [...traffic.errors.keys()].filter((kind) => kind !== 'INDOUBT');
    assert.deepEqual(kinds, []);
    const lost = await missing(client, keys, value);
    t.diagnostic(`${lost.length} of ${keys.length} keys lost`);
    if (replicas > 0) assert.deepEqual(lost, []);
    // 8.x: each key was on one of the two, and only one of them died.
    else if (line !== '9.1') assert.ok(lost.length < keys.length);
    else if (end === 'target') assert.deepEqual(lost, []);
    client.close();
  });
}

test('what nobody goes on with is undone, or brought to its end where keys have arrived', async (t) => {
  const plane = await planeFor(t, { shards: 2, lines: ['9.1'], proxy: true });
  const client = await plane.connect();
  const keys = keysUpTo(8191, 400);
  await fill(client, keys, String);
  const [a, b] = [await plane.primary(0), await plane.primary(1)];
  // One slot of which a key has arrived, one of which none has.
  const [first, second] = [slotOf(keys[0]!), slotOf(keys[1]!)];
  assert.notEqual(first, second);
  for (const slot of [first, second]) {
    await plane.fleet.call(b.nodeId, ['CLUSTER', 'SETSLOT', slot, 'IMPORTING', a.clusterId]);
    await plane.fleet.call(a.nodeId, ['CLUSTER', 'SETSLOT', slot, 'MIGRATING', b.clusterId]);
  }
  const login = ['AUTH2', SYSTEM_USER_NAME, plane.cache.systemSecret];
  const words = ['MIGRATE', '127.0.0.1', b.port, keys[0]!, 0, 5000, ...login];
  await plane.fleet.call(a.nodeId, words);
  await mendSlots(plane.context());
  await plane.settled();
  assert.deepEqual([await plane.shardOf(first), await plane.shardOf(second)], [1, 0]);
  assert.deepEqual(await missing(client, keys, String), []);
  client.close();
});

test('a target without room is not begun with, and the keys stay where they are', async (t) => {
  const plane = await planeFor(t, { lines: ['8.1'], proxy: true });
  const client = await plane.connect();
  const keys = keysUpTo(300, 3000);
  const value = (key: string) => key.padEnd(3000, 'x');
  await fill(client, keys, value);
  const target = await plane.primary(1);
  const used = parseInfo(String(await plane.fleet.call(target.nodeId, ['INFO', 'memory'])));
  const limit = Number(used.get('used_memory')) + 2 * 1024 ** 2;
  await plane.fleet.call(target.nodeId, ['CONFIG', 'SET', 'maxmemory', limit]);
  await assert.rejects(plane.move(0, 1, 0, 300), { code: 'SLOT_MOVE_TARGET_FULL' });
  await plane.settled();
  assert.equal(await plane.shardOf(300), 0);
  assert.deepEqual(await missing(client, keys, value), []);
  client.close();
});
