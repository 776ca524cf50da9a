import assert from 'node:assert/strict';
import { test } from 'node:test';
import { HostCpu, ticksOf } from './host-cpu.ts';

test('what is not idle and does not wait for a disk is busy', () => {
  assert.deepEqual(ticksOf('cpu  10 20 30 400 50 1 2 3 9 9\ncpu0 1 2\n'), { busy: 66, all: 516 });
  assert.equal(ticksOf(''), null);
});

test('a figure is of the time between two looks', () => {
  const cpu = new HostCpu();
  assert.equal(cpu.sample(), null);
  const until = performance.now() + 60;
  while (performance.now() < until);
  const busy = cpu.sample();
  assert.ok(busy !== null && busy > 0 && busy <= 1, `${busy}`);
});
