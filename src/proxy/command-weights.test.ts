import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { RespValue } from '../protocol/resp-value.ts';
import { CommandBook } from './command-book.ts';
import { CommandWeights, parseCommandStats } from './command-weights.ts';
import type { CacheRouter } from './routing/cache-router.ts';

/** As COMMAND tells it: name, arity, flags, first, last, step, categories, tips, keys, subcommands. */
const entry = (name: string): RespValue => [name, -2, [], 1, 1, 1, [], [], [], []];
const book = () => new CommandBook([entry('get'), entry('set'), entry('hgetall'), entry('del'), entry('info')], true); // prettier-ignore

function weightOf(commands: CommandBook, name: string): number {
  return [...commands.plans()].find(({ command }) => command.name === name)!.weight;
}

function learner(t: { after(done: () => void): void }): CommandWeights {
  // It asks the router only in `ask`.
  const weights = new CommandWeights({} as CacheRouter);
  t.after(() => weights.close());
  return weights;
}

test('INFO commandstats', () => {
  const text =
    '# Commandstats\r\ncmdstat_get:calls=3,usec=9,usec_per_call=3.00,rejected_calls=0,failed_calls=0\r\ncmdstat_config|get:calls=2,usec=8,usec_per_call=4.00\r\n';
  assert.deepEqual([...parseCommandStats(text)], [
    ['get', { calls: 3, us: 9 }],
    ['config|get', { calls: 2, us: 8 }],
  ]); // prettier-ignore
});

test('a command weighs what its CPU is relative to a plain one, where that is not fixed', (t) => {
  const weights = learner(t);
  const commands = book();
  for (let period = 0; period < 20; period++)
    weights.learn(
      new Map([
        ['get', { calls: 5000, us: 10_000 }],
        ['set', { calls: 5000, us: 10_000 }],
        ['hgetall', { calls: 100, us: 2000 }],
        ['del', { calls: 100, us: 5000 }],
        ['info', { calls: 10, us: 5000 }],
      ]),
      commands,
    );
  assert.ok(Math.abs(weightOf(commands, 'hgetall') - 10) < 0.1);
  assert.equal(weightOf(commands, 'get'), 1);
  assert.equal(weightOf(commands, 'del'), 1);
  assert.equal(weightOf(commands, 'info'), 0);
});

test('weights are smoothed, never below 1, and bounded', (t) => {
  const weights = learner(t);
  const commands = book();
  const learn = (us: number) => weights.learn(new Map([['hgetall', { calls: 1, us }]]), commands);
  learn(1);
  assert.equal(weightOf(commands, 'hgetall'), 1);
  // One slow call: three tenths of it.
  learn(1001);
  assert.ok(Math.abs(weightOf(commands, 'hgetall') - 301 / 3) < 1);
  for (let i = 0; i < 50; i++) learn(1e9);
  assert.equal(weightOf(commands, 'hgetall'), 1000);
});
