/**
 * A planned change whose daemon ends in its middle: no moment with two primaries that take writes, nothing stays paused, and
 * the next daemon brings it to its end. A daemon's end is a fleet that neither sends nor hears anything from some command on.
 */
import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import { suite, test } from 'node:test';
import { executeStep } from '../src/control/execute-step.ts';
import type { Fleet } from '../src/control/fleet.ts';
import { shardLane } from '../src/control/lanes.ts';
import { parseInfo } from '../src/control/node-observation.ts';
import type { NodeRecord } from '../src/control/store-records.ts';
import { recordPrimary } from '../src/control/steps/record-roles.ts';
import { SmallPlane } from './harness/small-plane.ts';
import { until } from './harness/until.ts';

interface Point {
  readonly when: 'before' | 'after';
  /** The command begins so. */
  readonly command: string;
}

const POINTS: Readonly<Record<'sharded' | 'unsharded', readonly Point[]>> = {
  sharded: [
    { when: 'after', command: 'CLIENT PAUSE' },
    { when: 'before', command: 'CLUSTER FAILOVER TAKEOVER' },
    { when: 'after', command: 'CLUSTER FAILOVER TAKEOVER' },
  ],
  unsharded: [
    { when: 'after', command: 'CLIENT PAUSE' },
    { when: 'before', command: 'FAILOVER TO' },
    { when: 'after', command: 'FAILOVER TO' },
  ],
};

const NEVER = new Promise<never>(() => undefined);
const KEY = 'b';

/** The fleet as a daemon has it that ends at that point. `ended` resolves when it has. */
function mortal(fleet: Fleet, { when, command }: Point): { fleet: Fleet; ended: Promise<void> } {
  const end = Promise.withResolvers<void>();
  let lives = true;
  const call: Fleet['call'] = async (nodeId, args, timeoutMs) => {
    if (!lives) return NEVER;
    if (!args.join(' ').startsWith(command)) return fleet.call(nodeId, args, timeoutMs);
    lives = false;
    if (when === 'after') await fleet.call(nodeId, args, timeoutMs);
    end.resolve();
    return NEVER;
  };
  const observe: Fleet['observe'] = (...args) => (lives ? fleet.observe(...args) : NEVER);
  return { fleet: withMethods(fleet, { call, observe }), ended: end.promise };
}

