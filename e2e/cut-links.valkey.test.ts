/**
 * The links between proxy and nodes are cut at moments that hurt: with requests under way that the node never got, with
 * requests that it has executed and whose replies are lost, with half of the replies. Each client appends ever higher
 * numbers to keys in all shards and reads them between, in pipelines. So a value tells all: a number that was acknowledged
 * is there once; one in doubt at most once; one that was refused is not; none is out of order; and a read shows neither less
 * than what was acknowledged before it nor anything that was sent after it. A client that has got the first half of a reply
 * is cut off when there is no second one: nobody else is.
 */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { encodeRequest } from '../src/protocol/request-encoder.ts';
import { decodeReply, RespError, textOf, type RespValue } from '../src/protocol/resp-value.ts';
import type { Proxy } from '../src/proxy/proxy.ts';
import { CutLink, type Held } from './harness/cut-link.ts';
import { startInProcessProxy } from './harness/in-process-proxy.ts';
import { NodeFarm } from './harness/node-farm.ts';
import { randomFrom, testSeed } from './harness/random.ts';
import { RawClient } from './harness/raw-client.ts';
import { topologyOfNodes } from './harness/topology-of-nodes.ts';
import { until } from './harness/until.ts';

const SHARDS = 3;
const CLIENTS = 12;
const KEYS_EACH = 6;
const REQUESTS = 60;
const CUTS = 60;

const seed = testSeed();
const dir = mkdtempSync(join(tmpdir(), 'springtide-cut-'));
const farm = new NodeFarm(dir);
const links: CutLink[] = [];
let proxy: Proxy | null = null;
let port: number;

before(async () => {
  const nodes = await farm.startCluster(SHARDS, 0, {
    // However slow the machine is: no node is to think another one dead.
    extra: { 'cluster-node-timeout': '60000' },
  });
  const ports: number[] = [];
  for (const node of nodes) {
    const [linkPort] = await farm.portPair();
    links.push(await CutLink.open(linkPort, node.port));
    ports.push(linkPort);
    await node.admin.expectOk('CONFIG', 'SET', 'cluster-announce-port', linkPort);
  }
  await until(async () => {
    const views = await Promise.all(nodes.map(({ admin }) => admin.text('CLUSTER', 'NODES')));
    return views.every((view) => ports.every((each) => view.includes(`:${each}@`)));
  });
  const cache = topologyOfNodes(nodes, SHARDS, await farm.portPair(), { deadlineMs: 60_000 });
  const linked = cache.nodes.map((node, i) => ({ ...node, port: ports[i]! }));
  proxy = await startInProcessProxy(dir, { ...cache, nodes: linked }, { index: 0, proxies: 1 });
  port = cache.port;
});
after(async () => {
  for (const link of links) link.close();
  await Promise.all([farm.stopAll(), proxy?.drain(0)]);
  rmSync(dir, { recursive: true, force: true });
});

test(`what was under way at a cut is executed once or in doubt, and never out of order (seed ${seed})`, async (t) => {
  const random = randomFrom(seed);
  const over = new AbortController();
  const isOver = () => over.signal.aborted;
  /** Connections that may have broken in the middle of a reply. */
  let torn = 0;
  const clients = Array.from(
    { length: CLIENTS },
    (_, id) => new AppendingClient(id, randomFrom(seed + 1 + id)),
  );
  const ended = Promise.all(clients.map((client) => client.run(isOver)));
  ended.catch(() => over.abort());
  for (let cuts = 0; cuts < CUTS && !isOver(); cuts++) {
    const link = links[cuts % links.length]!;
    const held: Held = cuts % 2 === 0 ? 'replies' : 'requests';
    link.hold(held);
    // Every cut meets requests under way, or it would be none.
    await until(() => isOver() || link.waiting > 0);
    const share = [0, 0, random(), 1][Math.floor(random() * 4)]!;
    const broken = await link.cut(share);
    if (held === 'replies' && share > 0) torn += broken;
  }
  over.abort();
  await ended;
  const total = (count: (client: AppendingClient) => number) =>
    clients.reduce((sum, client) => sum + count(client), 0);
  const doubts = total((client) => client.doubts);
  t.diagnostic(
    `${total((client) => client.appends)} appends, ${doubts} in doubt, ${total((client) => client.refusals)} refused, ${total((client) => client.closures)} clients cut off`,
  );
  const closures = total((client) => client.closures);
  assert.ok(closures <= torn, `${closures} clients cut off for ${torn} torn replies`);
  assert.ok(doubts >= CUTS / 2, `${doubts} requests in doubt after ${CUTS} cuts`);
});

/** What a client knows of one key; all numbers in the order in which they were sent. */
class AppendedKey {
  readonly name: string;
  /** The last number that was sent. */
  sent = 0;
  readonly #acknowledged = new Set<number>();
  readonly #refused = new Set<number>();

