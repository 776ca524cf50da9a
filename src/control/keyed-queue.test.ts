import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { KeyedQueue, type RunResult } from './keyed-queue.ts';

/** A queue whose runs are ended by hand. */
function handRun() {
  const runs: {
    key: string;
    signal: AbortSignal;
    end: (result?: RunResult) => void;
    fail: (error: Error) => void;
  }[] = [];
  const errors: [string, number][] = [];
  const queue = new KeyedQueue(
    (key, signal) =>
      new Promise((resolve, reject) => {
        runs.push({ key, signal, end: (result = {}) => resolve(result), fail: reject });
        signal.addEventListener('abort', () => reject(signal.reason as Error));
      }),
    (key, _error, retryMs) => errors.push([key, retryMs]),
  );
  return { queue, runs, errors };
}

const turn = () => new Promise((resolve) => setImmediate(resolve));

suite('KeyedQueue', () => {
  test('a key runs at once, and never twice at a time', async () => {
    const { queue, runs } = handRun();
    queue.add('a');
    assert.equal(runs.length, 1);
    queue.add('a');
    queue.add('a');
    queue.add('b');
    assert.deepEqual(
      runs.map(({ key }) => key),
      ['a', 'b'],
    );
    runs[0]!.end();
    await turn();
    // Many reasons to look are one look.
    assert.deepEqual(
      runs.map(({ key }) => key),
      ['a', 'b', 'a'],
    );
    runs[2]!.end();
    await turn();
    assert.equal(runs.length, 3);
  });

  test('an interrupted run is aborted and followed by another, without being an error', async () => {
    const { queue, runs, errors } = handRun();
    queue.add('a');
    queue.add('a', { interrupt: true });
    assert.ok(runs[0]!.signal.aborted);
    await turn();
    assert.equal(runs.length, 2);
    assert.deepEqual(errors, []);
    runs[1]!.end();
  });

  test('a failed run comes back with growing delay; success forgets it', async (t) => {
    t.mock.timers.enable({ apis: ['setTimeout'] });
    const { queue, runs, errors } = handRun();
    queue.add('a');
    for (let i = 0; i < 3; i++) {
      runs[i]!.fail(new Error('no'));
      await turn();
      t.mock.timers.tick(100 * 2 ** i);
      await turn();
      assert.equal(runs.length, i + 2);
    }
    assert.deepEqual(errors, [
      ['a', 100],
      ['a', 200],
      ['a', 400],
    ]);
    runs[3]!.end({ requeueAfterMs: 50 });
    await turn();
    t.mock.timers.tick(50);
    await turn();
    runs[4]!.fail(new Error('no'));
    await turn();
    assert.deepEqual(errors.at(-1), ['a', 100]);
    await queue.stop();
  });

  test('who is patient shortens no delay and adds no run to one under way', async (t) => {
    t.mock.timers.enable({ apis: ['setTimeout'] });
    const { queue, runs } = handRun();
    queue.add('a', { patient: true });
    queue.add('a', { patient: true });
    runs[0]!.fail(new Error('no'));
    await turn();
    queue.add('a', { patient: true });
    assert.equal(runs.length, 1);
    t.mock.timers.tick(100);
    await turn();
    assert.equal(runs.length, 2);
    runs[1]!.end();
    await turn();
    assert.equal(runs.length, 2);
  });

  test('drain aborts, waits, and forgets what was due', async (t) => {
    t.mock.timers.enable({ apis: ['setTimeout'] });
    const { queue, runs } = handRun();
    queue.add('a');
    queue.add('a');
    await queue.drain('a');
    assert.ok(runs[0]!.signal.aborted);
    t.mock.timers.tick(60_000);
    await turn();
    assert.equal(runs.length, 1);
  });

  test('idle waits for the run that follows, too', async () => {
    const { queue, runs } = handRun();
    queue.add('a');
    queue.add('a');
    let idle = false;
    const done = queue.idle('a').then(() => (idle = true));
    runs[0]!.end();
    await turn();
    assert.equal(idle, false);
    runs[1]!.end();
    await done;
    assert.equal(runs.length, 2);
  });

  test('a stopped queue runs nothing', async () => {
    const { queue, runs } = handRun();
    await queue.stop();
    queue.add('a');
    assert.equal(runs.length, 0);
  });
});
