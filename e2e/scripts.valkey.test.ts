/** Scripts that were loaded before a shard joined run there as everywhere, inside transactions and outside. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { hashSlot } from '../src/protocol/hash-slot.ts';
import type { RawClient } from './harness/raw-client.ts';
import { SmallPlane } from './harness/small-plane.ts';

const COUNT = "return redis.call('INCR', KEYS[1])";
const CLIENTS = 4;
const SCRIPTS = 300;
const LAST_SLOT = 255;

/** A key of its own for each client and round, in one of the slots that move. */
function keyFor(client: number, round: number): string {
  for (let i = 0; ; i++) {
    const key = `${client}-${round % 50}-${i}`;
    if (hashSlot(Buffer.from(key), 0, key.length) <= LAST_SLOT) return key;
  }
}

for (const line of ['9.1', '8.1'] as const) {
  test(`EVALSHA and EXEC meet every script at a shard that joins (Valkey ${line})`, async (t) => {
    const plane = await SmallPlane.create({ shards: 2, lines: [line], proxy: true });
    t.after(() => plane.destroy());
    const clients = await Promise.all(Array.from({ length: CLIENTS }, () => plane.connect()));
    t.after(() => clients.forEach((client) => client.close()));
    // Never again: a shard that joins later meets each for the first time when it is run there.
    const bodies = Array.from({ length: SCRIPTS }, (_, i) => `${COUNT} -- ${i}`);
    const shas = await Promise.all(bodies.map((body) => clients[0]!.text('SCRIPT', 'LOAD', body)));
    let over = false;
    let rounds = 0;
    const run = async (client: RawClient, index: number): Promise<void> => {
      const counts = new Map<string, number>();
      for (let round = 0; !over; round++) {
        const sha = shas[round % SCRIPTS]!;
        for (let i = 0; i < 5; i++) {
          const key = keyFor(index, round + i);
          const count = (counts.get(key) ?? 0) + 1;
          if (round % 3 === 0) await client.expectOk('WATCH', key);
          await client.expectOk('MULTI');
          await client.raw('EVALSHA', sha, 1, key);
          const reply = (await client.raw('EXEC')).toString();
          // A slot that moves breaks a watch.
          if (reply === '*-1\r\n' && round % 3 === 0) continue;
          assert.equal(reply, `*1\r\n:${count}\r\n`, key);
          assert.equal((await client.raw('EVALSHA', sha, 1, key)).toString(), `:${count + 1}\r\n`);
          counts.set(key, count + 1);
          rounds++;
        }
      }
    };
    const traffic = Promise.all(clients.map(run));
    try {
      await delay(300);
      await plane.run({ kind: 'add-shard', shard: 2, replicas: 0, maxmemoryBytes: 0 });
      for (const [from, to] of [
        [0, 2],
        [2, 1],
        [1, 0],
        [0, 2],
      ] as const)
        // prettier-ignore
        await plane.move(from, to, 0, LAST_SLOT);
      await delay(300);
    } finally {
      over = true;
      await traffic;
    }
    t.diagnostic(`${rounds} transactions`);
    assert.ok(rounds > 20);
  });
}
