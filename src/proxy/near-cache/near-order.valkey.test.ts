/**
 * What clients see of one hot counter while others count it up, through two proxies and around them: never less than it was
 * NEAR_STALE_MS ago, never less than what was counted through the reader's own proxy, and never less than before.
 */
import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { migrateSlots } from '../../../e2e/harness/move-slots.ts';
import { ProxiedCache, type ProxiedCacheOptions } from '../../../e2e/harness/proxied-cache.ts';
import { randomFrom, testSeed } from '../../../e2e/harness/random.ts';
import { RawClient } from '../../../e2e/harness/raw-client.ts';
import { hashSlot } from '../../protocol/hash-slot.ts';
import { decodeReply, itemsOf, RespError, textOf } from '../../protocol/resp-value.ts';
import { NEAR_STALE_MS } from './near-links.ts';

const KEY = '{c}ounter';
const SLOT = hashSlot(Buffer.from(KEY), 0, KEY.length);
const RUN_MS = 4000;
const LIBRARY = `#!lua name=near
server.register_function('up', function(keys) return server.call('INCR', keys[1]) end)`;

/** The most that was known at any time. */
class Known {
  readonly #steps: { readonly atMs: number; readonly value: number }[] = [];

  add(value: number): void {
    const last = this.#steps.at(-1)?.value ?? 0;
    if (value > last) this.#steps.push({ atMs: performance.now(), value });
  }

  at(timeMs: number): number {
    return this.#steps.findLast(({ atMs }) => atMs <= timeMs)?.value ?? 0;
  }
}

class Trial {
  readonly cache: ProxiedCache;
  readonly #random: () => number;
  readonly everywhere = new Known();
  /** By proxy: counted through it. */
  readonly own = [new Known(), new Known()];
  reads = 0;
  writes = 0;
  readonly wrong: string[] = [];
  readonly #endMs = performance.now() + RUN_MS;

  constructor(cache: ProxiedCache, seed: number) {
    this.cache = cache;
    this.#random = randomFrom(seed);
  }

  get over(): boolean {
    return performance.now() > this.#endMs || this.wrong.length > 0;
  }

  async connect(proxy: number, resp: 2 | 3): Promise<RawClient> {
    const client = await RawClient.connect(this.cache.proxyPorts[proxy]!);
    if (resp === 3) await client.call('HELLO', 3);
    return client;
  }

  /** One reader: plain reads, and now and then one that no near cache answers. */
  async read(proxy: number, resp: 2 | 3, share: number): Promise<void> {
    const client = await this.connect(proxy, resp);
    let last = 0;
    while (!this.over) {
      const depth = this.#below(3) === 0 ? 1 + this.#below(8) : 1;
      const askedMs = performance.now();
      const least = Math.max(
        this.everywhere.at(askedMs - NEAR_STALE_MS),
        this.own[proxy]!.at(askedMs),
      );
      const ways = Array.from({ length: depth }, () =>
        this.#below(100) < share ? 1 + this.#below(4) : 0,
      );
      const replies: Promise<number | null>[] = ways.map((way) => this.#ask(client, way));
      for (const value of await Promise.all(replies)) {
        if (value === null) continue;
        this.reads++;
        const shown = `${value} at proxy ${proxy}, RESP${resp}, ways ${ways.join()}`;
        if (value < least) this.wrong.push(`${shown}: at least ${least} was known`);
        if (value < last) this.wrong.push(`${shown}: after ${last}`);
        last = value;
      }
    }
    client.close();
  }

  #below(limit: number): number {
    return Math.floor(this.#random() * limit);
  }

  /** The value; null when a node was lost on the way. */
  async #ask(client: RawClient, way: number): Promise<number | null> {
    switch (way) {
      case 1:
        return numberOf(await client.raw('EVAL_RO', "return redis.call('GET', KEYS[1])", 1, KEY));
      case 2:
        return numberOf(itemsOf(decodeReply(await client.raw('MGET', KEY, '{c}other')))[0]);
      case 3: {
        const replies = [client.raw('MULTI'), client.raw('GET', KEY), client.raw('EXEC')];
        const [, , reply] = await Promise.all(replies);
        return numberOf(itemsOf(decodeReply(reply!))[0]);
      }
      case 4:
        return numberOf(await client.raw('GETRANGE', KEY, 0, -1));
      default:
        return numberOf(await client.raw('GET', KEY));
    }
  }

