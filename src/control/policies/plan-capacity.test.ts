import assert from 'node:assert/strict';
import test from 'node:test';
import type { CapacityStep, CapacityView } from './capacity-view.ts';
import { NOW_MS, testHost, testView } from './fixtures/capacity-view.ts';
import { planCapacity } from './plan-capacity.ts';
import { DEFAULT_PLANNER_PARAMS as PARAMS } from './planner-params.ts';
import { freshPlannerState, type PlannerState } from './planner-state.ts';

const MIB = 1024 ** 2;
const GIB = 1024 ** 3;
/** Capacity of a node with four threads that the state below has learned. */
const NODE = 200_000;

function learned(): PlannerState {
  return { ...freshPlannerState(), capacity: { byIoThreads: { '4': NODE } } };
}

function steps(view: CapacityView, state = learned()): CapacityStep[] {
  return planCapacity(view, state, PARAMS).steps.map(({ step }) => step);
}

function kinds(view: CapacityView, state = learned()): string[] {
  return steps(view, state).map((step) => step.kind);
}

/** The same view each second for so long; all steps in order. Nothing is executed. */
function hold(view: CapacityView, seconds: number, state = learned()): CapacityStep[] {
  const all: CapacityStep[] = [];
  let now = state;
  for (let second = 0; second < seconds; second += 1) {
    const nowMs = view.nowMs + second * 1000;
    const plan = planCapacity(
      { ...view, nowMs, slots: { ...view.slots, sampledAtMs: nowMs } },
      now,
      PARAMS,
    );
    now = plan.state;
    all.push(...plan.steps.map(({ step }) => step));
  }
  return all;
}

test('a busy node gets more io-threads at the first sample, as many as it needs', () => {
  const view = testView([{ shard: 0, ecpu: 70_000, utilisation: 0.7, ioThreads: 1 }]);
  const [step] = steps(view, freshPlannerState());
  assert.deepEqual(step, { kind: 'set-io-threads', nodeId: 'node-0', ioThreads: 2 });
});

test('a host without a core to spare gives no threads and no shards, and an event says so', () => {
  const view = testView([{ shard: 0, ecpu: 190_000, utilisation: 0.97 }], {
    hosts: [testHost({ cpuUtilisation: 0.95 })],
  });
  const planned = steps(view);
  assert.deepEqual(
    planned.map((step) => (step.kind === 'raise-event' ? step.event : step.kind)),
    ['hosts-full'],
  );
});

test('io-threads go down after quiet, one at a time', () => {
  const view = testView([{ shard: 0, ecpu: 10_000, utilisation: 0.05 }]);
  const planned = hold(view, 100);
  assert.equal(planned.length, 1);
  assert.deepEqual(planned[0], { kind: 'set-io-threads', nodeId: 'node-0', ioThreads: 3 });
});

test('above the urgent utilisation shards are added at once, as many as the forecast needs', () => {
  const view = testView([
    { shard: 3, ecpu: 0.9 * NODE, utilisation: 0.9 },
    { shard: 7, ecpu: 0.9 * NODE, utilisation: 0.9 },
  ]);
  const added = steps(view).filter((step) => step.kind === 'add-shard');
  // 1.8 nodes' worth at 60 % is three shards; numbers are new ones.
  assert.deepEqual(added, [{ kind: 'add-shard', shard: 8 }]);
});

test('a minimum that was raised is in force at once, without any figures', () => {
  const base = testView([{ shard: 0, ecpu: 0, utilisation: null }]);
  const view = {
    ...base,
    limits: { ...base.limits, ecpuPerSecondMinimum: 600_000 },
    slots: { ...base.slots, sampledAtMs: NOW_MS - 60_000 },
  };
  assert.deepEqual(
    kinds(view).filter((kind) => kind === 'add-shard'),
    ['add-shard', 'add-shard', 'add-shard', 'add-shard'],
  );
});

test("the cache's maximum of shards holds, and an event says what is missing", () => {
  const base = testView([{ shard: 0, ecpu: NODE, utilisation: 1 }]);
  const view = { ...base, limits: { ...base.limits, shardsMaximum: 2 } };
  const planned = steps(view);
  assert.equal(planned.filter((step) => step.kind === 'add-shard').length, 1);
  assert.ok(
    planned.some((step) => step.kind === 'raise-event' && step.event === 'shards-at-maximum'),
  );
});

