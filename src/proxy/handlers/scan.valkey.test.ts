import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { migrateSlots, moveSlotByHand } from '../../../e2e/harness/move-slots.ts';
import { ProxiedCache, type ProxiedCacheOptions } from '../../../e2e/harness/proxied-cache.ts';
import { until } from '../../../e2e/harness/until.ts';
import type { RawClient } from '../../../e2e/harness/raw-client.ts';
import { hashSlot } from '../../protocol/hash-slot.ts';
import { itemsOf, RespError, textOf } from '../../protocol/resp-value.ts';

function hashSlotOf(name: string): number {
  const bytes = Buffer.from(name);
  return hashSlot(bytes, 0, bytes.length);
}

/** One whole iteration; `between` runs after each reply. */
async function scanAll(
  client: RawClient,
  options: readonly (string | number)[],
  between: (round: number) => Promise<void> = () => Promise.resolve(),
  command = 'SCAN',
): Promise<{ keys: string[]; replies: number }> {
  const keys: string[] = [];
  let cursor = '0';
  let replies = 0;
  do {
    const reply = await client.call(command, cursor, ...options);
    assert.ok(!(reply instanceof RespError), String(reply instanceof RespError && reply.message));
    const [next, found] = itemsOf(reply);
    cursor = textOf(next)!;
    keys.push(...itemsOf(found).map((key) => textOf(key)!));
    replies++;
    await between(replies);
    assert.ok(replies < 100_000, 'the scan does not end');
  } while (cursor !== '0');
  return { keys, replies };
}

async function fill(client: RawClient, count: number): Promise<string[]> {
  const names = Array.from({ length: count }, (_, i) => `key:${i}`);
  // Some slots with many keys, so that they are left in the middle.
  for (let i = 0; i < count / 2; i++) names.push(`{slot${i % 8}}:${i}`);
  for (let i = 0; i < names.length; i += 500) {
    const pairs = names.slice(i, i + 500).flatMap((name) => [name, 'x']);
    await client.expectOk('MSET', ...pairs);
  }
  return names;
}

function missing(names: readonly string[], found: readonly string[]): string[] {
  const set = new Set(found);
  return names.filter((name) => !set.has(name));
}

const LINES: (ProxiedCacheOptions & { name: string })[] = [
  { name: '9.1, one hash seed', line: '9.1', directives: { 'hash-seed': '0123456789abcdef' } },
  { name: '9.1, a seed for each node', line: '9.1' },
  { name: '8.1', line: '8.1' },
  { name: '8.0', line: '8.0' },
];

for (const { name, ...options } of LINES) {
  describe(`SCAN over shards, ${name}`, () => {
    let cache: ProxiedCache;
    let client: RawClient;
    let names: string[];

    before(async () => {
      cache = await ProxiedCache.start({ ...options, shards: 3 });
      client = await cache.client();
      names = await fill(client, 2000);
    });
    after(() => cache.close());

    it('returns every key exactly once while nothing moves', async () => {
      for (const count of [1, 10, 100, 100_000]) {
        const { keys } = await scanAll(client, ['COUNT', count]);
        assert.equal(keys.length, names.length);
        assert.deepEqual(missing(names, keys), []);
      }
    });

    it('needs no more replies than the work is worth', async () => {
      const { replies } = await scanAll(client, ['COUNT', 100]);
      assert.ok(replies <= names.length / 100 + 60, `${replies} replies`);
      assert.equal((await scanAll(client, ['COUNT', 1_000_000])).replies <= 4, true);
    });

    it('passes MATCH, TYPE and COUNT on, and the engine says what is wrong with them', async () => {
      await client.call('SADD', 'a set', 'member');
      assert.deepEqual((await scanAll(client, ['TYPE', 'set'])).keys, ['a set']);
      const tagged = (await scanAll(client, ['MATCH', '{slot3}:*'])).keys;
      assert.equal(tagged.length, names.filter((each) => each.startsWith('{slot3}')).length);
      await client.call('DEL', 'a set');
      const plain = await cache.plainClient();
      for (const wrong of [
        ['x'],
        ['-1'],
        ['0', 'COUNT', '0'],
        ['0', 'COUNT', 'x'],
        ['0', 'NOSUCH', 'x'],
        ['0', 'COUNT'],
      ]) {
        const [mine, theirs] = [
          await client.raw('SCAN', ...wrong),
          await plain.raw('SCAN', ...wrong),
        ];
        assert.equal(mine.toString(), theirs.toString(), wrong.join(' '));
      }
    });

    it('does not make the client ask for each of the empty slots', async () => {
      const empty = await cache.client();
      await empty.expectOk('FLUSHALL');
      assert.deepEqual(await scanAll(empty, []), { keys: [], replies: 1 });
      names = await fill(client, 2000);
    });

    it('loses nothing while slots are moved key by key', async () => {
      const [a, b, c] = cache.nodes as [
        (typeof cache.nodes)[0],
        (typeof cache.nodes)[0],
        (typeof cache.nodes)[0],
      ];
      const slots = [0, 1, 2, 3, 4, 5, 6, 7].map((i) => hashSlotOf(`slot${i}`));
      const owners = new Map(slots.map((slot) => [slot, slot < 5462 ? a : slot < 10_924 ? b : c]));
      let moves = 0;
      const state = { running: true };
      const mover = (async () => {
        while (state.running) {
          for (const slot of slots) {
            const from = owners.get(slot)!;
            const to = from === a ? b : from === b ? c : a;
            await moveSlotByHand(cache.nodes, from, to, slot);
            owners.set(slot, to);
            moves++;
          }
        }
      })();
      for (let round = 0; round < 4; round++) {
        const { keys } = await scanAll(client, ['COUNT', 5]);
        assert.deepEqual(missing(names, keys), []);
      }
      state.running = false;
      await mover;
      assert.ok(moves >= 8, `${moves} moves`);
    });

    it('reads a slot that stands half moved at both of its nodes', async () => {
      const slot = hashSlotOf('slot0');
      const view = await Promise.all(
        cache.nodes.map((node) => node.admin.call('CLUSTER', 'COUNTKEYSINSLOT', slot)),
      );
      const from = cache.nodes[view.findIndex((count) => Number(count) > 0)]!;
      const to = cache.nodes.find((node) => node !== from)!;
      let steps = 0;
      await moveSlotByHand(cache.nodes, from, to, slot, async () => {
        if (steps++ % 10 !== 0) return;
        const { keys } = await scanAll(client, ['COUNT', 50]);
        assert.deepEqual(missing(names, keys), []);
      });
      assert.ok(steps > 10);
    });
  });
}

