import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { COMMAND_GROUPS, LATENCY_BOUNDS_US } from '../model/usage.ts';
import { Meter } from './meter.ts';

test('every answer is counted once, in its group and in the bucket that holds its time', () => {
  const answer = fc.record({ group: fc.nat(COMMAND_GROUPS.length - 1), us: fc.nat(20_000_000) });
  fc.assert(
    fc.property(fc.array(answer, { maxLength: 50 }), (answers) => {
      const meter = new Meter();
      for (const { group, us } of answers) meter.answered(group, us);
      assert.equal(meter.requests, answers.length);
      const latency = meter.latencyByGroup();
      for (const [group, name] of COMMAND_GROUPS.entries()) {
        const own = answers.filter((each) => each.group === group);
        assert.equal(meter.requestsByGroup()[name], own.length);
        assert.equal(latency[name].count, own.length);
        assert.equal(
          latency[name].sumUs,
          own.reduce((sum, each) => sum + each.us, 0),
        );
        const expected = [...LATENCY_BOUNDS_US, Infinity].map(
          (bound, i) =>
            own.filter((each) => each.us <= bound && each.us > (LATENCY_BOUNDS_US[i - 1] ?? -1))
              .length,
        );
        assert.deepEqual(latency[name].buckets, expected);
      }
    }),
  );
});

test('errors are counted by their first word', () => {
  const meter = new Meter();
  const fail = (line: string) => {
    const bytes = Buffer.from(`xx${line}\r\n`);
    meter.failed(bytes, 2, bytes.length);
  };
  for (const line of ['-ERR a', '-ERR b', '-WRONGTYPE c', '-MOVED', '-lower case', '-']) fail(line);
  assert.deepEqual(meter.errorsByKind(), { ERR: 2, WRONGTYPE: 1, MOVED: 1, other: 2 });
});

test('a client cannot make names of errors at will', () => {
  const meter = new Meter();
  const letters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ';
  for (let i = 0; i < 500; i++) {
    const bytes = Buffer.from(`-${letters[i % 26]}${letters[Math.floor(i / 26)]} x\r\n`);
    meter.failed(bytes, 0, bytes.length);
  }
  const kinds = meter.errorsByKind();
  assert.ok(Object.keys(kinds).length <= 65);
  assert.equal(
    Object.values(kinds).reduce((sum, count) => sum + count, 0),
    500,
  );
  const long = Buffer.from(`-${'A'.repeat(1000)}\r\n`);
  meter.failed(long, 0, long.length);
  assert.ok(Object.keys(meter.errorsByKind()).every((kind) => kind.length <= 24));
});
