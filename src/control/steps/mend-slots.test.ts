import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseClusterNodes } from '../node-observation.ts';
import { leftovers } from './mend-slots.ts';
import type { ShardPrimary } from './move-ends.ts';

const RANGES = { a: '0-99', b: '100-199', c: '' };

/** Node `id` of three, with its marks: a has slots 0-99, b has 100-199, c has none. */
function primary(id: 'a' | 'b' | 'c', marks = ''): ShardPrimary {
  const text = (['a', 'b', 'c'] as const)
    .map((one, i) => {
      const flags = one === id ? 'myself,master' : 'master';
      const words = [RANGES[one], one === id ? marks : ''].filter((word) => word !== '');
      return `${one} 127.0.0.1:${i}@1${i} ${flags} - 0 0 ${i} connected ${words.join(' ')}`.trim();
    })
    .join('\n');
  const peers = parseClusterNodes(text);
  const myself = peers.find((peer) => peer.myself)!;
  return {
    nodeId: `node-${id}`,
    shard: 0,
    clusterId: id,
    host: '127.0.0.1',
    port: 1,
    peers,
    myself,
  };
}

function found(...primaries: ShardPrimary[]) {
  return leftovers(primaries).map(({ slot, source, target, marked }) => [
    slot,
    source?.clusterId ?? null,
    target?.clusterId ?? null,
    marked.map(({ clusterId }) => clusterId).join(),
  ]);
}

test('marks on both ends, on one end, towards nobody', () => {
  assert.deepEqual(found(primary('a', '[5->-b]'), primary('b', '[5-<-a]')), [[5, 'a', 'b', 'a,b']]);
  assert.deepEqual(found(primary('a', '[5->-b]'), primary('b')), [[5, 'a', 'b', 'a']]);
  assert.deepEqual(found(primary('a'), primary('b', '[5-<-a]')), [[5, 'a', 'b', 'b']]);
  assert.deepEqual(found(primary('a', '[5->-dead]'), primary('b')), [[5, 'a', null, 'a']]);
  assert.deepEqual(found(primary('a'), primary('b')), []);
});

test('the owner is the source whatever the mark says; a mark of its own owner has no target', () => {
  assert.deepEqual(found(primary('a'), primary('b'), primary('c', '[5-<-b]')), [
    [5, 'a', 'c', 'c'],
  ]);
  assert.deepEqual(found(primary('a', '[5-<-b]'), primary('b')), [[5, 'a', null, 'a']]);
});

test('several slots, in order', () => {
  assert.deepEqual(
    found(primary('a', '[9->-b] [3->-c]'), primary('b', '[9-<-a]'), primary('c', '[3-<-a]')),
    [
      [3, 'a', 'c', 'a,c'],
      [9, 'a', 'b', 'a,b'],
    ],
  );
});