function withMethods(fleet: Fleet, methods: Partial<Fleet>): Fleet {
  return new Proxy(fleet, {
    get(target, name) {
      const value: unknown = Reflect.get(name in methods ? methods : target, name, target);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
}

const nodesOf = (plane: SmallPlane): { old: NodeRecord; next: NodeRecord } => {
  const nodes = plane.store.nodes().filter(({ shard }) => shard === 0);
  const of = (role: string) => nodes.find((node) => node.role === role)!;
  return { old: of('primary'), next: of('replica') };
};

async function info(plane: SmallPlane, nodeId: string, section: string) {
  return parseInfo(String(await plane.fleet.call(nodeId, ['INFO', section])));
}

const isPaused = async (plane: SmallPlane, nodeId: string): Promise<boolean> =>
  (await info(plane, nodeId, 'clients')).get('paused_reason') !== 'none';

/** Which of the nodes take a write now. */
async function takers(plane: SmallPlane, nodeIds: readonly string[], value: string) {
  const replies = await Promise.allSettled(
    nodeIds.map((id) => plane.fleet.call(id, ['SET', KEY, value])),
  );
  return nodeIds.filter((_, i) => replies[i]!.status === 'fulfilled');
}

for (const kind of ['sharded', 'unsharded'] as const) {
  suite(`a planned failover of ${kind === 'sharded' ? 'a shard' : 'an unsharded cache'}`, () => {
    for (const line of ['9.1', '8.1'] as const) {
      test(`whose daemon ends in its middle, Valkey ${line}`, async (t) => {
        let plane = await SmallPlane.create({
          sharding: kind === 'sharded',
          replicas: 1,
          lines: [line],
        });
        const { root } = plane;
        t.after(async () => {
          await plane.destroy();
          rmSync(root, { recursive: true, force: true });
        });
        for (const [i, point] of POINTS[kind].entries()) {
          await t.test(`${point.when} ${point.command}`, async () => {
            await plane.settled();
            await plane.rest();
            const { old, next } = nodesOf(plane);
            const { fleet, ended } = mortal(plane.fleet, point);
            const lane = shardLane(plane.cache.id, 0);
            const step = { kind: 'planned-failover', nodeId: next.id, primaryId: old.id } as const;
            void executeStep({ ...plane.context(), fleet }, lane, { step, reason: 'a test' });
            await ended;
            for (const { id } of [old, next]) await until(async () => !(await isPaused(plane, id)));
            const value = `value ${i}`;
            const took = await takers(plane, [old.id, next.id], value);
            assert.equal(took.length, 1, 'one node takes writes');
            await plane.leave();

            plane = await SmallPlane.open(root);
            await until(() => plane.store.steps.open(plane.cache.id, lane).length === 0);
            await until(() => plane.store.node(next.id)?.role === 'primary');
            await plane.settled();
            assert.equal(await plane.fleet.call(next.id, ['GET', KEY]), value);
            assert.deepEqual(await takers(plane, [old.id, next.id], 'last'), [next.id]);
          });
        }
      });
    }
  });
}

test('a node that a dead daemon left paused does not end before what waits in it is answered', async (t) => {
  const plane = await SmallPlane.create({ replicas: 1, proxy: true });
  t.after(() => plane.destroy());
  await plane.settled();
  await plane.rest();
  const { old, next } = nodesOf(plane);
  const client = await plane.connect();
  t.after(() => client.close());
  await client.expectOk('SET', KEY, 'before');

  await plane.fleet.call(old.id, ['CLIENT', 'PAUSE', 2_000, 'WRITE']);
  client.send('SET', KEY, 'while it is paused');
  await until(async () => (await info(plane, old.id, 'clients')).get('blocked_clients') === '1');
  await plane.fleet.call(next.id, ['CLUSTER', 'FAILOVER', 'TAKEOVER']);
  recordPrimary(plane.context(), 0, next.id);
  await until(async () => (await plane.fleet.observe(old.id))?.role === 'replica');
  await plane.run({ kind: 'remove-node', nodeId: old.id, why: 'a test' });

  assert.equal((await client.next()).toString(), '+OK\r\n');
  assert.equal(await client.text('GET', KEY), 'while it is paused');
  assert.ok(!plane.fleet.isAlive(old.id));
});

test('a failover that is taken up when a third node has become the primary leaves it that', async (t) => {
  const plane = await SmallPlane.create({ replicas: 2 });
  t.after(() => plane.destroy());
  await plane.settled();
  await plane.rest();
  const { old } = nodesOf(plane);
  const [next, third] = plane.store
    .nodes()
    .filter(({ shard, role }) => shard === 0 && role === 'replica');
  await plane.fleet.call(third!.id, ['CLUSTER', 'FAILOVER', 'TAKEOVER']);
  for (const { id } of [old, next!]) {
    await until(async () => (await plane.fleet.observe(id))?.primaryPort === third!.port);
  }
  await assert.rejects(
    plane.run({ kind: 'planned-failover', nodeId: next!.id, primaryId: old.id }),
    { code: 'NODE_NOT_PRIMARY' },
  );
  assert.equal((await plane.fleet.observe(third!.id))?.role, 'primary');
  assert.equal((await plane.fleet.observe(next!.id))?.role, 'replica');
});

for (const sharding of [true, false]) {
  test(`a daemon that stands still in the pause does not go on when it may have ended, ${sharding ? 'sharded' : 'unsharded'}`, async (t) => {
    const plane = await SmallPlane.create({ sharding, replicas: 1 });
    t.after(() => plane.destroy());
    await plane.settled();
    await plane.rest();
    const { old, next } = nodesOf(plane);
    const call: Fleet['call'] = async (nodeId, args, timeoutMs) => {
      const reply = await plane.fleet.call(nodeId, args, timeoutMs);
      if (args[1] === 'PAUSE') await until(async () => !(await isPaused(plane, nodeId)));
      return reply;
    };
    const fleet = withMethods(plane.fleet, { call });
    const step = { kind: 'planned-failover', nodeId: next.id, primaryId: old.id } as const;
    await assert.rejects(
      executeStep({ ...plane.context(), fleet }, 'test', { step, reason: 'a test' }),
      { code: 'STEP_TIMEOUT' },
    );
    assert.deepEqual(await takers(plane, [old.id, next.id], 'after'), [old.id]);
  });
}

test('an unsharded primary whose replica dies as it hands over goes on, with or without its daemon', async (t) => {
  let plane = await SmallPlane.create({ sharding: false, replicas: 1 });
  const { root } = plane;
  t.after(async () => {
    await plane.destroy();
    rmSync(root, { recursive: true, force: true });
  });
  for (const dies of [false, true]) {
    await plane.settled();
    await plane.rest();
    const { old, next } = nodesOf(plane);
    const value = `kept ${dies}`;
    assert.deepEqual(await takers(plane, [old.id], value), [old.id]);
    const handedOver = Promise.withResolvers<void>();
    const call: Fleet['call'] = async (nodeId, args, timeoutMs) => {
      if (args[0] !== 'FAILOVER' || args[1] !== 'TO') {
        return plane.fleet.call(nodeId, args, timeoutMs);
      }
      // Stopped, so that the primary finds it connected, and hands over to nobody.
      process.kill(plane.fleet.pid(next.id)!, 'SIGSTOP');
      const reply = await plane.fleet.call(nodeId, args, timeoutMs);
      await until(async () => (await plane.fleet.observe(nodeId))?.role === 'replica');
      plane.kill(next.id);
      handedOver.resolve();
      return dies ? NEVER : reply;
    };
    const fleet = withMethods(plane.fleet, { call });
    const lane = shardLane(plane.cache.id, 0);
    const step = { kind: 'planned-failover', nodeId: next.id, primaryId: old.id } as const;
    const done = executeStep({ ...plane.context(), fleet }, lane, { step, reason: 'a test' });
    if (dies) await handedOver.promise;
    else await assert.rejects(done, { code: 'STEP_TIMEOUT' });
    if (!dies) assert.deepEqual(await takers(plane, [old.id], value), [old.id]);
    await plane.leave();
    plane = await SmallPlane.open(root);
    await plane.settled();
    assert.equal(nodesOf(plane).old.id, old.id);
    assert.equal(await plane.fleet.call(old.id, ['GET', KEY]), value);
    assert.deepEqual(await takers(plane, [old.id, next.id], value), [old.id]);
  }
});
