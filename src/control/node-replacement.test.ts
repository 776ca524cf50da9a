import assert from 'node:assert/strict';
import { test } from 'node:test';
import { replacementProgress } from './node-replacement.ts';
import type { ReplacementPlan } from './policies/plan-replacement.ts';

const plan = (over: Partial<ReplacementPlan>): ReplacementPlan => ({
  steps: [],
  done: false,
  failure: null,
  readyNodes: 0,
  allNodes: 6,
  waitingFor: [],
  ...over,
});

test('progress counts the nodes that are to be replaced, not those that stay', () => {
  const one = { nodeIds: ['a'], failure: null };
  assert.deepEqual(replacementProgress(one, plan({ readyNodes: 5 })), {
    done: 0,
    doing: '0 of 1 node is replaced',
  });
  assert.equal(replacementProgress(one, plan({ readyNodes: 5.5 })).done, 0.5);
  const all = { nodeIds: ['a', 'b', 'c', 'd', 'e', 'f'], failure: null };
  assert.deepEqual(replacementProgress(all, plan({ readyNodes: 3, waitingFor: [1] })), {
    done: 0.5,
    doing: '3 of 6 nodes are replaced; shard 1 is busy with something else',
  });
});
