import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import * as fc from 'fast-check';
import { FENCE_AFTER_MS, findPrimary, planShard, rankCandidates } from './plan-shard.ts';
import type { ObservedShardNode, ShardNodeView, ShardView } from './shard-view.ts';

const observed = (over: Partial<ObservedShardNode> = {}): ObservedShardNode => ({
  role: 'replica',
  primaryId: 'a',
  linkUp: true,
  offset: 100,
  slots: 0,
  configEpoch: 1,
  introduced: true,
  ...over,
});

const primary = (id: string, over: Partial<ShardNodeView> = {}): ShardNodeView => ({
  id,
  intent: 'primary',
  identity: 'kept',
  process: 'alive',
  busy: false,
  hasData: false,
  hasMissedWrites: false,
  hangs: null,
  hostLost: false,
  silentMs: 0,
  observed: observed({ role: 'primary', primaryId: null, slots: 5461 }),
  ...over,
});

const replica = (id: string, over: Partial<ShardNodeView> = {}): ShardNodeView => ({
  ...primary(id),
  intent: 'replica',
  hasData: true,
  observed: observed(),
  ...over,
});

const gone = { process: 'gone', observed: null } as const;

function view(nodes: ShardNodeView[], over: Partial<ShardView> = {}): ShardView {
  return { sharding: true, shard: 0, slots: 5461, primaryGoneMs: 0, nodes, ...over };
}

const kinds = (v: ShardView) => planShard(v).map(({ step }) => step);

