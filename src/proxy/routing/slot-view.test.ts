import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { mergeViews, parseClusterNodes, type ViewedNode } from './slot-view.ts';

const A = 'a'.repeat(40);
const B = 'b'.repeat(40);
const C = 'c'.repeat(40);

test('CLUSTER NODES is read: roles, ranges, slots on their way, addresses left empty', () => {
  const text = [
    `${A} :7001@17001 myself,master - 0 0 3 connected 0-100 200 [300->-${B}]`,
    `${B} 127.0.0.1:7002@17002,host-b slave ${A} 0 1 3 connected`,
    `${C} ::1:7003@17003 master,fail - 0 1 2 disconnected 101-199`,
    `${'d'.repeat(40)} 127.0.0.1:7004@17004 handshake - 0 0 0 connected`,
    `${'e'.repeat(40)} :0@0 master,noaddr - 0 0 0 disconnected`,
    '',
  ].join('\n');
  const base = { primaryId: null, failed: false };
  assert.deepEqual(parseClusterNodes(text, '10.0.0.1'), [
    {
      ...base,
      id: A,
      host: '10.0.0.1',
      port: 7001,
      primary: true,
      epoch: 3,
      slots: [0, 100, 200, 200],
    },
    {
      ...base,
      id: B,
      host: '127.0.0.1',
      port: 7002,
      primary: false,
      primaryId: A,
      epoch: 3,
      slots: [],
    },
    {
      ...base,
      id: C,
      host: '::1',
      port: 7003,
      primary: true,
      failed: true,
      epoch: 2,
      slots: [101, 199],
    },
  ]);
});

function node(
  id: string,
  epoch: number,
  slots: number[],
  primary = true,
  primaryId: string | null = null,
): ViewedNode {
  return { id, host: id, port: 1, primary, primaryId, failed: false, epoch, slots };
}

function ownerOf(views: readonly ViewedNode[][], slot: number): string | undefined {
  const merged = mergeViews(views);
  return merged.nodes[merged.owners[slot]!]?.id;
}

test('where views disagree the higher epoch owns the slot', () => {
  const old = [node('a', 1, [0, 10]), node('b', 2, [11, 20])];
  const moved = [node('a', 1, [0, 4]), node('b', 3, [5, 20])];
  assert.equal(ownerOf([old, moved], 5), 'b');
  assert.equal(ownerOf([moved, old], 5), 'b');
  assert.equal(ownerOf([moved, old], 4), 'a');
  assert.equal(ownerOf([old, moved], 21), undefined);
});

test('a primary that was replaced owns nothing, whoever is asked first', () => {
  const before = [node('a', 1, [0, 10]), node('r', 1, [], false, 'a')];
  const after = [node('a', 1, [], false, 'r'), node('r', 5, [0, 10])];
  for (const views of [
    [before, after],
    [after, before],
  ]) {
    assert.equal(ownerOf(views, 3), 'r');
    const merged = mergeViews(views);
    assert.equal(merged.nodes.find((each) => each.id === 'r')!.primary, true);
  }
});

test('the order of the views does not matter for who owns what', () => {
  const range = fc
    .tuple(fc.nat(99), fc.nat(20))
    .map(([first, size]) => [first, Math.min(99, first + size)]);
  // Each epoch belongs to one node, as in a cluster whose epochs do not collide.
  const view = fc
    .array(fc.tuple(fc.nat(3), fc.nat(5), range), { maxLength: 4 })
    .map((rows) => rows.map(([name, epoch, slots]) => node(`n${name}`, epoch * 4 + name, slots)));
  fc.assert(
    fc.property(fc.array(view, { minLength: 1, maxLength: 4 }), fc.nat(99), (views, slot) => {
      const claims = views
        .flat()
        .filter((each) => slot >= each.slots[0]! && slot <= each.slots[1]!);
      const best = claims.sort((a, b) => b.epoch - a.epoch)[0]?.id;
      assert.equal(ownerOf(views, slot), best);
      assert.equal(ownerOf(views.toReversed(), slot), best);
    }),
  );
});
