import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CpuReader, cpuDelta, parseRssBytes, parseStatTicks, residentBytes } from './cpu.ts';

const STAT =
  '4242 (valkey-server *) S 1 4242 4242 0 -1 4194560 2913 0 5 0 731 269 17 9 20 0 6 0 184467 98304000 2500 18446744073709551615';

test('user and system time are added, children are not', () => {
  assert.equal(parseStatTicks(STAT), 1000);
});

test('a process name with spaces and brackets does not shift the fields', () => {
  assert.equal(parseStatTicks(STAT.replace('(valkey-server *)', '(a) R 1 2 (b)')), 1000);
});

test('a line that is no stat line is refused', () => {
  assert.throws(() => parseStatTicks('4242 (x) S 1'), { code: 'BENCH_OUTPUT_UNREADABLE' });
});

test('resident memory is read in bytes', () => {
  assert.equal(
    parseRssBytes('Name:\tnode\nVmHWM:\t   90000 kB\nVmRSS:\t   80000 kB\nThreads:\t11\n'),
    80_000 * 1024,
  );
  assert.throws(() => parseRssBytes('Name:\tkthreadd\n'), { code: 'BENCH_OUTPUT_UNREADABLE' });
});

test('roles are kept apart and a process that is gone is an error', () => {
  const reader = new CpuReader(100);
  const now = reader.read({ proxy: [process.pid], node: [], other: [] });
  assert.ok(now.proxy > 0);
  assert.equal(now.node, 0);
  assert.ok(residentBytes([process.pid]) > 1024 ** 2);
  // pid_max is at most 2^22.
  assert.throws(() => reader.read({ proxy: [], node: [2 ** 22 + 1], other: [] }), {
    code: 'BENCH_RUN_FAILED',
  });
});

test('a delta is taken role by role', () => {
  const delta = cpuDelta({ proxy: 1, node: 10, other: 3 }, { proxy: 4, node: 12, other: 3.5 });
  assert.deepEqual(delta, { proxy: 3, node: 2, other: 0.5 });
});
