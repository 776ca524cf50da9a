import assert from 'node:assert/strict';
import { suite, test, type TestContext } from 'node:test';
import { pino } from 'pino';
import { Autoscaler, type AutoscalerDependencies } from './autoscaler.ts';
import { insertCache, storedCache } from './fixtures/stored-cache.ts';
import { DEFAULT_PLANNER_PARAMS } from './policies/planner-params.ts';
import type { PlannedStep } from './step.ts';
import { stepWords } from './step-words.ts';
import type { Store } from './store.ts';
import { freshPlannerState } from './policies/planner-state.ts';

const VERSION = freshPlannerState().version;

function autoscalerOf(store: Store, started: string[] = []): Autoscaler {
  return new Autoscaler({
    store,
    fleet: {
      isAlive: () => true,
      state: () => 'online',
      isOnLostHost: (id: string) => store.node(id)?.hostId === 'lost',
    },
    pool: { status: () => [], resize: () => undefined },
    jobs: {
      running: () => [],
      resting: () => [],
      isOccupied: () => false,
      start: (_cache: unknown, { step }: PlannedStep) => started.push(stepWords(step)),
    },
    journal: { event: () => undefined },
    log: pino({ level: 'silent' }),
    heat: () => null,
    hosts: async () => [
      {
        id: 'local',
        zone: 'local',
        capacity: { cores: 4, memoryBytes: 2 ** 33, freeMemoryBytes: 2 ** 32, cpuUtilisation: 0.1 },
      },
    ],
    watchSlots: () => undefined,
    params: DEFAULT_PLANNER_PARAMS,
  } as unknown as AutoscalerDependencies);
}

/** Three caches, of which the first remembers `state`, planned once. */
async function plan(t: TestContext, state: string) {
  const { store } = storedCache(t);
  for (const i of [2, 3]) insertCache(store, `cache-${i}`, `c${i}`, i * 100);
  store.putScalingState('c1', state);
  const read = store.nodes.bind(store);
  let readsOfAll = 0;
  store.nodes = (cacheId) => {
    if (cacheId === undefined) readsOfAll++;
    return read(cacheId);
  };
  const autoscaler = autoscalerOf(store);
  autoscaler.plan();
  await autoscaler.stop();
  return { autoscaler, store, readsOfAll };
}

suite('the autoscaler', () => {
  test('a memory that cannot be read is replaced by a fresh one', async (t) => {
    const { autoscaler, store } = await plan(t, '{"version":');
    assert.ok(autoscaler.explanations('c1').length > 0);
    assert.equal(JSON.parse(store.scalingState('c1')!).version, VERSION);
  });

  test('one cache that cannot be planned keeps no other from its plan, and begins anew', async (t) => {
    const { autoscaler, store } = await plan(t, `{"version":${VERSION}}`);
    assert.ok(autoscaler.explanations('c2').length > 0);
    assert.ok(autoscaler.explanations('c3').length > 0);
    assert.deepEqual(JSON.parse(store.scalingState('c1')!).movesAtMs, []);
  });

  test('what the hosts have is worked out once for all caches', async (t) => {
    const { readsOfAll } = await plan(t, '{}');
    assert.equal(readsOfAll, 1);
  });

  test('a node that was leaving is taken out, once its host is there', async (t) => {
    const { store } = storedCache(t);
    const started: string[] = [];
    const autoscaler = autoscalerOf(store, started);
    store.updateNode('n0-1', { leaving: true });
    store.updateNode('n1-1', { leaving: true, hostId: 'lost' });
    autoscaler.plan();
    await autoscaler.stop();
    const removals = started.filter((words) => words.startsWith('remove-node'));
    assert.deepEqual(removals, ['remove-node n0-1']);
  });
});