test('an empty pool is an event, and the plan says how many nodes are missing', () => {
  const view = testView([{ shard: 0, ecpu: NODE, utilisation: 1 }], {
    pool: { ready: 0, starting: 0 },
  });
  const plan = planCapacity(view, learned(), PARAMS);
  assert.equal(plan.steps.filter(({ step }) => step.kind === 'add-shard').length, 0);
  assert.equal(plan.nodesMissing, 3);
  assert.ok(
    plan.steps.some(({ step }) => step.kind === 'raise-event' && step.event === 'pool-empty'),
  );
});

test('shards leave only after quiet, several when far over, never below the minimum', () => {
  const shards = Array.from({ length: 9 }, (_, shard) => ({
    shard,
    ecpu: 0.02 * NODE,
    utilisation: 0.02,
  }));
  const base = testView(shards);
  const view = { ...base, limits: { ...base.limits, shardsMinimum: 2 } };
  const early = hold(view, 115).filter((step) => step.kind === 'drain-shard');
  assert.equal(early.length, 0);
  let state = learned();
  let drained: CapacityStep[] = [];
  for (let second = 0; drained.length === 0; second += 1) {
    assert.ok(second < 600);
    const nowMs = view.nowMs + second * 1000;
    const plan = planCapacity(
      { ...view, nowMs, slots: { ...view.slots, sampledAtMs: nowMs } },
      state,
      PARAMS,
    );
    state = plan.state;
    drained = plan.steps.map(({ step }) => step).filter((step) => step.kind === 'drain-shard');
  }
  assert.equal(drained.length, 3);
});

test('a little over, a shard leaves after the whole quiet time, and by then only', () => {
  const view = testView(
    Array.from({ length: 4 }, (_, shard) => ({ shard, ecpu: 0.3 * NODE, utilisation: 0.3 })),
  );
  const drains = (seconds: number) =>
    hold(view, seconds).filter((step) => step.kind === 'drain-shard').length;
  assert.equal(drains(295), 0);
  assert.ok(drains(335) >= 1);
});

test('what made shards needed counts for the whole quiet time, though it is not seen any more', () => {
  const busy = testView(
    Array.from({ length: 4 }, (_, shard) => ({ shard, ecpu: 0.1 * NODE, utilisation: 0.1 })),
  );
  // A slot as heavy as a node needs one of its own beside it.
  busy.slots.ecpu[100] = 0.9 * NODE;
  const quiet = testView(
    Array.from({ length: 4 }, (_, shard) => ({ shard, ecpu: 0.01 * NODE, utilisation: 0.01 })),
  );
  const peaks = (view: CapacityView) => planCapacity(view, learned(), PARAMS).state.scaleIn.peaks;
  assert.deepEqual(
    peaks(busy).map((peak) => peak?.shards),
    [2],
  );
  const ecpu = 1.3 * NODE;
  const past = (shards: number): PlannerState => {
    const before = learned();
    const bucket = Math.floor(NOW_MS / 30_000) - 1;
    const seen = Array.from({ length: 20 }, () => ({ ecpu, shards }));
    return { ...before, scaleIn: { ...before.scaleIn, bucket, peaks: seen } };
  };
  const leaving = (shards: number) =>
    steps(quiet, past(shards)).filter((step) => step.kind === 'drain-shard').length;
  assert.equal(leaving(4), 0);
  assert.ok(leaving(3) > 0);
});

