import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import * as fc from 'fast-check';
import { rankHosts, type RankedHost } from './place-node.ts';

/** Places all nodes of a cache, one after the other, as its creation does. */
function place(hosts: readonly { id: string; zone: string }[], shards: number, copies: number) {
  const load = new Map(
    hosts.map((host) => [host.id, { ...host, cores: 2, nodes: 0, primaries: 0, busy: 0 }]),
  );
  return Array.from({ length: shards }, () => {
    const shardHosts: string[] = [];
    for (let copy = 0; copy < copies; copy++) {
      const role = copy === 0 ? ('primary' as const) : ('replica' as const);
      const host = rankHosts([...load.values()], role, shardHosts)[0]!;
      host.nodes++;
      if (copy === 0) host.primaries++;
      shardHosts.push(host.id);
    }
    return shardHosts;
  });
}

const counts = (items: readonly string[]) =>
  [...Map.groupBy(items, (item) => item).values()].map((group) => group.length);
const spread = (items: readonly string[], over: number) =>
  Math.max(...counts(items)) - (counts(items).length < over ? 0 : Math.min(...counts(items)));

suite('rankHosts', () => {
  test('one host takes all, none takes nothing', () => {
    assert.deepEqual(place([{ id: 'a', zone: 'z' }], 1, 2), [['a', 'a']]);
    assert.deepEqual(rankHosts([], 'primary', []), []);
  });

  test('the zone counts before the load', () => {
    const [a, b] = ['east', 'west'].map((zone, i): RankedHost => ({
      id: zone,
      zone,
      cores: 2,
      nodes: 90 * i,
      primaries: 50 * i,
      busy: i,
    }));
    const order = (role: 'primary' | 'replica', shardHosts: string[]) =>
      rankHosts([a!, b!], role, shardHosts).map(({ id }) => id);
    assert.deepEqual(order('replica', ['east']), ['west', 'east']);
    assert.deepEqual(order('primary', []), ['east', 'west']);
  });

  test('not where the node is that it takes the place of, unless the copies would be together', () => {
    const hosts = ['a', 'b', 'c'].map((id): RankedHost => ({
      id,
      zone: id,
      cores: 2,
      nodes: id === 'c' ? 9 : 1,
      primaries: 0,
      busy: 0,
    }));
    const first = (among: readonly RankedHost[]) =>
      rankHosts(among, 'replica', ['a'], ['b'])[0]!.id;
    assert.equal(first(hosts), 'c');
    assert.equal(first(hosts.slice(0, 2)), 'b');
  });

  test('a host with more cores takes more', () => {
    const host = { zone: 'east', primaries: 0, busy: 0 };
    const [small, large] = [
      { ...host, id: 'a', cores: 1, nodes: 1 },
      { ...host, id: 'b', cores: 8, nodes: 4 },
    ];
    assert.equal(rankHosts([small, large], 'replica', [])[0], large);
  });

  test('however many hosts: copies over zones, primaries and nodes even', () => {
    const world = fc.record({
      zones: fc.integer({ min: 1, max: 3 }),
      each: fc.integer({ min: 1, max: 3 }),
      shards: fc.integer({ min: 1, max: 12 }),
      copies: fc.integer({ min: 1, max: 3 }),
    });
    fc.assert(
      fc.property(world, ({ zones, each, shards, copies }) => {
        const hosts = Array.from({ length: zones * each }, (_, i) => ({
          id: `h${i}`,
          zone: `z${i % zones}`,
        }));
        const zoneOf = (id: string) => hosts.find((host) => host.id === id)!.zone;
        const placed = place(hosts, shards, copies);
        for (const shard of placed) {
          assert.equal(new Set(shard.map(zoneOf)).size, Math.min(copies, zones));
          assert.equal(new Set(shard).size, Math.min(copies, hosts.length));
        }
        const primaries = placed.map(([first]) => first!);
        assert.ok(spread(primaries.map(zoneOf), zones) <= 1);
        assert.ok(spread(primaries, hosts.length) <= 1);
      }),
    );
  });
});
