import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, afterEach, beforeEach, suite, test } from 'node:test';
import { pino } from 'pino';
import type { ControlToProxy } from '../model/plane-link.ts';
import type { ProxyUsage } from '../model/usage.ts';
import { PlaneLinkServer, type LinkedProxy } from './plane-link-server.ts';

const dir = mkdtempSync(join(tmpdir(), 'springtide-link-'));
after(() => rmSync(dir, { recursive: true }));
const path = join(dir, 'control.sock');

const usage: ProxyUsage = {
  proxy: 0,
  pid: 1,
  startedAtMs: 1,
  topologyVersion: 1,
  cpuSeconds: 0,
  memoryBytes: 0,
  caches: [],
};

class Peer {
  readonly socket: Socket = connect(path);
  readonly #lines = createInterface({ input: this.socket })[Symbol.asyncIterator]();
  say(message: unknown): void {
    this.socket.write(`${typeof message === 'string' ? message : JSON.stringify(message)}\n`);
  }
  async hear(): Promise<ControlToProxy> {
    const { value } = await this.#lines.next();
    return JSON.parse(String(value)) as ControlToProxy;
  }
}

suite('PlaneLinkServer', () => {
  let version: number;
  let server: PlaneLinkServer;
  let told: [string, unknown][];
  let heard: PromiseWithResolvers<void>;
  const peers: Peer[] = [];

  const join_ = () => {
    const peer = new Peer();
    peers.push(peer);
    return peer;
  };

  beforeEach(async () => {
    version = 7;
    told = [];
    heard = Promise.withResolvers();
    // Each test's own list: what a closing peer of the last one still says must not end up in the next.
    const mine = told;
    const tell = (what: string, value: unknown) => {
      mine.push([what, value]);
      heard.resolve();
      heard = Promise.withResolvers();
    };
    server = new PlaneLinkServer(
      path,
      {
        topology: () => ({ version, caches: [] }),
        onUsage: (u) => tell('usage', u),
        onHeat: (proxy, report) => tell('heat', [proxy.index, report]),
        onServing: (p: LinkedProxy) => tell('serving', p),
        onNodeLost: (cache, nodeId) => tell('node-lost', [cache, nodeId]),
        onUnlinked: (index) => tell('unlinked', index),
      },
      pino({ level: 'silent' }),
    );
    await server.listen();
  });
  afterEach(async () => {
    for (const { socket } of peers.splice(0)) socket.destroy();
    await server.close();
  });

  test('the socket is its owner’s alone', () => {
    assert.equal(statSync(path).mode & 0o777, 0o600);
  });

  test('topology on hello and after each change, never twice the same', async () => {
    const peer = join_();
    peer.say({ type: 'hello', proxy: 3, pid: 42 });
    assert.deepEqual(await peer.hear(), { type: 'topology', topology: { version: 7, caches: [] } });
    server.publish();
    version = 8;
    server.publish();
    server.refresh('main');
    server.drainOne(9, 1);
    server.drainOne(3, 50);
    assert.equal(((await peer.hear()) as { topology: { version: number } }).topology.version, 8);
    assert.deepEqual(await peer.hear(), { type: 'refresh', cache: 'main' });
    assert.deepEqual(await peer.hear(), { type: 'drain', graceMs: 50 });
  });

  test('what a proxy says is passed on, also when it comes in pieces', async () => {
    const peer = join_();
    peer.say({ type: 'hello', proxy: 3, pid: 42 });
    await peer.hear();
    const lines = [
      { type: 'serving', version: 7, failures: { main: 'port in use' }, leaving: ['other'] },
      { type: 'usage', usage },
      { type: 'node-lost', cache: 'main', nodeId: 'n1' },
    ]
      .map((message) => `${JSON.stringify(message)}\n`)
      .join('');
    for (const half of [lines.slice(0, 61), lines.slice(61)]) {
      peer.socket.write(half);
      await new Promise((resolve) => setImmediate(resolve));
    }
    while (told.length < 3) await heard.promise;
    assert.deepEqual(told, [
      [
        'serving',
        {
          index: 3,
          pid: 42,
          servingVersion: 7,
          failures: { main: 'port in use' },
          leaving: ['other'],
        },
      ],
      ['usage', usage],
      ['node-lost', ['main', 'n1']],
    ]);
    assert.equal(server.proxies()[0]?.servingVersion, 7);
    peer.socket.destroy();
    while (told.length < 4) await heard.promise;
    assert.deepEqual(told[3], ['unlinked', 3]);
    assert.deepEqual(server.proxies(), []);
  });

  for (const [what, line] of [
    ['is no JSON', 'garbage'],
    ['has another shape', '{"type":"usage","usage":{"proxy":-1}}'],
    ['is of a kind nobody knows', '{"type":"launch"}'],
  ] as const) {
    test(`a peer whose line ${what} is cut, and nobody else`, async () => {
      const good = join_();
      good.say({ type: 'hello', proxy: 0, pid: 1 });
      await good.hear();
      const bad = join_();
      const closed = once(bad.socket, 'close');
      bad.socket.resume();
      bad.say(line);
      await closed;
      good.say({ type: 'usage', usage });
      while (told.length < 1) await heard.promise;
      assert.equal(told[0]![0], 'usage');
    });
  }

  test('a line without an end is cut', async () => {
    const socket = connect(path);
    // Reset or ended: either way it is cut.
    socket.on('error', () => undefined);
    const closed = new Promise((resolve) => socket.once('close', resolve));
    const chunk = Buffer.alloc(1024 ** 2, 'x');
    for (let i = 0; i < 9; i++) socket.write(chunk);
    await closed;
    assert.deepEqual(told, []);
  });
});
