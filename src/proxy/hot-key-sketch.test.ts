import { strict as assert } from 'node:assert';
import { describe, test } from 'node:test';
import * as fc from 'fast-check';
import { HotKeySketch } from './hot-key-sketch.ts';

function feed(sketch: HotKeySketch, key: string, isRead = true, slot = 7): void {
  const buf = Buffer.from(`..${key}..`);
  sketch.record(slot, buf, 2, buf.length - 2, isRead);
}

describe('HotKeySketch', () => {
  test('counts reads and writes apart', () => {
    const sketch = new HotKeySketch();
    for (let i = 0; i < 3; i++) feed(sketch, 'a');
    for (let i = 0; i < 5; i++) feed(sketch, 'b', false, 9);
    feed(sketch, 'b', true, 9);
    const [b, a] = sketch.top();
    assert.deepEqual(b, { slot: 9, key: Buffer.from('b'), reads: 1, writes: 5, error: 0 });
    assert.deepEqual(a, { slot: 7, key: Buffer.from('a'), reads: 3, writes: 0, error: 0 });
  });

  test('tells keys of equal length and any bytes apart, and an empty one', () => {
    const sketch = new HotKeySketch();
    const keys = [[], [0], [255], [0, 0], [1, 2, 3], [1, 2, 4]].map((bytes) => Buffer.from(bytes));
    for (const [i, key] of keys.entries())
      for (let n = 0; n <= i; n++) sketch.record(1, key, 0, key.length, true);
    assert.deepEqual(
      sketch.top().map(({ key, reads }) => [[...key], reads]),
      keys.map((key, i) => [[...key], i + 1]).toReversed(),
    );
  });

  test('a key with more than 1/capacity of any stream is kept, and its count is right within its error', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 30 }), { maxLength: 400 }), (stream) => {
        const sketch = new HotKeySketch(8);
        const truth = new Map<string, number>();
        for (const n of stream) {
          const key = `key-${n}`;
          feed(sketch, key, n % 2 === 0);
          truth.set(key, (truth.get(key) ?? 0) + 1);
        }
        const kept = new Map(sketch.top().map((entry) => [entry.key.toString(), entry]));
        for (const [key, count] of truth) {
          const entry = kept.get(key);
          if (count > stream.length / 8) assert.ok(entry, `${key} is lost`);
          if (entry === undefined) continue;
          const sure = entry.reads + entry.writes;
          assert.ok(sure <= count && count <= sure + entry.error);
        }
      }),
    );
  });

  test('long keys are told apart by all their bytes', () => {
    const sketch = new HotKeySketch(2);
    feed(sketch, `${'x'.repeat(4000)}a`);
    feed(sketch, `${'x'.repeat(4000)}b`);
    feed(sketch, `${'x'.repeat(4000)}b`);
    assert.deepEqual(
      sketch.top().map(({ key, reads }) => [key.at(-1), reads]),
      [
        [98, 2],
        [97, 1],
      ],
    );
  });

  test('a count settles at the rate, and a key that is no longer asked for goes', () => {
    const sketch = new HotKeySketch();
    feed(sketch, 'past');
    let count = 0;
    for (let second = 0; second < 20; second++) {
      for (let i = 0; i < 100; i++) feed(sketch, 'hot');
      count = sketch.top()[0]!.reads;
      sketch.decay();
    }
    assert.ok(Math.abs(HotKeySketch.rateOf(count) - 100) < 1);
    assert.deepEqual(
      sketch.top().map(({ key }) => key.toString()),
      ['hot'],
    );
  });
});