test('a scale-in that was not enough for the load it had seen leaves more room the next time', () => {
  const view = testView([{ shard: 0, ecpu: 0.7 * NODE, utilisation: 0.95 }]);
  const after = (leftForEcpu: number) => {
    const before = learned();
    const scaleIn = { ...before.scaleIn, lastInMs: NOW_MS - 86_400_000, leftForEcpu };
    return planCapacity(view, { ...before, scaleIn }, PARAMS);
  };
  const { steps: planned, state } = after(2 * NODE);
  assert.ok(planned.some(({ step }) => step.kind === 'add-shard'));
  assert.deepEqual([state.scaleIn.misjudged, state.scaleIn.leftForEcpu], [1, null]);
  // More than it had counted on: it was right.
  assert.equal(after(0.5 * NODE).state.scaleIn.misjudged, 0);
  const pair = testView([0, 1].map((shard) => ({ shard, ecpu: 0.23 * NODE, utilisation: 0.23 })));
  const leaving = (misjudged: number) => {
    const before = learned();
    const scaleIn = { ...before.scaleIn, misjudged };
    const all = hold(pair, 335, { ...before, scaleIn });
    return all.filter((step) => step.kind === 'drain-shard').length;
  };
  assert.ok(leaving(0) > 0);
  assert.equal(leaving(1), 0);
});

test('a load that changes says nothing of what a node can do, where its seconds lie on both sides', () => {
  const capacityAfter = (recentEcpu: readonly number[]) => {
    const shards = {
      0: {
        ioQuietSinceMs: null,
        loadShare: 1,
        occupiedAtMs: null,
        unbalancedSamples: 0,
        memoryQuietSinceMs: null,
        recentEcpu,
      },
    };
    // The utilisation is of the busy seconds still.
    const view = testView([{ shard: 0, ecpu: 0.1 * NODE, utilisation: 0.6 }]);
    const { state } = planCapacity(view, { ...learned(), shards }, PARAMS);
    return state.capacity.byIoThreads['4']!;
  };
  assert.equal(capacityAfter([0.7 * NODE, 0.7 * NODE]), NODE);
  assert.ok(capacityAfter([0.1 * NODE, 0.1 * NODE]) < NODE);
});

test('a maximum of shards below what is there is in force at once, as far as the data fits', () => {
  const shards = [0, 1, 2].map((shard) => ({ shard, ecpu: 0.4 * NODE, utilisation: 0.4 }));
  const base = testView(shards);
  const view = { ...base, limits: { ...base.limits, shardsMaximum: 2 } };
  assert.equal(steps(view).filter((step) => step.kind === 'drain-shard').length, 1);
  const full = testView(
    shards.map((shard) => ({ ...shard, bytes: 15 * GIB, maxmemoryBytes: 16 * GIB })),
  );
  const tight = { ...full, limits: { ...full.limits, shardsMaximum: 2 } };
  assert.equal(steps(tight).filter((step) => step.kind === 'drain-shard').length, 0);
});

test('missing figures never make a shard leave', () => {
  const base = testView([
    { shard: 0, ecpu: 0, utilisation: null },
    { shard: 1, ecpu: 0, utilisation: 0.01 },
  ]);
  assert.deepEqual(
    hold(base, 900).filter((step) => step.kind === 'drain-shard'),
    [],
  );
  const stale = { ...base, slots: { ...base.slots, sampledAtMs: NOW_MS - 10_000 } };
  assert.deepEqual(
    steps(stale).filter((step) => step.kind !== 'raise-event'),
    [],
  );
});

test('a load that came back keeps a draining shard instead of adding one', () => {
  const view = testView([
    { shard: 0, ecpu: 0.9 * NODE, utilisation: 0.9 },
    { shard: 1, ecpu: 0.2 * NODE, utilisation: 0.2, state: 'draining' },
  ]);
  const planned = steps(view);
  assert.deepEqual(
    planned.filter((step) => step.kind === 'keep-shard' || step.kind === 'add-shard'),
    [{ kind: 'keep-shard', shard: 1 }],
  );
});

test('a draining shard gives its slots away, and a new one gets its first, however many moves there were', () => {
  const state = { ...learned(), movesAtMs: Array.from({ length: 100 }, () => NOW_MS - 20_000) };
  const draining = testView([
    { shard: 0, ecpu: 500, utilisation: 0.02 },
    { shard: 1, ecpu: 500, utilisation: 0.02, state: 'draining' },
  ]);
  const added = testView([
    { shard: 0, ecpu: 0.8 * NODE, utilisation: 0.8 },
    { shard: 1, ecpu: 0, utilisation: 0.01, empty: true },
  ]);
  assert.equal(kinds(draining, state).filter((kind) => kind === 'move-slots').length, 1);
  assert.equal(kinds(added, state).filter((kind) => kind === 'move-slots').length, 1);
});