suite('planShard', () => {
  test('a healthy shard needs nothing', () => {
    assert.deepEqual(kinds(view([primary('a'), replica('b'), replica('c')])), []);
  });

  test('a shard that owns nothing, as it should, has a primary all the same', () => {
    const empty = primary('a', { observed: observed({ role: 'primary', primaryId: null }) });
    assert.equal(findPrimary(view([empty], { slots: 0 }))?.id, 'a');
    assert.deepEqual(kinds(view([empty, replica('b')], { slots: 0 })), []);
    assert.equal(findPrimary(view([empty], { slots: 5461 })), null);
  });

  test('a dead primary is replaced by the replica with the highest offset, and not started', () => {
    const nodes = [
      primary('a', gone),
      replica('b', { observed: observed({ offset: 7 }) }),
      replica('c', { observed: observed({ offset: 9 }) }),
    ];
    assert.deepEqual(kinds(view(nodes)), [{ kind: 'take-over', nodeId: 'c', deadNodeId: 'a' }]);
  });

  test('a replica of an older engine that missed writes comes last, though its offset is the highest', () => {
    const diverged = replica('b', { hasMissedWrites: true, observed: observed({ offset: 9 }) });
    const older = replica('c', { observed: observed({ offset: 7 }) });
    assert.deepEqual(kinds(view([primary('a', gone), diverged, older])), [
      { kind: 'take-over', nodeId: 'c', deadNodeId: 'a' },
    ]);
    assert.deepEqual(kinds(view([primary('a', gone), diverged])), [
      { kind: 'take-over', nodeId: 'b', deadNodeId: 'a' },
    ]);
  });

  test('a replica that never had the data is no candidate; the primary starts again, empty', () => {
    const nodes = [primary('a', gone), replica('b', { hasData: false })];
    const steps = [{ kind: 'restart-primary', nodeId: 'a' }];
    assert.deepEqual(kinds(view(nodes)), steps);
    assert.deepEqual(kinds(view(nodes, { sharding: false })), steps);
    // One that never was in the cluster has no slots to come back with.
    const stranger = [primary('a', { ...gone, identity: 'none' })];
    assert.deepEqual(kinds(view(stranger)), [
      { kind: 'start-node', nodeId: 'a', identity: 'fresh', replicaOf: null },
    ]);
  });

  test('a silent replica with the data is worth waiting for, but not for ever', () => {
    const nodes = [primary('a', gone), replica('b', { observed: null })];
    assert.deepEqual(kinds(view(nodes, { primaryGoneMs: 100 })), []);
    assert.equal(kinds(view(nodes, { primaryGoneMs: 60_000 }))[0]?.kind, 'restart-primary');
  });

  test('after the takeover the old primary is started as a stranger', () => {
    const promoted = replica('b', {
      intent: 'primary',
      observed: observed({ role: 'primary', slots: 5461, primaryId: null }),
    });
    const old = primary('a', { ...gone, intent: 'replica', identity: 'stale' });
    assert.deepEqual(kinds(view([old, promoted])), [
      { kind: 'start-node', nodeId: 'a', identity: 'fresh', replicaOf: null },
    ]);
    assert.deepEqual(kinds(view([old, promoted], { sharding: false })), [
      { kind: 'start-node', nodeId: 'a', identity: 'kept', replicaOf: 'b' },
    ]);
  });

  test('an empty node that was started joins', () => {
    const empty = replica('b', {
      hasData: false,
      observed: observed({ role: 'primary', primaryId: null, introduced: false }),
    });
    assert.deepEqual(kinds(view([primary('a'), empty])), [
      { kind: 'join-replica', nodeId: 'b', primaryId: 'a' },
    ]);
  });

  test('what the engine decided is written down', () => {
    const demoted = primary('a', { observed: observed({ primaryId: 'b' }) });
    const promoted = replica('b', {
      observed: observed({ role: 'primary', slots: 5461, primaryId: null, configEpoch: 9 }),
    });
    assert.deepEqual(kinds(view([demoted, promoted])), [{ kind: 'record-roles', primaryId: 'b' }]);
  });

  test('of two that claim slots the newer claim is believed', () => {
    const newer = replica('b', {
      observed: observed({ role: 'primary', slots: 5461, primaryId: null, configEpoch: 9 }),
    });
    assert.equal(findPrimary(view([primary('a'), newer]))?.id, 'b');
  });

  test('unsharded: a restarted, empty node beside the primary is not taken for it', () => {
    const empty = replica('b', { observed: observed({ role: 'primary', primaryId: null }) });
    assert.deepEqual(kinds(view([primary('a'), empty], { sharding: false })), [
      { kind: 'join-replica', nodeId: 'b', primaryId: 'a' },
    ]);
  });

  test('a primary that lost its cluster state gives way to a replica, else gets its slots again', () => {
    const empty = primary('a', { observed: observed({ role: 'primary', primaryId: null }) });
    assert.deepEqual(kinds(view([empty])), [{ kind: 'reclaim-slots', nodeId: 'a' }]);
    assert.deepEqual(
      kinds(view([empty, replica('b', { observed: observed({ primaryId: null }) })])),
      [{ kind: 'take-over', nodeId: 'b', deadNodeId: null }],
    );
  });

  test('a primary that hangs is fenced at once, if a replica follows it that can take its place', () => {
    const hung = primary('a', { observed: null, silentMs: 1_500, hangs: 'is stopped' });
    const fence = [{ kind: 'fence-node', nodeId: 'a' }];
    assert.deepEqual(kinds(view([hung, replica('b')])), fence);
    assert.deepEqual(kinds(view([hung, replica('b')], { sharding: false })), fence);
    assert.deepEqual(kinds(view([hung])), []);
    assert.deepEqual(kinds(view([hung, replica('b', { observed: null })])), []);
    assert.deepEqual(kinds(view([hung, replica('b', { hasData: false })])), []);
    const late = replica('b', { observed: observed({ linkUp: false }) });
    assert.deepEqual(kinds(view([hung, late])), []);
  });

  test('a replica that hangs is ended beside a primary that lives, and not without one', () => {
    const hung = replica('b', { observed: null, silentMs: 1_500, hangs: 'is stopped' });
    assert.deepEqual(kinds(view([primary('a'), hung])), [{ kind: 'fence-node', nodeId: 'b' }]);
    const both = primary('a', { observed: null, silentMs: 1_500, hangs: 'is stopped' });
    assert.deepEqual(kinds(view([both, hung])), []);
    assert.deepEqual(kinds(view([primary('a'), replica('b', { observed: null })])), []);
  });

  test('a silent primary is left alone, then fenced if somebody can take its place', () => {
    const silent = (silentMs: number) => primary('a', { observed: null, silentMs });
    assert.deepEqual(kinds(view([silent(FENCE_AFTER_MS - 1), replica('b')])), []);
    assert.deepEqual(kinds(view([silent(FENCE_AFTER_MS), replica('b')])), [
      { kind: 'fence-node', nodeId: 'a' },
    ]);
    assert.deepEqual(kinds(view([silent(FENCE_AFTER_MS), replica('b', gone)])), []);
    const far = { ...silent(FENCE_AFTER_MS), hostLost: true };
    assert.deepEqual(kinds(view([far, replica('b')])), []);
  });
});

