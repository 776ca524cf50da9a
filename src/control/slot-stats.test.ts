import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { SlotStats } from './slot-stats.ts';
import { NO_SHARD } from '../model/slot-range.ts';

/** A node that owns `ranges` and answers SLOT-STATS for the slots it knows figures of. */
class FakeNode {
  ranges: string;
  figures = new Map<number, { keys: number; cpuUs: number }>();
  asked: string[] = [];
  constructor(ranges: string) {
    this.ranges = ranges;
  }

  answer(args: readonly (string | number)[]): unknown {
    const words = args.map(String);
    this.asked.push(words.slice(1).join(' '));
    if (words[1] === 'NODES')
      return `aaaa :1@2 myself,master - 0 0 1 connected ${this.ranges}\nbbbb :3@4 master - 0 0 2 connected 9000-9999\n`;
    const [first, last] = words[2] === 'SLOTSRANGE' ? words.slice(3).map(Number) : [0, 16_383];
    return [...this.figures]
      .filter(([slot]) => slot >= first! && slot <= last!)
      .map(([slot, { keys, cpuUs }]) => [
        slot,
        ['key-count', keys, 'cpu-usec', cpuUs, 'network-bytes-in', 0, 'network-bytes-out', 0],
      ]);
  }
}

function statsOf(nodes: Readonly<Record<string, FakeNode>>): SlotStats {
  return new SlotStats(async (nodeId, args) => nodes[nodeId]!.answer(args));
}

suite('SlotStats', () => {
  const cold = new Float64Array(16_384);

  test('owners are what the nodes say of themselves', async () => {
    const a = new FakeNode('0-99 200');
    const b = new FakeNode('100-199');
    const stats = statsOf({ a, b });
    const primaries = [
      { nodeId: 'a', shard: 0, keys: 0 },
      { nodeId: 'b', shard: 3, keys: 0 },
    ];
    await stats.look(primaries, cold, 1000);
    assert.deepEqual([0, 99, 100, 199, 200, 201, 9000].map((slot) => stats.owners[slot]), [
      0, 0, 3, 3, 0, NO_SHARD, NO_SHARD,
    ]); // prettier-ignore
    a.ranges = '0-98';
    b.ranges = '99-199';
    await stats.look(primaries, cold, 3000);
    assert.deepEqual([98, 99, 200].map((slot) => stats.owners[slot]), [0, 3, NO_SHARD]); // prettier-ignore
  });

  test('8.0 counts keys alone, and refuses to order by what it does not count', async () => {
    const a = new FakeNode('0-16383');
    const stats = new SlotStats(async (_, args) => {
      if (args.includes('ORDERBY')) throw new Error('ERR unrecognized sort metric');
      if (args.includes('NODES')) return a.answer(args);
      return [[7, ['key-count', 5]]];
    });
    const look = (nowMs: number) => stats.look([{ nodeId: 'a', shard: 0, keys: 5 }], cold, nowMs);
    await look(1000);
    assert.equal(stats.keys[7], 5);
    a.ranges = '0-100';
    await look(3000);
    assert.equal(stats.owners[200], NO_SHARD);
    assert.equal(stats.cpuUsPerSecond[7], 0);
  });

  test('CPU is what has grown since the last look at the slot; a slot that has moved began at zero', async () => {
    const a = new FakeNode('0-16383');
    const stats = statsOf({ a });
    const look = (nowMs: number) => stats.look([{ nodeId: 'a', shard: 0, keys: 5 }], cold, nowMs);
    a.figures.set(7, { keys: 5, cpuUs: 1000 });
    await look(1000);
    assert.equal(stats.keys[7], 5);
    assert.equal(stats.cpuUsPerSecond[7], 0);
    a.figures.set(7, { keys: 6, cpuUs: 5000 });
    await look(3000);
    assert.equal(stats.cpuUsPerSecond[7], 2000);
    a.figures.set(7, { keys: 6, cpuUs: 300 });
    await look(4000);
    assert.equal(stats.cpuUsPerSecond[7], 300);
  });

  test('all slots are asked for rarely, and sooner when the number of keys has changed much', async () => {
    const a = new FakeNode('0-16383');
    const stats = statsOf({ a });
    const heat = new Float64Array(16_384);
    for (let slot = 0; slot < 20; slot++) heat[slot * 10] = slot;
    const look = async (nowMs: number, keys: number) => {
      a.asked = [];
      await stats.look([{ nodeId: 'a', shard: 0, keys }], heat, nowMs);
      return a.asked.includes('SLOT-STATS SLOTSRANGE 0 16383');
    };
    a.figures.set(7, { keys: 100, cpuUs: 0 });
    assert.equal(await look(1000, 100), true);
    assert.equal(await look(3000, 110), false);
    assert.ok(a.asked.includes('SLOT-STATS ORDERBY cpu-usec LIMIT 32'));
    assert.deepEqual(
      a.asked.filter((words) => words.includes('SLOTSRANGE')).map((words) => words.split(' ')[2]),
      [190, 180, 170, 160, 150, 140, 130, 120].map(String),
    );
    assert.equal(await look(5000, 200), false);
    assert.equal(await look(7000, 200), true);
    assert.equal(await look(9000, 100), false);
    assert.equal(await look(40_000, 100), true);
  });

  test('a node that does not answer leaves what was known as it was', async () => {
    const a = new FakeNode('0-16383');
    let silent = false;
    const stats = new SlotStats(async (_, args) => {
      if (silent) throw new Error('no answer');
      return a.answer(args);
    });
    a.figures.set(7, { keys: 5, cpuUs: 1000 });
    const primaries = [{ nodeId: 'a', shard: 0, keys: 5 }];
    await stats.look(primaries, cold, 1000);
    silent = true;
    await stats.look(primaries, cold, 3000);
    assert.equal(stats.owners[7], 0);
    assert.equal(stats.keys[7], 5);
  });
});