test('a drained shard that owns nothing is removed; one that owns slots gives them away', () => {
  const removed = steps(
    testView([
      { shard: 0, ecpu: 1000, utilisation: 0.05 },
      { shard: 1, ecpu: 0, utilisation: 0.01, state: 'draining', empty: true },
    ]),
  );
  assert.ok(removed.some((step) => step.kind === 'remove-shard' && step.shard === 1));
  const moved = steps(
    testView([
      { shard: 0, ecpu: 1000, utilisation: 0.05 },
      { shard: 1, ecpu: 500, utilisation: 0.02, state: 'draining' },
    ]),
  ).find((step) => step.kind === 'move-slots');
  assert.deepEqual(moved, {
    kind: 'move-slots',
    from: 1,
    to: 0,
    ranges: [{ first: 8192, last: 16_383 }],
  });
});

test('after a move the utilisation of before it moves nothing more', () => {
  // Both carry the same by now; what their nodes said last is of when the first carried nearly all.
  const late = testView([
    { shard: 0, ecpu: 0.3 * NODE, utilisation: 0.58 },
    { shard: 1, ecpu: 0.3 * NODE, utilisation: 0.05 },
  ]);
  assert.deepEqual(
    hold(late, 10).filter((step) => step.kind === 'move-slots'),
    [],
  );
});

test('a node that is hardly busy can do much more than was guessed: nothing is added for it', () => {
  const fresh = (utilisation: number) =>
    testView([{ shard: 0, ecpu: 1.5 * PARAMS.nodeEcpu, utilisation, ioThreads: 1 }], {
      hosts: [testHost({ cores: 4, ioThreadsInUse: 64 })],
    });
  const capacityAfter = (utilisation: number, seconds: number) => {
    let state = freshPlannerState();
    const base = fresh(utilisation);
    for (let second = 0; second < seconds; second += 1) {
      const nowMs = base.nowMs + second * 1000;
      const view = { ...base, nowMs, slots: { ...base.slots, sampledAtMs: nowMs } };
      state = planCapacity(view, state, PARAMS).state;
    }
    return state.capacity.byIoThreads['1'];
  };
  assert.equal(capacityAfter(0.03, 10), 15 * PARAMS.nodeEcpu);
  const added = (utilisation: number) =>
    planCapacity(fresh(utilisation), freshPlannerState(), PARAMS).steps.filter(
      ({ step }) => step.kind === 'add-shard',
    ).length;
  assert.equal(added(0.03), 0);
  assert.ok(added(0.95) > 0);
  // A load that has just come may be measured with the idle second before it.
  assert.equal(capacityAfter(0.03, 4), undefined);
});

test('what a shard costs more than its ECPU says is learned over time, and slots leave it then', () => {
  const dear = testView([
    { shard: 0, ecpu: 0.15 * NODE, utilisation: 0.5 },
    { shard: 1, ecpu: 0.15 * NODE, utilisation: 0.1 },
  ]);
  const moves = (seconds: number) =>
    hold(dear, seconds).filter((step) => step.kind === 'move-slots').length;
  assert.equal(moves(2), 0);
  assert.ok(moves(60) > 0);
});

test('a saturated shard gets no more slots, however little it seems to carry', () => {
  // Both serve what they can; what is asked of the second may be many times that.
  const both = (second: number) =>
    testView([
      { shard: 0, ecpu: 260_000, utilisation: 1 },
      { shard: 1, ecpu: 120_000, utilisation: second },
    ]);
  const moves = (view: CapacityView) => hold(view, 10).filter((step) => step.kind === 'move-slots');
  assert.deepEqual(moves(both(1)), []);
  assert.notDeepEqual(moves(both(0.6)), []);
});