describe('SCAN while slots move atomically', () => {
  let cache: ProxiedCache;
  before(async () => {
    cache = await ProxiedCache.start({
      shards: 3,
      directives: { 'hash-seed': '0123456789abcdef' },
    });
  });
  after(() => cache.close());

  for (const command of ['SCAN', 'CLUSTERSCAN']) {
    it(`${command} loses nothing`, async () => {
      const client = await cache.client();
      const names = await fill(client, 4000);
      const ranges = [[0, 500], [501, 1000], [1001, 1500], [1501, 2000]] as const; // prettier-ignore
      let at = 0;
      const state = { running: true };
      let moves = 0;
      const mover = (async () => {
        while (state.running) {
          const from = cache.nodes[at]!;
          at = (at + 1) % 3;
          for (const [first, last] of ranges)
            await migrateSlots(from, cache.nodes[at]!, first, last);
          moves++;
        }
        // Home again, for the next test.
        const from = cache.nodes[at]!;
        if (at !== 0)
          for (const [first, last] of ranges)
            await migrateSlots(from, cache.nodes[0]!, first, last);
      })();
      for (let round = 0; round < 6; round++) {
        const { keys } = await scanAll(client, ['COUNT', 20], undefined, command);
        assert.deepEqual(missing(names, keys), []);
      }
      state.running = false;
      await mover;
      assert.ok(moves > 0);
    });
  }
});

describe('SCAN and the failover of a shard', () => {
  for (const options of [
    { directives: { 'hash-seed': 'feedfeedfeedfeed' } },
    {},
    { line: '8.1' as const },
  ]) {
    it(`loses nothing (${JSON.stringify(options)})`, async () => {
      const cache = await ProxiedCache.start({ ...options, shards: 2, replicas: 1 });
      try {
        const client = await cache.client();
        const names = await fill(client, 1000);
        await client.call('WAIT', 1, 2000).catch(() => null);
        const replica = cache.nodes[2]!;
        await until(async () => {
          const [mine, its] = await Promise.all(
            [cache.nodes[0]!, replica].map(
              async (node) =>
                /master_repl_offset:(\d+)/.exec(await node.admin.text('INFO', 'replication'))![1],
            ),
          );
          return mine === its;
        });
        const { keys } = await scanAll(client, ['COUNT', 7], async (round) => {
          if (round !== 20) return;
          await cache.nodes[0]!.kill();
          await replica.admin.expectOk('CLUSTER', 'FAILOVER', 'TAKEOVER');
        });
        assert.deepEqual(missing(names, keys), []);
      } finally {
        await cache.close();
      }
    });
  }
});