suite('planShard, whatever the shard looks like', () => {
  const node = (id: string): fc.Arbitrary<ShardNodeView> =>
    fc
      .record({
        intent: fc.constantFrom('primary' as const, 'replica' as const),
        identity: fc.constantFrom('none' as const, 'kept' as const, 'stale' as const),
        process: fc.constantFrom('alive' as const, 'gone' as const),
        busy: fc.boolean(),
        hasData: fc.boolean(),
        hasMissedWrites: fc.boolean(),
        hangs: fc.constantFrom(null, 'is stopped'),
        hostLost: fc.boolean(),
        silentMs: fc.nat(20_000),
        observed: fc.option(
          fc.record({
            role: fc.constantFrom('primary' as const, 'replica' as const),
            primaryId: fc.option(fc.constantFrom('a', 'b', 'c')),
            linkUp: fc.boolean(),
            offset: fc.nat(1000),
            slots: fc.constantFrom(0, 0, 5461),
            configEpoch: fc.nat(5),
            introduced: fc.boolean(),
          }),
        ),
      })
      .map((fields) => ({
        id,
        ...fields,
        observed: fields.process === 'gone' ? null : fields.observed,
      }));
  const views = fc.record({
    sharding: fc.boolean(),
    shard: fc.constant(0),
    slots: fc.constantFrom(0, 5461, 5461),
    primaryGoneMs: fc.nat(20_000),
    nodes: fc.tuple(node('a'), node('b'), node('c')).map((nodes) =>
      nodes.map((n, i) => ({
        ...n,
        intent: i === 0 ? ('primary' as const) : ('replica' as const),
      })),
    ),
  });
  const check = (property: (v: ShardView) => void) =>
    fc.assert(fc.property(views, property), { numRuns: 2000 });

  test('no node that runs or is busy is started, none that does not run is given orders', () => {
    check((v) => {
      for (const { step } of planShard(v)) {
        if (!('nodeId' in step)) continue;
        const target = v.nodes.find((n) => n.id === step.nodeId)!;
        const starts = step.kind === 'start-node' || step.kind === 'restart-primary';
        assert.equal(target.process, starts ? 'gone' : 'alive');
        if (starts) assert.equal(target.busy, false);
      }
    });
  });

  test('an old primary never starts beside a replica that could take over, or as primary beside one', () => {
    check((v) => {
      const current = findPrimary(v);
      for (const { step } of planShard(v)) {
        if (step.kind === 'restart-primary') {
          assert.equal(current, null);
          assert.equal(rankCandidates(v).length, 0);
        }
        if (step.kind !== 'start-node') continue;
        const target = v.nodes.find((n) => n.id === step.nodeId)!;
        if (current === null) {
          assert.equal(rankCandidates(v).length, 0);
          continue;
        }
        if (v.sharding && (target.identity !== 'kept' || target.intent === 'primary')) {
          assert.equal(step.identity, 'fresh');
        }
        if (!v.sharding) assert.equal(step.replicaOf, current.id);
      }
    });
  });

  test('at most one node is made primary, only a live replica with data, and only of a dead one', () => {
    check((v) => {
      const promoted = planShard(v).flatMap(({ step }) =>
        step.kind === 'take-over' ? [step] : [],
      );
      assert.ok(promoted.length <= 1);
      for (const step of promoted) {
        const target = v.nodes.find((n) => n.id === step.nodeId)!;
        assert.equal(target.observed?.role, 'replica');
        assert.ok(target.hasData);
        const dead = v.nodes.find((n) => n.id === step.deadNodeId);
        if (step.deadNodeId !== null) assert.equal(dead?.process, 'gone');
        // Nobody is named: the one that is there owns nothing.
        else assert.equal(findPrimary(v), null);
        for (const other of rankCandidates(v)) {
          if (target.hasMissedWrites) assert.ok(other.hasMissedWrites);
          if (other.hasMissedWrites !== target.hasMissedWrites) continue;
          assert.ok(other.observed!.offset <= target.observed!.offset);
        }
      }
    });
  });

  test('every step has a reason', () => {
    check((v) => planShard(v).forEach(({ reason }) => assert.ok(reason.length > 10)));
  });
});