test('a shard whose job is over before the next plan is left alone for a while all the same', () => {
  const busy = testView([
    { shard: 0, ecpu: 0.55 * NODE, utilisation: 0.8 },
    { shard: 1, ecpu: 0.05 * NODE, utilisation: 0.1 },
  ]);
  const first = planCapacity(busy, learned(), PARAMS);
  assert.ok(first.steps.some(({ step }) => step.kind === 'move-slots'));
  const nowMs = busy.nowMs + PARAMS.settleMs - 1;
  const again = { ...busy, nowMs, slots: { ...busy.slots, sampledAtMs: nowMs } };
  const kindsOf = (plan: typeof first) => plan.steps.map(({ step }) => step.kind);
  assert.ok(!kindsOf(planCapacity(again, first.state, PARAMS)).includes('move-slots'));
});

test('memory: the limit grows before it is full, within the host, at the maximum an event says so', () => {
  const base = testView([
    {
      shard: 0,
      ecpu: 1000,
      utilisation: 0.05,
      ioThreads: 1,
      bytes: 900 * MIB,
      maxmemoryBytes: GIB,
    },
  ]);
  const growing = (maximumGib: number) =>
    steps({ ...base, limits: { ...base.limits, memoryMaximumBytes: maximumGib * GIB } });
  assert.deepEqual(growing(10), [{ kind: 'set-memory-limit', shard: 0, bytes: 1800 * MIB }]);
  // Without a maximum no burst of writes is to meet the limit: an eighth to a quarter of what the host has left.
  assert.deepEqual(growing(0), [{ kind: 'set-memory-limit', shard: 0, bytes: 8 * GIB }]);
  const bounded = steps({ ...base, limits: { ...base.limits, memoryMaximumBytes: GIB } });
  assert.deepEqual(
    bounded.map((step) => (step.kind === 'raise-event' ? step.event : step.kind)),
    ['limit-approaching', 'memory-at-maximum'],
  );
});

test('a hot slot is watched; its hot key gets replicas on its shard alone, and a near cache where allowed', () => {
  const base = testView(
    [
      { shard: 0, ecpu: 0.2 * NODE, utilisation: 0.2 },
      { shard: 1, ecpu: 0.2 * NODE, utilisation: 0.2 },
    ],
    { nearCacheAllowed: true },
  );
  base.slots.ecpu[9000] = 1.4 * NODE;
  const first = steps(base).find((step) => step.kind === 'watch-slots');
  assert.deepEqual(first, { kind: 'watch-slots', slots: [9000] });
  const watched: CapacityView = {
    ...base,
    watchedSlots: [9000],
    hotKeys: [{ slot: 9000, share: 0.9, readShare: 1 }],
  };
  const planned = steps(watched);
  assert.deepEqual(
    planned.filter((step) => step.kind === 'add-replica' || step.kind === 'near-cache-slots'),
    [
      { kind: 'near-cache-slots', slots: [9000] },
      { kind: 'add-replica', shard: 1 },
    ],
  );
});

test('events are raised once in a while, not each second', () => {
  const view = testView([{ shard: 0, ecpu: NODE, utilisation: 1 }], {
    hosts: [testHost({ cpuUtilisation: 1 })],
  });
  const events = hold(view, 120).filter((step) => step.kind === 'raise-event');
  assert.equal(events.length, 1);
});

test('state is plain data: the plan from its JSON is the same', () => {
  const view = testView([
    { shard: 0, ecpu: 0.5 * NODE, utilisation: 0.5 },
    { shard: 1, ecpu: 0.2 * NODE, utilisation: 0.2 },
  ]);
  let state = learned();
  for (let second = 0; second < 40; second += 1) {
    const nowMs = view.nowMs + second * 1000;
    const at = { ...view, nowMs, slots: { ...view.slots, sampledAtMs: nowMs } };
    const plan = planCapacity(at, state, PARAMS);
    assert.deepEqual(
      planCapacity(at, JSON.parse(JSON.stringify(state)) as PlannerState, PARAMS),
      plan,
    );
    state = plan.state;
  }
});

test('every step has its reason', () => {
  const plan = planCapacity(
    testView([
      { shard: 0, ecpu: NODE, utilisation: 1, ioThreads: 1 },
      { shard: 1, ecpu: 0, utilisation: 0, empty: true },
    ]),
    learned(),
    PARAMS,
  );
  assert.ok(plan.steps.length >= 3);
  for (const { reason } of plan.steps) assert.match(reason, /\w+ \w+/);
});