  async write(proxy: number, pauseMs: number): Promise<void> {
    const client = await this.connect(proxy, 2);
    while (!this.over) {
      const value = numberOf(await this.#count(client));
      if (value !== null) {
        this.writes++;
        this.own[proxy]!.add(value);
        this.everywhere.add(value);
      }
      await sleep(this.#below(pauseMs));
    }
    client.close();
  }

  async #count(client: RawClient): Promise<Buffer> {
    switch (this.#below(4)) {
      case 1:
        return client.raw('EVAL', "return redis.call('INCR', KEYS[1])", 1, KEY);
      case 2:
        return client.raw('FCALL', 'up', 1, KEY);
      case 3: {
        client.send('MULTI');
        client.send('INCR', KEY);
        client.send('EXEC');
        const reply = (await client.replies(3))[2]!;
        return reply[0] === 42 ? reply.subarray(4) : reply;
      }
      default:
        return client.raw('INCR', KEY);
    }
  }

  /** Around the proxies. */
  async writeDirectly(pauseMs: number): Promise<void> {
    while (!this.over) {
      for (const node of this.cache.nodes) {
        const value = numberOf(await node.admin.raw('INCR', KEY));
        if (value !== null) this.everywhere.add(value);
      }
      await sleep(this.#below(pauseMs));
    }
  }

  async disturb(): Promise<void> {
    const { nodes } = this.cache;
    let at = SLOT > 8191 ? 1 : 0;
    while (!this.over) {
      await sleep(200 + this.#below(300));
      switch (this.#below(3)) {
        case 0:
          await nodes[at]!.admin.call('CLIENT', 'KILL', 'TYPE', 'NORMAL', 'SKIPME', 'YES');
          break;
        case 1:
          nodes[at]!.signal('SIGSTOP');
          await sleep(150);
          nodes[at]!.signal('SIGCONT');
          break;
        default:
          await migrateSlots(nodes[at]!, nodes[1 - at]!, SLOT, SLOT);
          at = 1 - at;
      }
    }
  }
}

/** Of an integer or text; null for an error. @throws for anything else */
function numberOf(reply: unknown): number | null {
  const value = Buffer.isBuffer(reply) && isReply(reply) ? decodeReply(reply) : (reply as null);
  if ((value as unknown) instanceof RespError) return null;
  if (value === null || value === undefined) return null;
  const number = Number(textOf(value));
  assert.ok(Number.isInteger(number), `${String(reply)} is no number`);
  return number;
}

/** A whole reply, not a decoded string, which here is digits. */
function isReply(bytes: Buffer): boolean {
  return !(bytes[0]! >= 48 && bytes[0]! <= 57);
}

async function run(
  t: TestContext,
  options: ProxiedCacheOptions,
  disturbed: boolean,
): Promise<void> {
  const seed = testSeed();
  const cache = await ProxiedCache.start({ nearCache: true, shards: 2, proxies: 2, ...options });
  t.after(() => cache.close());
  const client = await cache.client();
  await client.call('FUNCTION', 'LOAD', LIBRARY);
  await client.expectOk('SET', KEY, 1);
  const trial = new Trial(cache, seed);
  await Promise.all([
    ...[0, 1].flatMap((proxy) => [
      trial.read(proxy, 2, 0),
      trial.read(proxy, 3, 0),
      trial.read(proxy, 2, 3),
      trial.read(proxy, 3, 10),
      trial.write(proxy, 120),
    ]),
    trial.writeDirectly(120),
    ...(disturbed ? [trial.disturb()] : []),
  ]);
  const hits = [0, 1].map((proxy) => cache.usage(proxy).nearHits);
  t.diagnostic(`${trial.reads} reads, ${hits.join(' + ')} near, ${trial.writes} writes`);
  assert.deepEqual(trial.wrong.slice(0, 3), [], `seed ${seed}`);
  const isTooLate = (options.trackingLateMs ?? 0) > NEAR_STALE_MS;
  for (const near of hits)
    assert.ok(isTooLate ? near === 0 : near > 100, `${near} reads were answered by the near cache`);
}

describe('what is seen of a hot counter', () => {
  it('while it is counted', (t) => run(t, {}, false));
  it('while nodes stop, drop connections and hand over its slot', (t) => run(t, {}, true));
  it('while invalidations come late', (t) =>
    run(t, { sharding: false, trackingLateMs: 20 }, false));
  it('while invalidations come later than what may be given', (t) =>
    run(t, { sharding: false, trackingLateMs: NEAR_STALE_MS + 50 }, false));
});
