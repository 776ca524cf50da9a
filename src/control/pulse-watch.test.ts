import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { pino } from 'pino';
import type { FleetNode } from './fleet-node.ts';
import { PulseWatch } from './pulse-watch.ts';

/** A node that owes an answer from its first PING on, and what it was told. */
class SilentNode {
  readonly id = 'a';
  readonly isWatched = true;
  owesAnswer = false;
  readonly clocks: number[] = [];

  ping(clockMs: number): void {
    if (!this.owesAnswer) this.clocks.push(clockMs);
    this.owesAnswer = true;
  }

  feel(clockMs: number): void {
    this.clocks.push(clockMs);
  }

  get silentMs(): number {
    return (this.clocks.at(-1) ?? 0) - (this.clocks[0] ?? 0);
  }
}

function watch(t: TestContext): SilentNode {
  const node = new SilentNode();
  const pulses = new PulseWatch({
    nodes: () => [node as unknown as FleetNode],
    activity: async () => [],
    log: pino({ level: 'silent' }),
  });
  pulses.start();
  t.after(() => pulses.stop());
  return node;
}

const untilFelt = async (node: SilentNode, times: number) => {
  while (node.clocks.length < times) await delay(20);
};

test('silence is counted while we run', async (t) => {
  const node = watch(t);
  const startedMs = performance.now();
  await untilFelt(node, 4);
  assert.ok(node.silentMs > 0);
  assert.ok(node.silentMs <= performance.now() - startedMs);
});

test('time in which this process was held up is not counted', async (t) => {
  const node = watch(t);
  await untilFelt(node, 2);
  const heldUpMs = 3_000;
  const silentMs = node.silentMs;
  const startedMs = performance.now();
  while (performance.now() < startedMs + heldUpMs);
  await untilFelt(node, 4);
  const tookMs = performance.now() - startedMs;
  // What was counted of it: the tick that was waiting when it began.
  assert.ok(node.silentMs - silentMs < tookMs - heldUpMs + 1_000);
});

test('what comes to be known after the stop is told to nobody', async (t) => {
  const node = new SilentNode();
  const { promise: asked, resolve: isAsked } = Promise.withResolvers<void>();
  const { promise: answer, resolve: answers } = Promise.withResolvers<readonly []>();
  const pulses = new PulseWatch({
    nodes: () => [node as unknown as FleetNode],
    activity: () => {
      isAsked();
      return answer;
    },
    log: pino({ level: 'silent' }),
  });
  pulses.start();
  t.after(() => pulses.stop());
  await asked;
  const told = node.clocks.length;
  pulses.stop();
  answers([]);
  await delay(50);
  assert.equal(node.clocks.length, told);
});
