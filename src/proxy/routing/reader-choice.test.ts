import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { RespValue } from '../../protocol/resp-value.ts';
import { SLOT_COUNT } from '../../protocol/hash-slot.ts';
import { Lane } from './lane.ts';
import { NodeMap } from './node-map.ts';
import { ReaderChoice } from './reader-choice.ts';
import type { Upstream } from './upstream.ts';

const LANE = {
  user: 'default',
  secret: 's',
  systemSecret: 's',
  resp: 2,
  database: 0,
  readonly: true,
  sharded: true,
  noTouch: false,
} as const;
const PRIMARY = 0;
const PRODUCED = 10_000_000;

/** A primary with replicas 1 ... n, which say what `roles` has for them; null: nothing. */
class Shard {
  readonly map = new NodeMap();
  readonly roles: RespValue[] = [];
  readonly lane = new Lane(LANE);
  readonly choice = new ReaderChoice(this.map, (node) => Promise.resolve(this.roles[node] ?? null));

  constructor(replicas: number) {
    this.roles[PRIMARY] = ['master', PRODUCED, []];
    this.grow(replicas);
  }

  /** The map as it is learned when there are so many replicas. */
  grow(replicas: number): void {
    const nodes = Array.from({ length: 1 + replicas }, (_, i) => ({
      host: '127.0.0.1',
      port: 7000 + i,
      primary: i === 0,
      primaryAt: i === 0 ? -1 : 0,
    }));
    this.map.apply({ nodes, owners: new Int32Array(SLOT_COUNT).fill(0) });
    for (let i = 1; i <= replicas; i++) this.roles[i] ??= replica('connected', PRODUCED);
  }

  pending(node: number, pending: number): void {
    this.lane.upstreams[node] = { pending } as Upstream;
  }

  /** How often each node is chosen, by its index. */
  counts(): number[] {
    const counts = this.map.nodes.map(() => 0);
    for (let i = 0; i < 3000; i++) counts[this.choice.choose(this.lane, PRIMARY)]!++;
    return counts;
  }

  async countsAfterLook(): Promise<number[]> {
    this.choice.choose(this.lane, PRIMARY);
    await this.choice.look();
    return this.counts();
  }
}

function replica(state: string, offset: number): RespValue {
  return ['slave', '127.0.0.1', 7000, state, offset];
}

describe('the choice of a replica', () => {
  it('spreads what is equal evenly, before anybody was asked and after', async () => {
    const shard = new Shard(3);
    for (const counts of [shard.counts(), await shard.countsAfterLook()]) {
      assert.equal(counts[PRIMARY], 0);
      for (const count of counts.slice(1)) assert.ok(count > 800, counts.join());
    }
  });

  it('prefers the less loaded of two', () => {
    const shard = new Shard(2);
    shard.pending(1, 5);
    shard.pending(2, 4);
    assert.deepEqual(shard.counts(), [0, 0, 3000]);
    // Of three, the most loaded is never the better one.
    const three = new Shard(3);
    three.pending(1, 9);
    three.pending(2, 1);
    const [, first, second, third] = three.counts();
    assert.equal(first, 0);
    assert.ok(second! > 0 && third! > second!);
  });

  it('leaves out a replica that is behind, cut off or silent, and takes it again', async () => {
    const shard = new Shard(2);
    for (const role of [
      replica('connected', PRODUCED - 2_000_000),
      replica('sync', 0),
      replica('connecting', PRODUCED),
      null,
      ['master', PRODUCED, []],
    ]) {
      shard.roles[1] = role as RespValue;
      assert.deepEqual(await shard.countsAfterLook(), [0, 0, 3000]);
      shard.roles[1] = replica('connected', PRODUCED);
      assert.ok((await shard.countsAfterLook())[1]! > 0);
    }
  });

  it('does not take one that control takes out, with the next choice', () => {
    const shard = new Shard(2);
    shard.counts();
    shard.map.setLeaving([{ host: '127.0.0.1', port: 7002 }]);
    assert.deepEqual(shard.counts(), [0, 3000, 0]);
    shard.grow(3);
    assert.equal(shard.counts()[2], 0);
    shard.map.setLeaving([]);
    assert.ok(shard.counts()[2]! > 0);
  });

  it('a lost connection counts at once, an answer brings the replica back', async () => {
    const shard = new Shard(2);
    await shard.countsAfterLook();
    shard.choice.avoid(2);
    assert.deepEqual(shard.counts(), [0, 3000, 0]);
    // It is asked at once.
    await new Promise(setImmediate);
    assert.ok(shard.counts()[2]! > 0);
  });

  it('a new replica is asked first, and then has its part', async () => {
    const shard = new Shard(1);
    await shard.countsAfterLook();
    shard.grow(2);
    assert.deepEqual(shard.counts(), [0, 3000, 0]);
    assert.ok((await shard.countsAfterLook())[2]! > 0);
  });

  it('without a fit replica any will do, without a replica the primary', async () => {
    const shard = new Shard(2);
    shard.roles[1] = null;
    shard.roles[2] = null;
    const [primary, first, second] = await shard.countsAfterLook();
    assert.ok(primary === 0 && first! > 0 && second! > 0);
    assert.deepEqual(new Shard(0).counts(), [3000]);
  });
});