  constructor(name: string) {
    this.name = name;
  }

  next(): number {
    return ++this.sent;
  }

  acknowledge(number: number): void {
    this.#acknowledged.add(number);
  }

  refuse(number: number): void {
    this.#refused.add(number);
  }

  /** @param sentBefore the last number that was sent before the read */
  check(value: string | null, sentBefore: number): void {
    const numbers = (value ?? '').split(',').slice(0, -1).map(Number);
    const where = `${this.name} is ${value}`;
    for (const [i, number] of numbers.entries()) {
      assert.ok(i === 0 || number > numbers[i - 1]!, `${where}: ${number} is twice or too late`);
      assert.ok(number <= sentBefore, `${where}: ${number} was sent after the read`);
      assert.ok(!this.#refused.has(number), `${where}: ${number} was refused`);
    }
    const found = new Set(numbers);
    for (const number of this.#acknowledged) {
      assert.ok(number > sentBefore || found.has(number), `${where}: ${number} is lost`);
    }
  }
}

class AppendingClient {
  doubts = 0;
  refusals = 0;
  appends = 0;
  closures = 0;
  /** Of every connection that it has had. */
  readonly #allKeys: AppendedKey[] = [];
  #keys: readonly AppendedKey[] = [];
  readonly #id: number;
  readonly #random: () => number;

  constructor(id: number, random: () => number) {
    this.#id = id;
    this.#random = random;
  }

  async run(isOver: () => boolean): Promise<void> {
    while (!isOver()) await this.#converse(isOver);
    const client = await RawClient.connect(port);
    try {
      for (const key of this.#allKeys) {
        key.check(textOf(await client.call('GET', key.name)), Infinity);
      }
    } finally {
      client.close();
    }
  }

  /** On one connection, with keys of its own: what the last one had under way may still come to be executed. */
  async #converse(isOver: () => boolean): Promise<void> {
    const name = `key-${this.#id}-${this.closures}`;
    this.#keys = Array.from({ length: KEYS_EACH }, (_, i) => new AppendedKey(`${name}-${i}`));
    this.#allKeys.push(...this.#keys);
    const client = await RawClient.connect(port);
    try {
      while (!isOver() && (await this.#pipeline(client)));
    } finally {
      client.close();
    }
  }

  /** False when the connection was closed: what was not answered is in doubt. */
  async #pipeline(client: RawClient): Promise<boolean> {
    const requests: Buffer[] = [];
    const checks: ((reply: RespValue) => void)[] = [];
    for (let i = 0; i < REQUESTS; i++) {
      const key = this.#keys[Math.floor(this.#random() * KEYS_EACH)]!;
      const [words, check] = this.#random() < 0.6 ? this.#append(key) : this.#read(key);
      requests.push(encodeRequest(words));
      checks.push(check);
      // Replies that are told apart by nothing but their order would hide a confusion of clients.
      if (i % 10 === 0) {
        const mark = `${key.name}-${i}-${this.#random()}`;
        requests.push(encodeRequest(['ECHO', mark]));
        checks.push((reply) => assert.equal(textOf(reply), mark));
      }
    }
    client.write(Buffer.concat(requests));
    for (const check of checks) {
      const reply = await client.reply();
      if (reply === null) {
        this.closures++;
        return false;
      }
      check(decodeReply(reply));
    }
    return true;
  }

  #append(key: AppendedKey): [string[], (reply: RespValue) => void] {
    const number = key.next();
    this.appends++;
    const check = (reply: RespValue) => {
      if (reply instanceof RespError) {
        if (!this.#isInDoubt(reply)) key.refuse(number);
        return;
      }
      assert.equal(typeof reply, 'number', `APPEND ${key.name}: ${textOf(reply)}`);
      key.acknowledge(number);
    };
    return [['APPEND', key.name, `${number},`], check];
  }

  #read(key: AppendedKey): [string[], (reply: RespValue) => void] {
    const sentBefore = key.sent;
    const check = (reply: RespValue) => {
      // It is read again, or refused: a read leaves no doubt.
      if (reply instanceof RespError) assert.ok(!this.#isInDoubt(reply), reply.message);
      else key.check(textOf(reply), sentBefore);
    };
    return [['GET', key.name], check];
  }

  /**
   * False for a request that was not executed: it waited for its node to come back, and a later one to the same key, which
   * was on its way already, may have been executed meanwhile.
   */
  #isInDoubt({ kind, message }: RespError): boolean {
    assert.ok(kind === 'INDOUBT' || kind === 'CLUSTERDOWN', message);
    if (kind === 'INDOUBT') this.doubts++;
    else this.refusals++;
    return kind === 'INDOUBT';
  }
}
